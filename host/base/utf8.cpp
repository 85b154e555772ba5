#include "host/base/utf8.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "host/base/text.h"

namespace unroll {

std::size_t find_invalid_utf8(std::string_view text) noexcept {
  const std::size_t size = text.size();
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  std::size_t i = 0;
  while (i < size) {
    if (size - i >= 8) {  // nearly all text is ASCII: eight bytes at a time
      std::uint64_t eight = 0;
      std::memcpy(&eight, text.data() + i, sizeof eight);
      if ((eight & 0x8080808080808080U) == 0) {
        i += 8;
        continue;
      }
    }
    const unsigned char lead = byte(i);
    if (lead < 0x80) {
      ++i;
      continue;
    }
    // The second byte has a narrower range after four of the leads; this excludes overlong forms,
    // surrogates and values above U+10FFFF.
    std::size_t length = 0;
    unsigned char low = 0x80, high = 0xBF;
    if (lead >= 0xC2 && lead <= 0xDF) {
      length = 2;
    } else if (lead >= 0xE0 && lead <= 0xEF) {
      length = 3;
      if (lead == 0xE0) low = 0xA0;
      if (lead == 0xED) high = 0x9F;
    } else if (lead >= 0xF0 && lead <= 0xF4) {
      length = 4;
      if (lead == 0xF0) low = 0x90;
      if (lead == 0xF4) high = 0x8F;
    } else {
      return i;
    }
    if (size - i < length || byte(i + 1) < low || byte(i + 1) > high) return i;
    for (std::size_t k = 2; k < length; ++k)
      if ((byte(i + k) & 0xC0) != 0x80) return i;
    i += length;
  }
  return size;
}

std::size_t find_non_text(std::string_view text) noexcept {
  return std::min(find_invalid_utf8(text), text.find('\0'));
}

std::string utf8_of(char32_t code) {
  const auto tail = [&](int shift) { return static_cast<char>(0x80 | (code >> shift & 0x3F)); };
  if (code < 0x80) return {static_cast<char>(code)};
  if (code < 0x800) return {static_cast<char>(0xC0 | code >> 6), tail(0)};
  if (code < 0x10000) return {static_cast<char>(0xE0 | code >> 12), tail(6), tail(0)};
  return {static_cast<char>(0xF0 | code >> 18), tail(12), tail(6), tail(0)};
}

std::string_view shorten_utf8(std::string_view text, std::size_t bytes) noexcept {
  if (text.size() <= bytes) return text;
  while (bytes > 0 && (static_cast<unsigned char>(text[bytes]) & 0xC0) == 0x80) --bytes;
  return text.substr(0, bytes);
}

std::string printable(std::string_view text) {
  const auto is_obeyed = [](char32_t code) {
    return (code >= 0x7F && code < 0xA0) || (code >= 0x2028 && code <= 0x202E) ||
           (code >= 0x2066 && code <= 0x2069);
  };
  std::string shown;
  while (!text.empty()) {
    std::string_view sound = text.substr(0, find_invalid_utf8(text));
    text.remove_prefix(sound.size());
    while (!sound.empty()) {
      const std::string_view before = sound;
      const char32_t code = take_code_point(sound);
      if (code < 0x20)
        shown += text_from("\\x", hex(std::uint32_t(code), 2));
      else if (is_obeyed(code))
        shown += text_from("\\u", hex(std::uint32_t(code), 4));
      else
        shown += before.substr(0, before.size() - sound.size());
    }
    if (text.empty()) break;
    shown += text_from("\\x", hex(static_cast<unsigned char>(text.front()), 2));
    text.remove_prefix(1);
  }
  return shown;
}

std::string in_quotes(std::string_view text) {
  constexpr std::size_t kShown = 60;
  const std::string shown = printable(text.substr(0, 4 * kShown));
  const bool whole = text.size() <= 4 * kShown && shown.size() <= kShown;
  return "'" + std::string(whole ? shown : shorten_utf8(shown, kShown)) + (whole ? "'" : "'...");
}

}  // namespace unroll
