/// One sequence of a linear-chain conditional random field: all timesteps of the forward algorithm,
/// of its gradient, and of Viterbi. unroll/kernels/crf.h has the formulas. Vectors run over the tag
/// that a product gives, so nothing is summed across lanes but once per sequence.
#include "host/cpu/crf_kernel.h"

#include "host/cpu/packet.h"
#include "unroll/kernels/crf.h"

namespace unroll::host::UNROLL_ISA {
namespace {

constexpr int kBlockPackets = 4;  // whose sums stay in registers

/// The number of floats of [at, tags) that a packet at `at` holds.
UNROLL_INLINE std::int64_t count_at(std::int64_t at, std::int64_t tags) {
  return at + kPacketWidth <= tags ? kPacketWidth : at < tags ? tags - at : 0;
}

/// Calls f(at, count) for each packet of a padded row.
template <typename Function>
UNROLL_INLINE void for_each_lane_group(const ChainShape& s, const Function& f) {
  for (std::int64_t at = 0; at < s.stride; at += kPacketWidth) f(at, count_at(at, s.tags));
}

/// Like load(x, count), but `other` in the rest.
UNROLL_INLINE Packet load_or(const float* x, std::int64_t count, float other) {
  if (count == kPacketWidth) return load(x);
  float lanes[kPacketWidth];
  for (int i = 0; i < kPacketWidth; ++i) lanes[i] = i < count ? x[i] : other;
  return load(lanes);
}

/// y[j] = sum_i x[i] matrix[i, j] for `packets` packets of columns from `at` on: two chains, of the
/// even and of the odd i.
template <int packets>
UNROLL_INLINE void product_block(const ChainShape& s, const float* x, const float* matrix,
                                 float* y) {
  Packet even[packets], odd[packets];
  for (int k = 0; k < packets; ++k) even[k] = odd[k] = Packet(0.0f);
  std::int64_t i = 0;
  for (; i + 2 <= s.tags; i += 2) {
    const float* row = matrix + i * s.stride;
    const Packet first(x[i]), second(x[i + 1]);
    for (int k = 0; k < packets; ++k) {
      even[k] = fma(first, load(row + k * kPacketWidth), even[k]);
      odd[k] = fma(second, load(row + s.stride + k * kPacketWidth), odd[k]);
    }
  }
  if (i < s.tags)
    for (int k = 0; k < packets; ++k)
      even[k] = fma(Packet(x[i]), load(matrix + i * s.stride + k * kPacketWidth), even[k]);
  for (int k = 0; k < packets; ++k) store(y + k * kPacketWidth, even[k] + odd[k]);
}

/// y[j] = sum_i x[i] matrix[i, j], with rows `stride` apart.
void product(const ChainShape& s, const float* x, const float* matrix, float* y) {
  std::int64_t at = 0;
  for (; at + kBlockPackets * kPacketWidth <= s.stride; at += kBlockPackets * kPacketWidth)
    product_block<kBlockPackets>(s, x, matrix + at, y + at);
  for (; at < s.stride; at += kPacketWidth) product_block<1>(s, x, matrix + at, y + at);
}

UNROLL_INLINE float max_of_row(const ChainShape& s, const float* x) {
  Packet most(-__builtin_inff());
  for_each_lane_group(s, [&](std::int64_t at, std::int64_t) { most = max(most, load(x + at)); });
  return horizontal_max(most);
}

/// ln sum_i e^x[i] over a padded row whose padding is -inf.
float log_sum(const ChainShape& s, const float* x) {
  const float most = max_of_row(s, x);
  if (most == -__builtin_inff()) {  // no term, unless a NaN is among them
    Packet total(0.0f);
    for_each_lane_group(s, [&](std::int64_t at, std::int64_t) { total += load(x + at); });
    return horizontal_sum(total);
  }
  Packet total(0.0f);
  for_each_lane_group(
      s, [&](std::int64_t at, std::int64_t) { total += exp(load(x + at) - Packet(most)); });
  return most + log(Packet(horizontal_sum(total))).v[0];
}

/// terms[i] = alpha[i] + transitions[i, j]; returns the logarithm of the sum of their exponentials.
float exact_column(const ChainShape& s, const float* alpha, std::int64_t j, float* terms) {
  for (std::int64_t i = 0; i < s.tags; ++i) terms[i] = alpha[i] + s.transitions[i * s.tags + j];
  for (std::int64_t i = s.tags; i < s.stride; ++i) terms[i] = -__builtin_inff();
  return log_sum(s, terms);
}

/// Makes alpha relative to its maximum, which it returns, and p its exponential.
float normalize(const ChainShape& s, float* alpha, float* p) {
  const float most = max_of_row(s, alpha);
  for_each_lane_group(s, [&](std::int64_t at, std::int64_t) {
    const Packet relative = load(alpha + at) - Packet(most);
    store(alpha + at, relative);
    store(p + at, exp(relative));
  });
  return most;
}

UNROLL_INLINE void copy_tags(const ChainShape& s, const float* from, float* to) {
  for_each_lane_group(s, [&](std::int64_t at, std::int64_t count) {
    store(to + at, load(from + at, count), count);
  });
}

double forward(const ChainForward& a) {
  const ChainShape& s = a.shape;
  const float infinity = __builtin_inff();
  float *alpha = a.work, *next = alpha + s.stride, *p = next + s.stride, *sums = p + s.stride,
        *terms = sums + s.stride;
  for_each_lane_group(s, [&](std::int64_t at, std::int64_t count) {
    store(alpha + at, load_or(a.start + at, count, -infinity) + load(a.scores + at, count));
  });
  double total = double(normalize(s, alpha, p));
  if (a.alpha) copy_tags(s, alpha, a.alpha);
  for (std::int64_t t = 1; t < s.steps; ++t) {
    const float* scores = a.scores + t * s.row;
    product(s, p, a.matrix, sums);
    Packet least(infinity);
    for_each_lane_group(s, [&](std::int64_t at, std::int64_t count) {
      const Packet sum = load(sums + at);
      least = min(least, sum);
      store(next + at, (log(sum) + load(a.shift + at)) + load(scores + at, count));
    });
    if (reduce(least, [](Packet x, Packet y) { return min(x, y); }) < kLeastCrfSum)
      for (std::int64_t j = 0; j < s.tags; ++j)
        if (sums[j] < kLeastCrfSum) {
          sums[j] = 0;
          next[j] = exact_column(s, alpha, j, terms) + scores[j];
        }
    float* const before = alpha;
    alpha = next;
    next = before;
    total += double(normalize(s, alpha, p));
    if (a.alpha) copy_tags(s, alpha, a.alpha + t * s.row);
    if (a.sums) copy_tags(s, sums, a.sums + t * s.row);
  }
  for_each_lane_group(s, [&](std::int64_t at, std::int64_t count) {
    store(alpha + at, load(alpha + at) + load(a.end + at, count));
  });
  return total + double(log_sum(s, alpha));
}

/// The columns that have no sum: adds P(y_{t-1} = i | y_t = j) mu[j] to before[i], and stores ln
/// mu[j] - ln sum_i e^(alpha[i] + transitions[i, j]), to which alpha and transitions are yet to be
/// added.
void exact_columns(const ChainBackward& a, std::int64_t t, const float* alpha, const float* mu,
                   float* before) {
  const ChainShape& s = a.shape;
  const float infinity = __builtin_inff();
  float *exact = a.exact + t * s.row, *terms = before + s.stride;
  const float* sums = a.sums + t * s.row;
  for_each_lane_group(
      s, [&](std::int64_t at, std::int64_t count) { store(exact + at, Packet(-infinity), count); });
  for (std::int64_t j = 0; j < s.tags; ++j) {
    if (sums[j] != 0 || mu[j] == 0) continue;
    a.has_exact[t * a.batch] = 1;
    const float all = exact_column(s, alpha, j, terms);
    exact[j] = log(Packet(mu[j])).v[0] - all;
    for_each_lane_group(s, [&](std::int64_t at, std::int64_t) {
      store(before + at,
            fma(exp(load(terms + at) - Packet(all)), Packet(mu[j]), load(before + at)));
    });
  }
}

void backward(const ChainBackward& a) {
  const ChainShape& s = a.shape;
  const Packet dloss(a.dloss);
  float *alpha = a.work, *mu = alpha + s.stride, *r = mu + s.stride, *before = r + s.stride;
  const auto load_alpha = [&](std::int64_t t) {
    for_each_lane_group(s, [&](std::int64_t at, std::int64_t count) {
      store(alpha + at, load_or(a.alpha + t * s.row + at, count, -__builtin_inff()));
    });
  };
  load_alpha(s.steps - 1);
  for_each_lane_group(s, [&](std::int64_t at, std::int64_t count) {
    store(mu + at, load(alpha + at) + load(a.end + at, count));
  });
  const float all = log_sum(s, mu);
  for_each_lane_group(
      s, [&](std::int64_t at, std::int64_t) { store(mu + at, exp(load(mu + at) - Packet(all))); });
  for (std::int64_t t = s.steps - 1;; --t) {
    float* const dscores = a.dscores + t * s.row;
    for_each_lane_group(s, [&](std::int64_t at, std::int64_t count) {
      store(dscores + at, load(mu + at) * dloss, count);
    });
    dscores[a.tags[t * a.batch]] -= a.dloss;
    if (t == 0) return;
    load_alpha(t - 1);
    Packet least(__builtin_inff());
    for_each_lane_group(s, [&](std::int64_t at, std::int64_t count) {
      const Packet sum = load_or(a.sums + t * s.row + at, count, 1.0f);
      const Packet share = select(sum == Packet(0.0f), Packet(0.0f), load(mu + at) / sum);
      least = min(least, sum);
      store(r + at, share);
      store(a.right + t * s.row + at, share * dloss, count);
    });
    const bool any_exact = reduce(least, [](Packet x, Packet y) { return min(x, y); }) == 0;
    product(s, r, a.matrix, before);
    for_each_lane_group(s, [&](std::int64_t at, std::int64_t count) {
      const Packet p = exp(load(alpha + at));
      store(a.left + (t - 1) * s.row + at, p, count);
      store(before + at, load(before + at) * p);
    });
    if (any_exact) exact_columns(a, t, alpha, mu, before);
    for_each_lane_group(s,
                        [&](std::int64_t at, std::int64_t) { store(mu + at, load(before + at)); });
  }
}

/// best[j] = max_i x[i] + matrix[i, j] and where[j] the first i that has it, for columns from `at`
/// on. A NaN counts as greater than all.
template <int packets>
UNROLL_INLINE void best_block(const ChainShape& s, const float* x, const float* matrix, float* best,
                              float* where) {
  Packet most[packets], from[packets];
  for (int k = 0; k < packets; ++k) {
    most[k] = Packet(-__builtin_inff());
    from[k] = Packet(0.0f);
  }
  for (std::int64_t i = 0; i < s.tags; ++i) {
    const Packet before(x[i]), place = Packet(float(i));
    for (int k = 0; k < packets; ++k) {
      const Packet sum = before + load(matrix + i * s.stride + k * kPacketWidth);
      const Mask better = (sum > most[k]) | (sum != sum);
      most[k] = select(better, sum, most[k]);
      from[k] = select(better, place, from[k]);
    }
  }
  for (int k = 0; k < packets; ++k) {
    store(best + k * kPacketWidth, most[k]);
    store(where + k * kPacketWidth, from[k]);
  }
}

void decode(const ChainDecode& a) {
  const ChainShape& s = a.shape;
  const float infinity = __builtin_inff();
  float *value = a.work, *next = value + s.stride;
  for_each_lane_group(s, [&](std::int64_t at, std::int64_t count) {
    store(value + at, load_or(a.start + at, count, -infinity) + load(a.scores + at, count));
  });
  for (std::int64_t t = 0;; ++t) {
    // Relative to the maximum, so that sums keep their digits.
    const Packet most(max_of_row(s, value));
    for_each_lane_group(
        s, [&](std::int64_t at, std::int64_t) { store(value + at, load(value + at) - most); });
    if (t == s.steps - 1) break;
    float* const where = a.where + (t + 1) * s.stride;
    std::int64_t at = 0;
    for (; at + kBlockPackets * kPacketWidth <= s.stride; at += kBlockPackets * kPacketWidth)
      best_block<kBlockPackets>(s, value, a.matrix + at, next + at, where + at);
    for (; at < s.stride; at += kPacketWidth)
      best_block<1>(s, value, a.matrix + at, next + at, where + at);
    const float* scores = a.scores + (t + 1) * s.row;
    for_each_lane_group(s, [&](std::int64_t k, std::int64_t count) {
      store(value + k, load(next + k) + load(scores + k, count));
    });
  }
  float best = -infinity;
  std::int32_t tag = -1;
  for (std::int64_t j = 0; j < s.tags; ++j) {
    const float sum = value[j] + a.end[j];
    if (sum > best || sum != sum) {
      best = sum;
      tag = std::int32_t(j);
    }
  }
  const bool found = best > -infinity && best < infinity;
  for (std::int64_t t = s.steps - 1; t >= 0; --t) {
    a.tags[t * a.batch] = found ? tag : -1;
    if (found && t > 0) tag = std::int32_t(a.where[t * s.stride + tag]);
  }
}

void exp_row(const float* x, const float* shift, float* y, std::int64_t n) {
  for (std::int64_t at = 0; at < n; at += kPacketWidth) {
    const std::int64_t count = count_at(at, n);
    store(y + at, exp(load(x + at, count) - load(shift + at, count)), count);
  }
}

void pair_gradients(const PairGradients& a) {
  for (std::int64_t at = 0; at < a.tags; at += kPacketWidth) {
    const std::int64_t count = count_at(at, a.tags);
    const Packet p = exp((load(a.transitions + at, count) + Packet(a.alpha)) +
                         load_or(a.exact + at, count, -__builtin_inff()));
    store(a.dtransitions + at, fma(p, Packet(a.dloss), load(a.dtransitions + at, count)), count);
  }
}

}  // namespace

extern const ChainKernels kChainKernels = {forward, backward, decode, exp_row, pair_gradients};

}  // namespace unroll::host::UNROLL_ISA
