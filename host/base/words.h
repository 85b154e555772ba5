/// Splits lines of text into words.
#pragma once

#include <algorithm>
#include <string_view>

namespace unroll {

/// Calls body(word) for each of the blank-separated words of a line.
template <typename Body>
void for_each_word(std::string_view text, Body&& body) {
  for (std::size_t at = 0;;) {
    at = text.find_first_not_of(' ', at);
    if (at == std::string_view::npos) return;
    const std::size_t end = std::min(text.find(' ', at), text.size());
    body(text.substr(at, end - at));
    at = end;
  }
}

}  // namespace unroll
