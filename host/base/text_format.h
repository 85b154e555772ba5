/// Recognises files that are often mistaken for texts by their first bytes.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace unroll {

inline constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

/// So many bytes of a file's beginning are enough.
inline constexpr std::size_t kFormatBytes = 256;

/// "gzip", "bzip2", "zip", "xz" or "zstd", or "" if `begin` begins no such file.
std::string_view compression_of(std::string_view begin);
/// "UTF-16", with its byte order where there is no mark, or "UTF-32"; "" if it is neither.
std::string_view wide_encoding_of(std::string_view begin);

/// Errors    std::runtime_error, naming `name` and what to do, if `begin` is the beginning of a
///           compressed file, or of text in UTF-16 or UTF-32, with a byte order mark or without.
void require_no_other_format(std::string_view begin, const std::string& name);

}  // namespace unroll
