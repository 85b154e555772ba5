#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace unroll {

/// The offset of the first byte that does not belong to a well-formed UTF-8 sequence, or
/// text.size() if there is none. Overlong forms, surrogates and code points above U+10FFFF are
/// malformed (Unicode 15, table 3-7). A NUL byte is well formed.
std::size_t find_invalid_utf8(std::string_view text) noexcept;

/// At most `bytes` of well-formed text, cut between code points.
std::string_view shorten_utf8(std::string_view text, std::size_t bytes) noexcept;

/// Well-formed text for an error message: quoted, on one line, not longer than a line.
std::string in_quotes(std::string_view text);

}  // namespace unroll
