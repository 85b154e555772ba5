/// Drawing on the host, for rows of a batch that each have options of their own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "unroll/ops.h"

namespace unroll {

class Backend;

class HostSampler {
 public:
  HostSampler();

  /// What the CPU's sample() draws in step `step` for the first of its rows: so a text draws the
  /// tokens that it draws by itself.
  /// Shapes    log_prob [V]
  /// Errors    std::invalid_argument if the options are out of range; std::runtime_error if there
  ///           is nothing to draw.
  std::int32_t draw(std::span<const float> log_prob, const SamplingOptions& options,
                    std::int64_t step);

 private:
  std::shared_ptr<Backend> backend_;
  std::vector<std::uint64_t> scratch_;  // aligned for what the kernel keeps there
};

}  // namespace unroll
