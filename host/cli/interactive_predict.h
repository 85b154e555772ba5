/// unroll predict --interactive: what comes next, while a text is typed, or for each line of stdin.
#pragma once

#include <cstdint>

#include "host/models/model_file.h"

namespace unroll::cli {

struct InteractiveOptions {
  std::int64_t top = 10;
  bool json = false;  // a line of JSON for each line of stdin, also on a terminal
};

/// Until stdin ends. Where a terminal cannot be drawn on, each line is answered as a whole.
/// Errors    Stopped if a signal ended it; std::runtime_error if the model is not a language model,
///           or naming the line if one cannot be read.
void predict_interactively(const LoadedModel& model, const InteractiveOptions& options);

}  // namespace unroll::cli
