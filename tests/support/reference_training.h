/// Reference versions of random numbers, the loss over a decoder, and the optimisers.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "tests/support/reference.h"
#include "unroll/backend.h"

namespace unroll::reference {

using Words = std::array<std::uint32_t, 4>;

/// Philox4x32-10 as in section 3.3 of Salmon et al. 2011: each round has two 32 x 32 -> 64 bit
/// products, whose high halves are mixed with the other words and the key; the key is bumped in
/// between.
inline Words philox4x32(Words counter, std::array<std::uint32_t, 2> key) {
  const auto high = [](std::uint64_t product) { return std::uint32_t(product >> 32); };
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t left = std::uint64_t{0xD2511F53} * counter[0];
    const std::uint64_t right = std::uint64_t{0xCD9E8D57} * counter[2];
    const Words next{high(right) ^ counter[1] ^ key[0], std::uint32_t(right),
                     high(left) ^ counter[3] ^ key[1], std::uint32_t(left)};
    counter = next;
    key = {key[0] + 0x9E3779B9U, key[1] + 0xBB67AE85U};  // golden ratio, sqrt(3) - 1
  }
  return counter;
}

/// The factors by which dropout multiplies an array: 0 or 1 / (1 - rate). Element k takes word k %
/// 4 of the block with counter (k / 4, step), and is kept if the word is at least rate 2^32.
inline Array<double> dropout_mask(const Dims& dims, double rate, std::uint64_t key,
                                  std::int64_t step) {
  Array<double> mask(dims);
  const auto low = [](std::uint64_t x) { return std::uint32_t(x & 0xFFFFFFFF); };
  for (std::size_t k = 0; k < mask.values.size(); ++k) {
    const std::uint64_t block = k / 4, at = std::uint64_t(step);
    const Words words = philox4x32({low(block), low(block >> 32), low(at), low(at >> 32)},
                                   {low(key), low(key >> 32)});
    mask.values[k] = double(words[k % 4]) >= rate * 0x1p32 ? 1 / (1 - rate) : 0;
  }
  return mask;
}

/// FNV-1a of the site's name (Fowler, Noll & Vo), advanced by `seed` steps of SplitMix64's counter
/// and finished like SplitMix64 (Steele, Lea & Flood 2014).
inline std::uint64_t philox_key(std::uint64_t seed, const std::string& site) {
  std::uint64_t hash = 14695981039346656037U;
  for (const char c : site) {
    hash ^= static_cast<unsigned char>(c);
    hash *= 1099511628211U;
  }
  std::uint64_t z = hash + seed * 0x9E3779B97F4A7C15U;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
  return z ^ (z >> 31);
}

struct Sampling {
  double temperature = 1;  // above 0
  std::int64_t top_k = 0;  // 0: all
  double top_p = 1;
  std::uint64_t key = 0;
  std::int64_t step = 0;
  std::int64_t row = 0;
  double min_p = 0;
  std::int64_t excluded_id = -1;
};

/// Draws an id. Ids are ordered by descending probability, then by number. The first top_k remain,
/// and of these the fewest whose sum reaches top_p of the whole (Holtzman et al. 2020), and of
/// these the ones that have at least min_p of the greatest probability (Nguyen et al. 2024). A
/// 53-bit uniform number, from the first two words of the block with counter (step, row), selects
/// the id in whose share of the remaining sum it falls.
inline std::int32_t sample(const std::vector<float>& log_prob, const Sampling& how) {
  std::vector<std::int32_t> order(log_prob.size());
  std::iota(order.begin(), order.end(), 0);
  const auto p = [&](std::int32_t id) {
    return id == how.excluded_id ? -std::numeric_limits<double>::infinity()
                                 : double(log_prob[std::size_t(id)]);
  };
  std::ranges::stable_sort(order, [&](std::int32_t a, std::int32_t b) { return p(a) > p(b); });
  if (how.top_k > 0) order.resize(std::min(order.size(), std::size_t(how.top_k)));
  std::vector<double> weights;
  for (const std::int32_t id : order)
    weights.push_back(std::exp((p(id) - p(order[0])) / how.temperature));
  const double limit = how.top_p * std::accumulate(weights.begin(), weights.end(), 0.0);
  std::size_t kept = 0;
  for (double sum = 0; kept == 0 || (kept < weights.size() && sum < limit);) sum += weights[kept++];
  while (kept > 1 && weights[kept - 1] < how.min_p) --kept;
  weights.resize(kept);

  const auto low = [](std::uint64_t x) { return std::uint32_t(x & 0xFFFFFFFF); };
  const auto at = std::uint64_t(how.step), row = std::uint64_t(how.row);
  const Words words = philox4x32({low(at), low(at >> 32), low(row), low(row >> 32)},
                                 {low(how.key), low(how.key >> 32)});
  const double uniform = (double(words[0]) * 0x1p21 + double(words[1] >> 11)) * 0x1p-53;
  double rest = uniform * std::accumulate(weights.begin(), weights.end(), 0.0);
  std::size_t k = 0;
  while (k + 1 < kept && rest >= weights[k]) rest -= weights[k++];
  return order[k];
}

struct LossOptions {
  std::int64_t ignored_id = -1;
  bool mean = false;
  double scale = 1;
};

template <typename S>
struct LossResult {
  S loss = 0;
  std::vector<S> log_prob;  // per row; 0 where ignored
  std::vector<double> hit;  // 1 where the target is the first best class
};

