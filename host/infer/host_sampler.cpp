#include "host/infer/host_sampler.h"

#include "host/infer/token_states.h"
#include "unroll/backend.h"
#include "unroll/math/philox.h"

namespace unroll {

HostSampler::HostSampler() : backend_(cpu(1)) {}

std::int32_t HostSampler::draw(std::span<const float> log_prob, const SamplingOptions& options,
                               std::int64_t step) {
  options.check();
  const std::int64_t ids = std::ssize(log_prob);
  const std::size_t bytes = backend_->sample_scratch_bytes(1, ids);
  scratch_.resize((bytes + sizeof(std::uint64_t) - 1) / sizeof(std::uint64_t));
  std::int32_t id = -1;
  // A view does not say that the kernel only reads.
  auto* const values = const_cast<float*>(log_prob.data());
  backend_->sample({.log_prob = {values, {1, ids}},
                    .temperature = options.temperature,
                    .top_k = options.top_k,
                    .top_p = options.top_p,
                    .min_p = options.min_p,
                    .excluded_id = options.excluded_id,
                    .key = math::philox_key(options.seed, "sampler"),
                    .step = {&step, {1}, DType::kInt64},
                    .id = {&id, {1}, DType::kInt32},
                    .scratch = {scratch_.data(), {std::int64_t(bytes)}, DType::kByte}});
  if (id < 0) fail_not_finite();
  return id;
}

}  // namespace unroll
