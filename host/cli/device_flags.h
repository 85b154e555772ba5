/// --device, --precision and --threads: which device a command computes on.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "unroll/device.h"

namespace unroll::cli {

/// The end of a line that has named the device of --device auto. `why_no_gpu`: empty for a GPU.
std::string why_automatic(const std::string& why_no_gpu);

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
  /// One line about a flag that asks for something that the CPU does not do; empty if none does.
  std::string beyond_cpu(const RecurrentAlgorithm& algorithm) const;

  const CLI::Option* precision_option_ = nullptr;
  const CLI::Option* threads_option_ = nullptr;
};

}  // namespace unroll::cli