/// h [M, H], weight [V, H], bias [V]; row_weights [M] or empty. A bad target gives NaN.
template <typename S>
LossResult<S> softmax_cross_entropy(const Array<S>& h, const Array<S>& weight, const Array<S>& bias,
                                    const std::vector<std::int32_t>& targets,
                                    const std::vector<double>& row_weights,
                                    const LossOptions& options) {
  const Array<S> logits = zip(matmul(h, weight, false, true), bias, [](S a, S b) { return a + b; });
  const Array<S> log_p = log_softmax(logits);
  LossResult<S> out;
  double total = 0;
  for (std::int64_t m = 0; m < h.rows(); ++m) {
    const std::int64_t target = targets[std::size_t(m)];
    const bool ignored = target == options.ignored_id;
    const bool valid = target >= 0 && target < weight.rows();
    const double w = row_weights.empty() ? 1 : row_weights[std::size_t(m)];
    const S value = ignored ? S(0)
                    : valid ? log_p.at(m, target)
                            : S(std::numeric_limits<double>::quiet_NaN());
    std::int64_t best = 0;
    for (std::int64_t v = 1; v < weight.rows(); ++v)
      if (real(logits.at(m, v)) > real(logits.at(m, best))) best = v;
    out.log_prob.push_back(value);
    out.hit.push_back(!ignored && best == target ? 1 : 0);
    if (ignored) continue;
    out.loss -= w * value;
    total += w;
  }
  out.loss *= options.mean ? 1 / total : options.scale;
  return out;
}

struct OptimizedParameter {
  std::vector<double> value;
  std::vector<double> slots[2] = {};  // momentum | s | m, v; empty until the first step
};

struct OptimizerState {
  std::vector<OptimizedParameter> parameters;
  std::int64_t updates = 0, skipped = 0;
  double norm = 0;
};

/// Refuses a loss above the ceiling. After a hundred losses, one above mean + max(10 sd, 3) of
/// those before is a jump.
struct LossGuard {
  double ceiling;
  double mean = 0, variance = 0;
  int count = 0, jumps = 0;

  double jump_limit() const {
    return count < 100 ? std::numeric_limits<double>::infinity()
                       : mean + std::max(10 * std::sqrt(variance), 3.0);
  }
  /// Returns whether the loss may pass.
  bool accept(double loss) {
    if (!std::isfinite(loss) || loss > ceiling) return false;
    if (loss > jump_limit()) ++jumps;
    const double weight = std::max(0.01, 1.0 / ++count), difference = loss - mean;
    mean += weight * difference;
    variance = (1 - weight) * (variance + weight * difference * difference);
    return true;
  }
};

/// Turns the clipped gradient of one element into a step. Sources: Polyak 1964 in PyTorch's form;
/// Tieleman & Hinton 2012; Kingma & Ba 2015, algorithm 1; Loshchilov & Hutter 2019, algorithm 2.
inline double optimizer_step(const OptimizerSpec& spec, double lr, std::int64_t t, double p,
                             double g, double& first, double& second) {
  const double weight_decay = double(spec.weight_decay);
  const bool decoupled = spec.kind == OptimizerKind::kAdamW;
  if (!decoupled) g += weight_decay * p;
  switch (spec.kind) {
    case OptimizerKind::kSgd:
      return p - lr * g;
    case OptimizerKind::kMomentum:
      first = double(spec.momentum) * first + g;
      return p - lr * first;
    case OptimizerKind::kRmsProp:
      first = double(spec.decay) * first + (1 - double(spec.decay)) * g * g;
      return p - lr * g / (std::sqrt(first) + double(spec.epsilon));
    case OptimizerKind::kAdam:
    case OptimizerKind::kAdamW:
      break;
  }
  const double beta1 = double(spec.beta1), beta2 = double(spec.beta2);
  first = beta1 * first + (1 - beta1) * g;
  second = beta2 * second + (1 - beta2) * g * g;
  const double m = first / (1 - std::pow(beta1, double(t)));
  const double v = second / (1 - std::pow(beta2, double(t)));
  const double decayed = decoupled ? p - lr * weight_decay * p : p;
  return decayed - lr * m / (std::sqrt(v) + double(spec.epsilon));
}

/// One step over all parameters with dense gradients. The gradients are clipped by their joint
/// norm, then by value; the weight decay is applied after that, as in PyTorch.
inline void apply_gradients(const OptimizerSpec& spec, double lr, double loss,
                            const std::vector<std::vector<double>>& gradients,
                            OptimizerState& state) {
  double squares = 0;
  for (const auto& gradient : gradients)
    for (const double g : gradient) squares += g * g;
  state.norm = std::sqrt(squares);
  if (!std::isfinite(loss) || !std::isfinite(state.norm)) {
    ++state.skipped;
    return;
  }
  ++state.updates;
  const double clip_norm = double(spec.clip_norm), clip_value = double(spec.clip_value);
  const double factor = clip_norm > 0 && state.norm > clip_norm ? clip_norm / state.norm : 1;
  for (std::size_t i = 0; i < gradients.size(); ++i) {
    OptimizedParameter& parameter = state.parameters[i];
    for (auto& slot : parameter.slots) slot.resize(parameter.value.size());
    for (std::size_t k = 0; k < parameter.value.size(); ++k) {
      double g = gradients[i][k] * factor;
      if (clip_value > 0) g = std::max(-clip_value, std::min(clip_value, g));
      parameter.value[k] = optimizer_step(spec, lr, state.updates, parameter.value[k], g,
                                          parameter.slots[0][k], parameter.slots[1][k]);
    }
  }
}

}  // namespace unroll::reference
