/// The recurrent stack and its gradients in float64, with operands rounded to bfloat16 where
/// docs/training.md says so. reference::recurrent() computes it on numbers that record how they
/// came about; then gradients go back along the record, and those of sums of products are rounded.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "tests/support/reference_recurrent.h"

namespace unroll::reference {

/// The nearest number of 8 significant bits, ties to even.
inline double to_bf16(double x) {
  int exponent = 0;
  const double fraction = std::frexp(x, &exponent);
  return std::ldexp(std::nearbyint(fraction * 256) / 256, exponent);
}

/// What is known of each recorded number: its gradient, and how to hand it on.
class Record {
 public:
  using HandOn = std::function<void(double gradient)>;

  std::int64_t add(HandOn hand_on) {
    entries_.push_back({0, std::move(hand_on)});
    return std::int64_t(entries_.size()) - 1;
  }
  void add_gradient(std::int64_t entry, double gradient) {
    if (entry >= 0) entries_[std::size_t(entry)].gradient += gradient;
  }
  double gradient(std::int64_t entry) const {
    return entry < 0 ? 0 : entries_[std::size_t(entry)].gradient;
  }
  void go_back() {
    for (std::size_t k = entries_.size(); k-- > 0;)
      if (entries_[k].hand_on) entries_[k].hand_on(entries_[k].gradient);
  }
  void clear() { entries_.clear(); }

 private:
  struct Entry {
    double gradient;
    HandOn hand_on;
  };
  std::vector<Entry> entries_;
};
inline Record record;

/// A number on the record, or a constant.
struct Recorded {
  double value = 0;
  std::int64_t entry = -1;
  bool is_sum = false;  // of products

  Recorded() = default;
  Recorded(double constant) : value(constant) {}
  Recorded(double v, Record::HandOn hand_on) : value(v), entry(record.add(std::move(hand_on))) {}

  Recorded& operator+=(const Recorded& b) { return *this = *this + b; }
  Recorded& operator*=(const Recorded& b) { return *this = *this * b; }

  friend Recorded operator+(const Recorded& a, const Recorded& b) {
    return of(a.value + b.value, a, 1, b, 1);
  }
  friend Recorded operator-(const Recorded& a, const Recorded& b) {
    return of(a.value - b.value, a, 1, b, -1);
  }
  friend Recorded operator-(const Recorded& a) { return Recorded(0) - a; }
  friend Recorded operator*(const Recorded& a, const Recorded& b) {
    return of(a.value * b.value, a, b.value, b, a.value);
  }
  friend Recorded operator/(const Recorded& a, const Recorded& b) {
    return of(a.value / b.value, a, 1 / b.value, b, -a.value / (b.value * b.value));
  }

  /// f(a, b), given its slopes.
  static Recorded of(double value, const Recorded& a, double slope_a, const Recorded& b,
                     double slope_b) {
    return {value, [a = a.entry, slope_a, b = b.entry, slope_b](double d) {
              record.add_gradient(a, d * slope_a);
              record.add_gradient(b, d * slope_b);
            }};
  }
};

inline double real(const Recorded& x) {
  return x.value;
}
inline Recorded tanh(const Recorded& x) {
  const double y = std::tanh(x.value);
  return Recorded::of(y, x, 1 - y * y, {}, 0);
}
inline Recorded exp(const Recorded& x) {
  const double y = std::exp(x.value);
  return Recorded::of(y, x, y, {}, 0);
}
inline Recorded sqrt(const Recorded& x) {
  const double y = std::sqrt(x.value);
  return Recorded::of(y, x, 0.5 / y, {}, 0);
}

/// W v + b, or W v. The factors are rounded, and so is the gradient of each sum, of which the
/// gradients of W, v and b are made. W and b must live as long as the record.
inline std::vector<Recorded> rounded_sums(const Array<Recorded>& w, const std::vector<Recorded>& v,
                                          const Array<Recorded>* b) {
  std::vector<Recorded> out;
  const auto factors = std::make_shared<const std::vector<Recorded>>(v);
  for (std::int64_t row = 0; row < w.rows(); ++row) {
    double sum = b ? b->values[std::size_t(row)].value : 0;
    for (std::size_t k = 0; k < v.size(); ++k)
      sum += to_bf16(w.at(row, std::int64_t(k)).value) * to_bf16(v[k].value);
    out.push_back({sum, [&w, factors, b, row](double gradient) {
                     const double d = to_bf16(gradient);
                     if (b) record.add_gradient(b->values[std::size_t(row)].entry, d);
                     for (std::size_t k = 0; k < factors->size(); ++k) {
                       const Recorded &left = w.at(row, std::int64_t(k)), &right = (*factors)[k];
                       record.add_gradient(left.entry, d * to_bf16(right.value));
                       record.add_gradient(right.entry, d * to_bf16(left.value));
                     }
                   }});
    out.back().is_sum = true;
  }
  return out;
}
inline std::vector<Recorded> product(const Array<Recorded>& w, const std::vector<Recorded>& v) {
  return rounded_sums(w, v, nullptr);
}
inline std::vector<Recorded> affine(const Array<Recorded>& w, const std::vector<Recorded>& v,
                                    const Array<Recorded>& b) {
  return rounded_sums(w, v, &b);
}

/// The gain and bias of sums of products get the rounded gradient; what is normalised gets the
/// exact one, which is rounded where it reaches the sums. Of the state c nothing is rounded.
inline std::vector<Recorded> layer_norm(const std::vector<Recorded>& v, const Array<Recorded>& gain,
                                        const Array<Recorded>& bias) {
  const Array<Recorded> one({std::int64_t(v.size())}, std::vector<Recorded>(v.size(), Recorded(1)));
  const Array<Recorded> zero({std::int64_t(v.size())});
  const std::vector<Recorded> normal = layer_norm<Recorded>(v, one, zero);
  const bool rounds = v.front().is_sum;
  std::vector<Recorded> out;
  for (std::size_t k = 0; k < v.size(); ++k) {
    const Recorded n = normal[k], g = gain.values[k], b = bias.values[k];
    out.push_back({g.value * n.value + b.value, [n, g, b, rounds](double gradient) {
                     const double d = rounds ? to_bf16(gradient) : gradient;
                     record.add_gradient(g.entry, d * n.value);
                     record.add_gradient(b.entry, d);
                     record.add_gradient(n.entry, gradient * g.value);
                   }});
  }
  return out;
}

/// The same numbers as float32, on the record.
inline Array<Recorded> recorded(const Array<double>& a) {
  Array<Recorded> out(a.dims);
  for (std::size_t k = 0; k < a.values.size(); ++k)
    out.values[k] = {double(float(a.values[k])), nullptr};
  return out;
}

}  // namespace unroll::reference
