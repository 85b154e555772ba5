/// Lower case without a locale, so that it is the same on every machine.
#pragma once

#include <string>
#include <string_view>

namespace unroll {

/// The lower case of a capital letter of the Latin, Greek, Cyrillic and Armenian alphabets, without
/// the rarest (historic and phonetic ones); any other code point as it is.
/// Source    Unicode 15, UnicodeData.txt, simple lowercase mappings.
char32_t lower_case(char32_t code);

/// The same of each code point of a text in UTF-8.
std::string lower_case(std::string_view text);

}  // namespace unroll
