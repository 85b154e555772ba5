/// Files that people take for weights in the safetensors format and that are another format's,
/// known by their first bytes.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace unroll {

/// As much of a file's beginning as is looked at.
inline constexpr std::size_t kForeignHeadBytes = 4'096;

/// What a file that begins so is, "is a GGUF file" for instance, and what can be done about it;
/// nothing if its format is not known. Text is known only by what it is made of.
std::optional<std::string> foreign_file(std::string_view head);

}  // namespace unroll
