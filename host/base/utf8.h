/// UTF-8: validation, code points, and text that is safe to print.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace unroll {

/// The offset of the first byte that does not belong to a well-formed UTF-8 sequence, or
/// text.size() if there is none. Overlong forms, surrogates and code points above U+10FFFF are
/// malformed (Unicode 15, table 3-7). A NUL byte is well formed.
std::size_t find_invalid_utf8(std::string_view text) noexcept;

/// The offset of the first byte that no text has: malformed UTF-8, or NUL. text.size() if there is
/// none.
std::size_t find_non_text(std::string_view text) noexcept;

/// Removes the first code point from a text and returns it. The text is well formed and not empty.
inline char32_t take_code_point(std::string_view& text) noexcept {
  const auto byte = [&](std::size_t k) { return static_cast<unsigned char>(text[k]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) {
    text.remove_prefix(1);
    return lead;
  }
  const std::size_t size = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  char32_t code = lead & (0xFFU >> (size + 1));
  for (std::size_t k = 1; k < size; ++k) code = code << 6 | (byte(k) & 0x3FU);
  text.remove_prefix(size);
  return code;
}

/// The bytes of a code point below U+110000.
std::string utf8_of(char32_t code);

/// At most `bytes` of well-formed text, cut between code points.
std::string_view shorten_utf8(std::string_view text, std::size_t bytes) noexcept;

/// Escapes a text so that a terminal only displays it: \x1b for a control character below 0x20 and
/// for a byte that is not UTF-8; \u009b for control characters from 0x7F on and for characters that
/// end lines or change the direction of writing. A backslash is unchanged, so that escaping twice
/// has no effect.
std::string printable(std::string_view text);

/// A text for an error message: printable, quoted, at most a line long.
std::string in_quotes(std::string_view text);

}  // namespace unroll
