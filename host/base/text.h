/// Makes the text of messages, without a library: the code that uses it is part of libunroll, which
/// has no dependencies.
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace unroll {

inline void append_text(std::string& to, std::string_view part) {
  to += part;
}
inline void append_text(std::string& to, char part) {
  to += part;
}
template <std::integral Number>
void append_text(std::string& to, Number part) {
  to += std::to_string(part);
}

/// Texts and whole numbers, one after the other.
template <typename... Parts>
std::string text_from(const Parts&... parts) {
  std::string text;
  (append_text(text, parts), ...);
  return text;
}

/// The items of a list, with `separator` between them.
template <typename List>
std::string joined(const List& list, std::string_view separator) {
  std::string text;
  bool first = true;
  for (const auto& item : list) {
    if (!std::exchange(first, false)) text += separator;
    append_text(text, item);
  }
  return text;
}

/// In hexadecimal, with leading zeros up to `digits`.
inline std::string hex(std::uint32_t value, int digits) {
  std::string text;
  for (int shift = 4 * (digits - 1); shift >= 0; shift -= 4)
    text += "0123456789abcdef"[value >> shift & 0xF];
  return text;
}

}  // namespace unroll
