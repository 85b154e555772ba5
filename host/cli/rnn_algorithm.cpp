#include "host/cli/rnn_algorithm.h"

#include <fmt/format.h>

#include <stdexcept>

#include "host/base/utf8.h"
#include "host/cli/values.h"

namespace unroll::cli {

RecurrentAlgorithm choose_rnn_algorithm(const std::string& name) {
  try {
    const auto algorithm = RecurrentAlgorithm::parse(name);
    const CudnnForm* const cudnn = algorithm.cudnn();
    if (!cudnn || (!cudnn->half && !cudnn->bare)) return algorithm;
  } catch (const std::invalid_argument&) {  // refused below, in the words of the flag
  }
  throw UsageError(fmt::format("--rnn-algorithm: got {}, expected {}", in_quotes(name),
                               RecurrentAlgorithm::kNames));
}

std::string refusal_of(const RecurrentAlgorithm& algorithm, const std::string& why) {
  if (why.empty()) return "";
  return fmt::format("--rnn-algorithm: got {}, expected auto or stepwise: {}", to_string(algorithm),
                     why);
}

}  // namespace unroll::cli
