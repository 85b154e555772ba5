/// Files of other formats that users may mistake for weights in the safetensors format, recognised
/// by their first bytes.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace unroll {

/// How many bytes of a file's beginning are examined.
inline constexpr std::size_t kForeignHeadBytes = 4'096;

/// What a file with this beginning is, for example "is a GGUF file", and what the user can do;
/// nullopt if its format is not known. Text is recognised only by its characters.
std::optional<std::string> foreign_file(std::string_view head);

}  // namespace unroll
