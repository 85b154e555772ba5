/// Slow, obvious versions of what the engine computes, on float64 or on std::complex<double>.
///
/// Written from the papers' equations and NumPy's rules. It shares no code with the engine, so that
/// a wrong formula there cannot also be wrong here. Complex scalars serve complex_step():
/// comparisons look only at the real part, so every function stays analytic where it is smooth.
#pragma once

#include <algorithm>
#include <cmath>
#include <complex>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

namespace unroll::reference {

using Complex = std::complex<double>;
using Dims = std::vector<std::int64_t>;

inline std::size_t elements(const Dims& dims) {
  std::int64_t product = 1;
  for (const std::int64_t dim : dims) product *= dim;
  return std::size_t(product);
}

/// A dense row-major array.
template <typename S>
struct Array {
  Dims dims;
  std::vector<S> values;

  Array() = default;
  explicit Array(Dims d) : dims(std::move(d)), values(elements(dims)) {}
  Array(Dims d, std::vector<S> v) : dims(std::move(d)), values(std::move(v)) {}
  template <typename Other>
  explicit Array(const Array<Other>& other)
      : dims(other.dims), values(other.values.begin(), other.values.end()) {}

  std::int64_t last() const { return dims.empty() ? 1 : dims.back(); }
  std::int64_t rows() const { return std::int64_t(values.size()) / last(); }
  S& at(std::int64_t row, std::int64_t column) {
    return values[std::size_t(row * last() + column)];
  }
  const S& at(std::int64_t row, std::int64_t column) const {
    return values[std::size_t(row * last() + column)];
  }
};

inline double real(double x) {
  return x;
}
inline double real(const Complex& x) {
  return x.real();
}

template <typename S>
std::vector<double> real(const Array<S>& a) {
  std::vector<double> parts;
  for (const S& x : a.values) parts.push_back(real(x));
  return parts;
}

/// Calls visit(index) for every index of an array, in row-major order.
template <typename Visit>
void for_each_index(const Dims& dims, Visit visit) {
  Dims index(dims.size(), 0);
  for (std::size_t count = elements(dims); count > 0; --count) {
    visit(std::as_const(index));
    for (std::size_t axis = dims.size(); axis-- > 0;) {
      if (++index[axis] < dims[axis]) break;
      index[axis] = 0;
    }
  }
}

/// The element at `index` of the array, broadcast to a larger shape: axes are matched from the last
/// one, and an axis of size 1 has the same value everywhere.
template <typename S>
const S& broadcast_at(const Array<S>& a, const Dims& index) {
  std::size_t offset = 0;
  const std::size_t skipped = index.size() - a.dims.size();
  for (std::size_t axis = 0; axis < a.dims.size(); ++axis) {
    const std::int64_t i = a.dims[axis] == 1 ? 0 : index[axis + skipped];
    offset = offset * std::size_t(a.dims[axis]) + std::size_t(i);
  }
  return a.values[offset];
}

inline Dims broadcast(Dims a, Dims b) {
  while (a.size() < b.size()) a.insert(a.begin(), 1);
  while (b.size() < a.size()) b.insert(b.begin(), 1);
  for (std::size_t axis = 0; axis < a.size(); ++axis) a[axis] = a[axis] == 1 ? b[axis] : a[axis];
  return a;
}

template <typename S, typename F>
Array<S> map(const Array<S>& a, F f) {
  Array<S> out(a.dims);
  for (std::size_t k = 0; k < a.values.size(); ++k) out.values[k] = f(a.values[k]);
  return out;
}

template <typename S, typename F>
Array<S> zip(const Array<S>& a, const Array<S>& b, F f) {
  Array<S> out(broadcast(a.dims, b.dims));
  std::size_t k = 0;
  for_each_index(out.dims, [&](const Dims& index) {
    out.values[k++] = f(broadcast_at(a, index), broadcast_at(b, index));
  });
  return out;
}

template <typename S>
Array<S> broadcast_to(const Array<S>& a, const Dims& dims) {
  return zip(a, Array<S>(dims), [](S x, S) { return x; });
}

template <typename S>
S logistic(S x) {
  using std::exp;
  return S(1) / (S(1) + exp(-x));
}
template <typename S>
S relu(S x) {
  return real(x) > 0 ? x : S(0);
}

/// 2 / sqrt(pi) times the integral of e^(-t^2) from 0 to x, by its power series: to about 1e-13 for
/// |x| < 3.
template <typename S>
S erf(S x) {
  S power = x, sum = x;  // (-1)^n x^(2n + 1) / n!
  for (int n = 1; n < 80; ++n) {
    power *= -x * x / double(n);
    sum += power / double(2 * n + 1);
  }
  return sum * 2.0 / std::sqrt(std::acos(-1.0));
}
template <typename S>
S gelu(S x) {
  return x * (1.0 + erf(x / std::sqrt(2.0))) / 2.0;
}

/// Sum over the axes marked in `reduced`, which remain with size 1.
template <typename S>
Array<S> reduce_sum(const Array<S>& a, const std::vector<bool>& reduced) {
  Dims dims = a.dims;
  for (std::size_t axis = 0; axis < dims.size(); ++axis)
    if (reduced[axis]) dims[axis] = 1;
  Array<S> out(dims);
  std::size_t k = 0;
  for_each_index(a.dims, [&](const Dims& index) {
    const S& target = broadcast_at(out, index);
    out.values[std::size_t(&target - out.values.data())] += a.values[k++];
  });
  return out;
}

/// The maximum over these axes.
template <typename S>
Array<S> reduce_max(const Array<S>& a, const std::vector<bool>& reduced) {
  Array<S> out = reduce_sum(a, reduced);
  std::fill(out.values.begin(), out.values.end(), S(-1e300));
  std::size_t k = 0;
  for_each_index(a.dims, [&](const Dims& index) {
    const S& best = broadcast_at(out, index);
    const S& x = a.values[k++];
    if (real(x) > real(best)) out.values[std::size_t(&best - out.values.data())] = x;
  });
  return out;
}

/// The place of the first greatest element over these axes, in row-major order over them. NaN is
/// greater than every number.
template <typename S>
Array<std::int64_t> place_of_max(const Array<S>& a, const std::vector<bool>& reduced) {
  Dims dims = a.dims;
  for (std::size_t axis = 0; axis < dims.size(); ++axis)
    if (reduced[axis]) dims[axis] = 1;
  Array<std::int64_t> out(dims), seen(dims);
  Array<S> best(dims);
  std::size_t k = 0;
  for_each_index(a.dims, [&](const Dims& index) {
    const std::size_t at = std::size_t(&broadcast_at(out, index) - out.values.data());
    const S x = a.values[k++];
    const std::int64_t place = seen.values[at]++;
    if (place > 0 && !(x > best.values[at]) && !(x != x && best.values[at] == best.values[at]))
      return;
    best.values[at] = x;
    out.values[at] = place;
  });
  return out;
}

template <typename S>
Array<S> transpose(const Array<S>& a, const std::vector<int>& order) {
  Dims dims;
  for (const int axis : order) dims.push_back(a.dims[std::size_t(axis)]);
  Array<S> out(dims);
  std::size_t k = 0;
  for_each_index(dims, [&](const Dims& index) {
    Dims source(index.size());
    for (std::size_t axis = 0; axis < index.size(); ++axis)
      source[std::size_t(order[axis])] = index[axis];
    out.values[k++] = broadcast_at(a, source);
  });
  return out;
}

/// a [..., K] b [K, N] -> [..., N]; a transposed operand must be a matrix.
template <typename S>
Array<S> matmul(Array<S> a, Array<S> b, bool transpose_a = false, bool transpose_b = false) {
  if (transpose_a) a = transpose(a, {1, 0});
  if (transpose_b) b = transpose(b, {1, 0});
  Dims dims = a.dims;
  dims.back() = b.dims[1];
  Array<S> out(dims);
  for (std::int64_t m = 0; m < a.rows(); ++m)
    for (std::int64_t k = 0; k < a.last(); ++k)
      for (std::int64_t n = 0; n < b.last(); ++n) out.at(m, n) += a.at(m, k) * b.at(k, n);
  return out;
}

/// a [..., M, K] b [..., K, N] -> [..., M, N], the dimensions before the last two broadcast.
template <typename S>
Array<S> stacked_matmul(const Array<S>& a, const Array<S>& b, bool transpose_a, bool transpose_b) {
  const auto before = [](const Dims& dims) { return Dims(dims.begin(), dims.end() - 2); };
  const auto size = [](const Dims& dims, std::size_t k) { return dims[dims.size() - k]; };
  const std::int64_t m = size(a.dims, transpose_a ? 1 : 2),
                     inner = size(a.dims, transpose_a ? 2 : 1);
  const std::int64_t n = size(b.dims, transpose_b ? 2 : 1);
  Dims dims = broadcast(before(a.dims), before(b.dims));
  dims.push_back(m);
  dims.push_back(n);
  Array<S> out(dims);
  std::size_t at = 0;
  for_each_index(dims, [&](const Dims& index) {
    Dims left = index, right = index;
    const std::size_t row = index.size() - 2, column = index.size() - 1;
    S sum = 0;
    for (std::int64_t k = 0; k < inner; ++k) {
      left[row] = transpose_a ? k : index[row];
      left[column] = transpose_a ? index[row] : k;
      right[row] = transpose_b ? index[column] : k;
      right[column] = transpose_b ? k : index[column];
      sum += broadcast_at(a, left) * broadcast_at(b, right);
    }
    out.values[at++] = sum;
  });
  return out;
}

/// Each of the matrices [..., N, N] beside the identity, until it is the identity itself (Gauss and
/// Jordan, with the greatest pivot of each column). Gives the inverses, or the determinants.
template <typename S>
Array<S> eliminate(const Array<S>& a, bool wants_determinants) {
  const std::int64_t n = a.last(), size = n * n;
  Array<S> inverse(a.dims), determinants(Dims(a.dims.begin(), a.dims.end() - 2));
  for (std::size_t b = 0; b < determinants.values.size(); ++b) {
    Array<S> m({n, n}), e({n, n});
    for (std::int64_t k = 0; k < size; ++k)
      m.values[std::size_t(k)] = a.values[b * std::size_t(size) + std::size_t(k)];
    for (std::int64_t k = 0; k < n; ++k) e.at(k, k) = S(1);
    S determinant = 1;
    for (std::int64_t column = 0; column < n; ++column) {
      std::int64_t pivot = column;
      for (std::int64_t row = column; row < n; ++row)
        if (std::abs(real(m.at(row, column))) > std::abs(real(m.at(pivot, column)))) pivot = row;
      if (pivot != column) determinant = -determinant;
      determinant *= m.at(pivot, column);
      const S factor = S(1) / m.at(pivot, column);
      for (std::int64_t k = 0; k < n; ++k) {
        std::swap(m.at(pivot, k), m.at(column, k));
        std::swap(e.at(pivot, k), e.at(column, k));
        m.at(column, k) *= factor;
        e.at(column, k) *= factor;
      }
      for (std::int64_t row = 0; row < n; ++row) {
        const S times = m.at(row, column);
        for (std::int64_t k = 0; row != column && k < n; ++k) {
          m.at(row, k) -= times * m.at(column, k);
          e.at(row, k) -= times * e.at(column, k);
        }
      }
    }
    determinants.values[b] = determinant;
    std::copy(e.values.begin(), e.values.end(),
              inverse.values.begin() + std::ptrdiff_t(b) * std::ptrdiff_t(size));
  }
  return wants_determinants ? determinants : inverse;
}
template <typename S>
Array<S> inverse(const Array<S>& a) {
  return eliminate(a, false);
}
template <typename S>
Array<S> determinant(const Array<S>& a) {
  return eliminate(a, true);
}

/// Source: Ba, Kiros & Hinton 2016.
template <typename S>
Array<S> layer_norm(const Array<S>& x, const Array<S>& gain, const Array<S>& bias) {
  Array<S> out(x.dims);
  const double n = double(x.last());
  for (std::int64_t row = 0; row < x.rows(); ++row) {
    S mean = 0, variance = 0;
    for (std::int64_t k = 0; k < x.last(); ++k) mean += x.at(row, k) / n;
    for (std::int64_t k = 0; k < x.last(); ++k)
      variance += (x.at(row, k) - mean) * (x.at(row, k) - mean) / n;
    for (std::int64_t k = 0; k < x.last(); ++k)
      out.at(row, k) =
          (x.at(row, k) - mean) / std::sqrt(variance + 1e-5) * gain.values[std::size_t(k)] +
          bias.values[std::size_t(k)];
  }
  return out;
}

/// Where a window stands and what it skips, alike for both axes.
struct Steps {
  std::int64_t stride = 1, padding = 0, dilation = 1;
};

/// Calls visit(y's index, x's element or null for padding, place in the window) for each place of a
/// window [kh, kw] over x [N, C, H, W]; y is [N, C, OH, OW].
template <typename S, typename Visit>
Dims for_each_window(const Array<S>& x, const Dims& window, const Steps& steps, Visit visit) {
  const auto places = [&](std::size_t axis) {
    return (x.dims[2 + axis] + 2 * steps.padding - steps.dilation * (window[axis] - 1) - 1) /
               steps.stride +
           1;
  };
  const Dims out{x.dims[0], x.dims[1], places(0), places(1)};
  for_each_index(out, [&](const Dims& y) {
    for_each_index(window, [&](const Dims& k) {
      const std::int64_t h = y[2] * steps.stride + k[0] * steps.dilation - steps.padding;
      const std::int64_t w = y[3] * steps.stride + k[1] * steps.dilation - steps.padding;
      const bool inside = h >= 0 && h < x.dims[2] && w >= 0 && w < x.dims[3];
      visit(y, inside ? &broadcast_at(x, {y[0], y[1], h, w}) : nullptr, k);
    });
  });
  return out;
}

/// x [N, C, H, W], weight [F, C, KH, KW] -> [N, F, OH, OW]
template <typename S>
Array<S> convolution(const Array<S>& x, const Array<S>& weight, const Steps& steps) {
  const Dims window{weight.dims[2], weight.dims[3]};
  Dims dims = for_each_window(x, window, steps, [](const Dims&, const S*, const Dims&) {});
  dims[1] = weight.dims[0];
  Array<S> out(dims);
  for (std::int64_t f = 0; f < weight.dims[0]; ++f)
    for_each_window(x, window, steps, [&](const Dims& y, const S* value, const Dims& k) {
      if (!value) return;
      const std::int64_t at = ((y[0] * dims[1] + f) * dims[2] + y[2]) * dims[3] + y[3];
      out.values[std::size_t(at)] += *value * broadcast_at(weight, {f, y[1], k[0], k[1]});
    });
  return out;
}

/// The greatest of each window [N, C, OH, OW], or with `mean` their mean, where padding is 0.
template <typename S>
Array<S> pool(const Array<S>& x, std::int64_t height, std::int64_t width, const Steps& steps,
              bool mean) {
  const Dims window{height, width};
  Array<S> out(for_each_window(x, window, steps, [](const Dims&, const S*, const Dims&) {}));
  if (!mean) std::fill(out.values.begin(), out.values.end(), S(-1e300));
  for_each_window(x, window, steps, [&](const Dims& y, const S* value, const Dims&) {
    S& target = out.values[std::size_t(&broadcast_at(out, y) - out.values.data())];
    if (!value) return;
    if (mean)
      target += *value / double(height * width);
    else if (real(*value) > real(target))
      target = *value;
  });
  return out;
}

template <typename S>
Array<S> log_softmax(const Array<S>& x) {
  Array<S> out(x.dims);
  for (std::int64_t row = 0; row < x.rows(); ++row) {
    double highest = real(x.at(row, 0));
    for (std::int64_t k = 0; k < x.last(); ++k) highest = std::max(highest, real(x.at(row, k)));
    S sum = 0;
    for (std::int64_t k = 0; k < x.last(); ++k) sum += std::exp(x.at(row, k) - highest);
    for (std::int64_t k = 0; k < x.last(); ++k)
      out.at(row, k) = x.at(row, k) - highest - std::log(sum);
  }
  return out;
}

template <typename S>
Array<S> softmax(const Array<S>& x) {
  return map(log_softmax(x), [](S y) { return std::exp(y); });
}

template <typename S>
Array<S> slice(const Array<S>& a, std::size_t axis, std::int64_t begin, std::int64_t end) {
  Dims dims = a.dims;
  dims[axis] = end - begin;
  Array<S> out(dims);
  std::size_t k = 0;
  for_each_index(dims, [&](Dims index) {
    index[axis] += begin;
    out.values[k++] = broadcast_at(a, index);
  });
  return out;
}

template <typename S>
Array<S> concat(const std::vector<Array<S>>& parts, std::size_t axis) {
  Dims dims = parts[0].dims;
  dims[axis] = 0;
  for (const Array<S>& part : parts) dims[axis] += part.dims[axis];
  Array<S> out(dims);
  std::size_t k = 0;
  for_each_index(dims, [&](Dims index) {
    std::size_t part = 0;
    while (index[axis] >= parts[part].dims[axis]) index[axis] -= parts[part++].dims[axis];
    out.values[k++] = broadcast_at(parts[part], index);
  });
  return out;
}

/// Rows of a table; an id out of range gives zeros.
template <typename S>
Array<S> gather(const Array<S>& table, const std::vector<std::int32_t>& ids, Dims dims) {
  dims.push_back(table.last());
  Array<S> out(dims);
  for (std::size_t m = 0; m < ids.size(); ++m)
    for (std::int64_t e = 0; e < table.last(); ++e)
      if (ids[m] >= 0 && ids[m] < table.rows()) out.at(std::int64_t(m), e) = table.at(ids[m], e);
  return out;
}

/// The elements along an axis by their ids of shape `id_dims`; an id out of range gives zeros.
template <typename S>
Array<S> gather_along(const Array<S>& a, std::size_t axis, const std::vector<std::int64_t>& ids,
                      const Dims& id_dims) {
  Dims dims(a.dims.begin(), a.dims.begin() + std::ptrdiff_t(axis));
  dims.insert(dims.end(), id_dims.begin(), id_dims.end());
  dims.insert(dims.end(), a.dims.begin() + std::ptrdiff_t(axis) + 1, a.dims.end());
  Array<S> out(dims);
  std::size_t k = 0;
  for_each_index(dims, [&](const Dims& index) {
    Dims source(index.begin(), index.begin() + std::ptrdiff_t(axis));
    std::size_t place = 0;
    for (std::size_t d = 0; d < id_dims.size(); ++d)
      place = place * std::size_t(id_dims[d]) + std::size_t(index[axis + d]);
    const std::int64_t id = ids[place];
    source.push_back(id);
    source.insert(source.end(), index.begin() + std::ptrdiff_t(axis + id_dims.size()), index.end());
    out.values[k++] = id >= 0 && id < a.dims[axis] ? broadcast_at(a, source) : S(0);
  });
  return out;
}

/// `value` around an array: so many before and after each axis.
template <typename S>
Array<S> pad(const Array<S>& a, const Dims& before, const Dims& after, double value) {
  Dims dims = a.dims;
  for (std::size_t axis = 0; axis < dims.size(); ++axis) dims[axis] += before[axis] + after[axis];
  Array<S> out(dims);
  std::size_t k = 0;
  for_each_index(dims, [&](Dims index) {
    bool inside = true;
    for (std::size_t axis = 0; axis < index.size(); ++axis) {
      index[axis] -= before[axis];
      inside = inside && index[axis] >= 0 && index[axis] < a.dims[axis];
    }
    out.values[k++] = inside ? broadcast_at(a, index) : S(value);
  });
  return out;
}

template <typename S>
Array<S> tile(const Array<S>& a, const Dims& repeats) {
  Dims dims = a.dims;
  for (std::size_t axis = 0; axis < dims.size(); ++axis) dims[axis] *= repeats[axis];
  Array<S> out(dims);
  std::size_t k = 0;
  for_each_index(dims, [&](Dims index) {
    for (std::size_t axis = 0; axis < index.size(); ++axis) index[axis] %= a.dims[axis];
    out.values[k++] = broadcast_at(a, index);
  });
  return out;
}

template <typename S>
Array<S> cumulative_sum(const Array<S>& a, std::size_t axis, bool exclusive, bool reverse) {
  Array<S> out(a.dims);
  std::size_t k = 0;
  for_each_index(a.dims, [&](Dims index) {
    const std::int64_t own = index[axis];
    S sum = 0;
    for (index[axis] = 0; index[axis] < a.dims[axis]; ++index[axis]) {
      const bool earlier = reverse ? index[axis] > own : index[axis] < own;
      if (earlier || (!exclusive && index[axis] == own)) sum += broadcast_at(a, index);
    }
    out.values[k++] = sum;
  });
  return out;
}

/// sum(weights * a): the scalar whose gradient the tests check.
template <typename S>
S weighted_sum(const Array<double>& weights, const Array<S>& a) {
  S sum = 0;
  for (std::size_t k = 0; k < a.values.size(); ++k) sum += weights.values[k] * a.values[k];
  return sum;
}

/// Far below the resolution of float64, so there is no truncation error.
inline constexpr double kComplexStep = 1e-100;

using ComplexLoss = std::function<Complex(const std::vector<Array<Complex>>&)>;

/// d loss / d input for every element of every input: for an analytic loss f,
/// f'(x) = Im f(x + i e) / e without cancellation. Source: Squire & Trapp 1998.
inline std::vector<Array<double>> complex_step(const std::vector<Array<double>>& inputs,
                                               const ComplexLoss& loss) {
  std::vector<Array<Complex>> points(inputs.begin(), inputs.end());
  std::vector<Array<double>> slopes;
  for (Array<Complex>& point : points) {
    Array<double>& slope = slopes.emplace_back(point.dims);
    for (std::size_t k = 0; k < point.values.size(); ++k) {
      point.values[k] += Complex(0, kComplexStep);
      slope.values[k] = loss(points).imag() / kComplexStep;
      point.values[k] = point.values[k].real();
    }
  }
  return slopes;
}

/// The same along one direction per input: sum_k direction_k d loss / d input_k.
inline std::vector<double> complex_step_along(const std::vector<Array<double>>& inputs,
                                              const std::vector<Array<double>>& directions,
                                              const ComplexLoss& loss) {
  std::vector<Array<Complex>> points(inputs.begin(), inputs.end());
  std::vector<double> slopes;
  for (std::size_t i = 0; i < points.size(); ++i) {
    for (std::size_t k = 0; k < points[i].values.size(); ++k)
      points[i].values[k] += Complex(0, kComplexStep * directions[i].values[k]);
    slopes.push_back(loss(points).imag() / kComplexStep);
    points[i] = Array<Complex>(inputs[i]);
  }
  return slopes;
}

}  // namespace unroll::reference
