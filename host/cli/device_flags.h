/// --device, --precision and --threads: which device a command computes on.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "unroll/device.h"

namespace unroll::cli {

/// What --device auto means here: the first GPU that can be used, else the CPU.
struct AutoDevice {
  std::optional<int> gpu;  // its ordinal
  std::string why_no_gpu;  // why the last one looked at cannot be used; empty if `gpu` is set

  /// The end of a line that has named the device.
  std::string why() const;
};
/// `none`: why there are no devices, if there are none. `why_not` is called for one ordinal after
/// the other, and returns an empty text for a device that can be used.
AutoDevice choose_automatically(int devices, const std::string& none,
                                const std::function<std::string(int)>& why_not);

struct DeviceFlags {
  std::string device = "auto";
  std::string precision = "fp32";
  int threads = 0;

  /// On the command line.
  bool precision_given() const { return precision_option_->count() > 0; }
  bool threads_given() const { return threads_option_->count() > 0; }

  void add_to(CLI::App& command);
  /// Only training has a choice of algorithms.
  /// Errors    UsageError. Looks at no device.
  void check(const RecurrentAlgorithm& algorithm = {}) const;
  /// N of "cuda:N", and 0 for all others.
  int ordinal() const;
  /// Says on stderr which device it is, and why.
  /// Errors    std::runtime_error if there is none that can do what is asked.
  std::shared_ptr<Backend> open(const RecurrentAlgorithm& algorithm = {}) const;

 private:
  std::shared_ptr<Backend> open_automatically(const CudaOptions& options) const;
  /// One line about a flag that asks for something that the CPU does not do; empty if none does.
  std::string beyond_cpu(const RecurrentAlgorithm& algorithm) const;

  const CLI::Option* precision_option_ = nullptr;
  const CLI::Option* threads_option_ = nullptr;
};

}  // namespace unroll::cli
