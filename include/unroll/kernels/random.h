/// Kernels that draw random numbers: a function of (key, step, index), so that neither order nor
/// device matters.
#pragma once

#include <cstddef>
#include <cstdint>

#include "unroll/tensor.h"

namespace unroll {

/// out = in / (1 - rate) where the element's Philox word is at or above rate 2^32, else 0. The
/// gradient is the same operation on dy. Aliasing: out may be in.
struct Dropout {
  View in;
  View out;
  float rate;
  std::uint64_t key;  // math::philox_key(seed, site)
  View step;          // [1] int64
};

/// Draws an id from each row, with probability proportional to e^(ln p / temperature). Only the
/// top_k most probable ids are kept, then the fewest of these that together reach top_p of their
/// sum, then those at least min_p times as probable as the first, which is always kept. If two are
/// equally probable, the smaller id comes first. The draw inverts the running sums in this order,
/// in float64, at uniform53() of Philox's counter (n, step) for row n. Source    of top_p: Holtzman
/// et al. 2020; of min_p: Nguyen et al. 2024.
struct Sample {
  View log_prob;             // [N, V]: normalised or not; -inf excludes an id
  double temperature;        // 0: the most probable id
  std::int64_t top_k;        // 0: all
  double top_p;              // in (0, 1]
  double min_p;              // in [0, 1]
  std::int64_t excluded_id;  // as if its log_prob were -inf; any other number: none
  std::uint64_t key;         // math::philox_key(seed, site)
  View step;                 // [1] int64
  View id;                   // [N] int32 out: -1 if a row's greatest is not finite, or one is NaN
  View scratch;              // sample_scratch_bytes(N, V)
};

/// The ids 0 to N - 1 in ascending order of their Philox words; equal words keep the ids' order.
struct Permutation {
  std::uint64_t key;  // math::philox_key(seed, site)
  View step;          // [1] int64
  View order;         // [N] int32 out
  View inverse;       // [N] int32 out: inverse[order[k]] = k
  View scratch;       // permutation_scratch_bytes(N)
};

class RandomKernels {
 public:
  virtual ~RandomKernels() = default;
  virtual void dropout(const Dropout& args) = 0;
  virtual std::size_t sample_scratch_bytes(std::int64_t rows, std::int64_t ids) const = 0;
  virtual void sample(const Sample& args) = 0;
  virtual std::size_t permutation_scratch_bytes(std::int64_t ids) const = 0;
  virtual void permutation(const Permutation& args) = 0;
};

}  // namespace unroll
