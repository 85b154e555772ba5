/// Tokens in JSON.
#pragma once

#include <cstdint>
#include <string>

#include "host/data/tokenizer.h"

namespace unroll {

/// A token as a text of JSON. JSON holds no single bytes from 0x80 on: such a byte becomes the four
/// characters \x80, which cannot be mistaken for a token of one byte.
std::string json_text(const Tokenizer& tokenizer, std::int32_t id);

}  // namespace unroll
