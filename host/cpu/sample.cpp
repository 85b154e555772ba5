#include "host/cpu/sample.h"

#include <algorithm>
#include <cmath>

#include "unroll/math/philox.h"
#include "unroll/math/sampling.h"

namespace unroll::host {
namespace {

/// The id that `args` draw from row n.
std::int32_t draw(const Sample& args, std::int64_t row) {
  const std::int64_t ids = args.log_prob.shape[1];
  const float* log_prob = args.log_prob.as<float>() + row * ids;
  auto* order = reinterpret_cast<std::uint64_t*>(args.scratch.as<std::byte>());
  auto* sums = reinterpret_cast<double*>(order + ids);
  for (std::int64_t k = 0; k < ids; ++k)
    order[k] = std::uint64_t(math::descending_key(log_prob[k])) << 32 | std::uint64_t(k);
  std::sort(order, order + ids);
  const auto id_at = [&](std::int64_t place) { return std::int32_t(order[place] & 0xFFFFFFFFu); };
  const auto log_prob_at = [&](std::int64_t place) {
    return math::log_prob_of(std::uint32_t(order[place] >> 32));
  };
  const float best = log_prob_at(0);
  if (!std::isfinite(best)) return -1;
  if (args.temperature == 0) return id_at(0);
  const std::int64_t count = args.top_k > 0 ? std::min(args.top_k, ids) : ids;
  double sum = 0;
  for (std::int64_t k = 0; k < count; ++k)
    sums[k] = sum += math::sampling_weight(log_prob_at(k), best, args.temperature);
  // Ids of weight 0 lie behind the first id that reaches the whole sum, so they are never drawn.
  double* last = std::lower_bound(sums, sums + count, args.top_p * sum);
  const auto step = std::uint64_t(*args.step.as<std::int64_t>());
  const double drawn = math::uniform53(math::philox(args.key, std::uint64_t(row), step)) * *last;
  return id_at(std::upper_bound(sums, last, drawn) - sums);
}

}  // namespace

std::size_t sample_scratch_bytes(std::int64_t ids) {
  return std::size_t(ids) * (sizeof(std::uint64_t) + sizeof(double));
}

void sample(const Sample& args) {
  auto* id = args.id.as<std::int32_t>();
  for (std::int64_t row = 0; row < args.log_prob.shape[0]; ++row) id[row] = draw(args, row);
}

}  // namespace unroll::host
