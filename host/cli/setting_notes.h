/// Lines about the settings of a run: what was chosen, what looks like a mistake, and what others
/// have reached with the same.
#pragma once

#include <optional>
#include <string>

#include "host/cli/train_settings.h"
#include "host/data/language_corpus.h"
#include "host/models/evaluation.h"

namespace unroll::cli {

/// What a new run of a language model is trained with, and why.
std::string describe_settings(const TrainSettings& settings, const std::string& data);

/// A warning if the rate is one of another optimiser.
std::optional<std::string> doubtful_rate(const TrainSettings& settings);

/// A hint if words are the wrong tokens for so small a text.
std::optional<std::string> tokenizer_hint(const LanguageCorpus& corpus);

/// What the authors of the recipe published, if it is of another text than this one.
std::optional<std::string> recipe_corpus_note(const std::string& recipe,
                                              const LanguageCorpus& corpus);

/// At the end of training: whether the published figure was reached. Nothing if there is none for
/// this text.
std::optional<std::string> recipe_outcome(const std::string& recipe, const Evaluation& valid,
                                          const Evaluation& test);

}  // namespace unroll::cli
