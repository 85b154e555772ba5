/// unroll eval of a language model: perplexity on texts, beside the truth where that is known.
#pragma once

#include <string>
#include <vector>

#include "host/models/model_file.h"

namespace unroll::cli {

/// Measures the model on each file by itself, "-" being stdin, and on all of them together; without
/// files on the held-out text of the built-in grammar. Prints lines, or one JSON object.
/// Errors    UsageError if there is no file and the model has learned another text; else as
///           read_tokens(), finite_measures().
void eval_texts(const LoadedModel& model, const std::vector<std::string>& files, bool json);

}  // namespace unroll::cli
