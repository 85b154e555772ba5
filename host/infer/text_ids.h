/// Texts of a user as the ids that a language model reads.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "host/data/tokenizer.h"

namespace unroll {

/// The ids of a beginning of a text: with words, <eos> stands only where there is a newline. `warn`
/// is told, in one line, which words or characters the model does not know and reads as <unk>.
std::vector<std::int32_t> text_ids(const Tokenizer& tokenizer, std::string_view text,
                                   const std::function<void(const std::string&)>& warn);

}  // namespace unroll
