/// Published settings, and the defaults where neither flag nor recipe says otherwise.
#pragma once

#include <string>

#include "host/cli/train_settings.h"

namespace unroll::cli {

/// Errors    UsageError if there is no recipe of that name.
TrainSettings recipe(const std::string& name);

/// Defaults that suit a text of such tokens, or the text of the built-in grammar.
TrainSettings defaults_for(const std::string& tokenizer, bool built_in_text);

/// Defaults of --task classify.
TrainSettings classifier_defaults();
/// Defaults of --task tag.
TrainSettings tagger_defaults();
/// Defaults of --task series.
TrainSettings series_defaults();

}  // namespace unroll::cli
