#include "host/cli/rnn_algorithm.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <string_view>

#include "host/base/utf8.h"
#include "host/cli/values.h"

namespace unroll::cli {
namespace {

/// Forms of cuDNN for training. The library has more, in float16 and bare, only to compare with.
constexpr std::string_view kCudnnForms[] = {"cudnn",
                                            "cudnn:standard",
                                            "cudnn:standard:packed",
                                            "cudnn:persist_static",
                                            "cudnn:persist_dynamic",
                                            "cudnn:persist_static_small_h"};

/// Whether it is an algorithm of our own for one pass.
bool is_pass_algorithm(std::string_view name) {
  return name == "stepwise" || name == "persistent" ||
         number_after("stepwise:", name).value_or(0) > 0;
}
/// Whether at least one pass is persistent.
bool is_persistent(std::string_view name) {
  return !name.starts_with("cudnn") && name.find("persistent") != name.npos;
}

}  // namespace

void check_rnn_algorithm(const std::string& name) {
  const std::size_t plus = name.find('+');
  const std::string_view text = name;
  if (name == "auto" || (is_pass_algorithm(text.substr(0, plus)) &&
                         (plus == name.npos || is_pass_algorithm(text.substr(plus + 1)))))
    return;
  if (std::ranges::find(kCudnnForms, name) != std::end(kCudnnForms)) return;
  throw UsageError(
      fmt::format("--rnn-algorithm: got {}, expected auto, stepwise, stepwise:K with K "
                  "timesteps, 1 or more, persistent, two of these as FORWARD+BACKWARD, {}",
                  in_quotes(name), fmt::join(kCudnnForms, ", ")));
}

void check_rnn_algorithm(const std::string& name, CellKind cell, GruReset reset) {
  check_rnn_algorithm(name);
  if (is_persistent(name) && cell == CellKind::kGru && reset == GruReset::kBefore)
    throw UsageError(fmt::format(
        "--rnn-algorithm: got {} for --gru-reset before, expected auto or stepwise, or --gru-reset "
        "after, which takes one product a timestep",
        name));
  if (!name.starts_with("cudnn")) return;
  if (cell == CellKind::kRnnLogistic)
    throw UsageError(fmt::format(
        "--rnn-algorithm: got {} for --model rnn_logistic, expected auto or stepwise: cuDNN has no "
        "such cell",
        name));
  if (cell == CellKind::kGru && reset == GruReset::kBefore)
    throw UsageError(fmt::format(
        "--rnn-algorithm: got {} for --gru-reset before, expected auto or stepwise, or --gru-reset "
        "after, cuDNN's only form",
        name));
}

std::string why_not_on_cpu(const std::string& name) {
  std::string why;
  if (name.starts_with("stepwise:")) why = "the CPU has no blocks of timesteps";
  if (is_persistent(name)) why = "the CPU has one algorithm";
  if (name.starts_with("cudnn")) why = "cuDNN computes only on a GPU";
  if (why.empty()) return "";
  return fmt::format("--rnn-algorithm: got {}, expected auto or stepwise: {}", name, why);
}

}  // namespace unroll::cli
