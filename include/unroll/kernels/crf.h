/// Kernels of a linear-chain conditional random field. unroll/ops/crf.h says what they compute.
///
/// alpha_t[j] is the logarithm of the sum over all ways to tag the first t + 1 words so that the
/// last tag is j. Both backends keep it relative to its maximum m_t over the tags, so it does not
/// lose digits as t grows, and add the maxima in float64. With E[i, j] = e^(transitions[i, j] -
/// c_j), where c_j is the maximum of column j, a timestep is a product of a vector and a matrix:
///     s_t[j] = sum_i e^alpha_{t-1}[i] E[i, j],   alpha_t[j] = ln s_t[j] + c_j + scores[t, j] - m_t
/// What underflows in it is below 2^-126. Where s_t[j] is below kLeastCrfSum, that might be felt:
/// the logarithm is then computed from the K sums alpha + transitions themselves, and s_t[j] is
/// stored as 0 to say so.
///
/// Backward, with mu_t[j] the probability of tag j at t and r_t[j] = mu_t[j] / s_t[j]:
///     mu_{t-1}[i] = e^alpha_{t-1}[i] sum_j E[i, j] r_t[j]
///     P(y_{t-1} = i, y_t = j) = e^alpha_{t-1}[i] E[i, j] r_t[j]
/// so the gradient of the transitions is one product over all timesteps and sequences.
#pragma once

#include <cstddef>
#include <cstdint>

#include "unroll/tensor.h"

namespace unroll {

/// 2^38 above what is lost: with 1024 tags a sum still errs by less than a rounding.
inline constexpr float kLeastCrfSum = 0x1p-88F;

struct CrfSize {
  std::int64_t steps, batch, tags;  // T, N, K
};

struct CrfWeightViews {
  View transitions;        // [K, K]
  View start_transitions;  // [K]
  View end_transitions;    // [K]
};

struct CrfLoss {
  View scores;   // [T, N, K]
  View tags;     // [T, N] int32
  View lengths;  // [N] int32
  CrfWeightViews weights;
  View loss;     // [N] out; like the following, empty where not wanted
  View alpha;    // [T, N, K] out, for the gradient: undefined where a sequence does not count
  View sums;     // [T, N, K] out, for the gradient: s_t; undefined at t = 0, too
  View scratch;  // crf_scratch_bytes(kLoss)
};

struct CrfLossGradient {
  View tags;     // [T, N] int32
  View lengths;  // [N] int32
  CrfWeightViews weights;
  View alpha, sums;         // [T, N, K]
  View dloss;               // [N]: gradient of the cost with respect to each loss
  View dscores;             // [T, N, K] out; like the following, empty where not wanted
  CrfWeightViews dweights;  // out
  View scratch;             // crf_scratch_bytes(kLossGradient)
};

struct CrfDecode {
  View scores;   // [T, N, K]
  View lengths;  // [N] int32
  CrfWeightViews weights;
  View tags;     // [T, N] int32 out
  View scratch;  // crf_scratch_bytes(kDecode)
};

enum class CrfPass : std::uint8_t { kLoss, kLossGradient, kDecode };

class CrfKernels {
 public:
  virtual ~CrfKernels() = default;
  virtual std::size_t crf_scratch_bytes(CrfPass pass, const CrfSize& size) const = 0;
  virtual void crf_loss(const CrfLoss& args) = 0;
  virtual void crf_loss_gradient(const CrfLossGradient& args) = 0;
  virtual void crf_decode(const CrfDecode& args) = 0;
};

}  // namespace unroll
