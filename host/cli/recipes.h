/// Published settings, and those that a run has where neither flag nor recipe says otherwise.
#pragma once

#include <string>

#include "host/cli/train_settings.h"

namespace unroll::cli {

/// Errors    UsageError if there is no recipe of that name.
TrainSettings recipe(const std::string& name);

/// What suits a text of such tokens, or the built-in grammar's.
TrainSettings defaults_for(const std::string& tokenizer, bool built_in_text);

}  // namespace unroll::cli
