/// What the programs of this folder share: the device that flags name, and the exit status.
#pragma once

#include <cstdio>
#include <exception>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>

#include "unroll/backend.h"

namespace unroll::benchmark {

/// There is nothing to measure on: exit status 3, which a script tells from a failure.
struct NotRun : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct DeviceChoice {
  std::string device = "cpu";      // or "cuda"
  std::string precision = "fp32";  // the CPU has no other
  int threads = 0;                 // the CPU's; 0: one per processor
  std::string algorithm =
      "auto";  // of recurrent nodes: a name that RecurrentAlgorithm::parse() takes

  /// Errors    NotRun without a CUDA device; std::invalid_argument for another name, precision or
  ///           algorithm.
  std::shared_ptr<Backend> open() const;
  /// Errors    std::invalid_argument for another name.
  Precision chosen_precision() const;
};

inline Precision DeviceChoice::chosen_precision() const {
  for (const Precision one : {Precision::kFp32, Precision::kTf32, Precision::kBf16})
    if (to_string(one) == precision) return one;
  throw std::invalid_argument("--precision: got " + precision + ", expected fp32, tf32 or bf16");
}

inline std::shared_ptr<Backend> DeviceChoice::open() const {
  const Precision wanted = chosen_precision();
  const auto recurrent = RecurrentAlgorithm::parse(algorithm);
  if (device == "cpu") {
    if (wanted == Precision::kTf32)
      throw std::invalid_argument("--precision: got tf32 with the CPU, expected fp32 or bf16");
    if (const std::string why = why_not(recurrent, DeviceKind::kCpu); !why.empty())
      throw std::invalid_argument("--rnn-algorithm: got " + algorithm +
                                  ", expected auto or stepwise: " + why);
    return cpu(threads, wanted);
  }
  if (device != "cuda")
    throw std::invalid_argument("--device: got " + device + ", expected cpu or cuda");
  std::string why;
  if (cuda_device_count(&why) == 0) throw NotRun("no CUDA device: " + why);
  return cuda(
      0,
      {.precision = wanted, .recurrent_algorithm = recurrent, .note = [](const std::string& line) {
         std::fprintf(stderr, "warning: %s\n", line.c_str());
       }});
}

/// Runs `work` and turns what it throws into a line on stderr and an exit status.
inline int exit_status_of(const std::function<void()>& work) {
  try {
    work();
    return 0;
  } catch (const NotRun& reason) {
    std::fprintf(stderr, "not run: %s\n", reason.what());
    return 3;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}

}  // namespace unroll::benchmark
