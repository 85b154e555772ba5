#include "host/data/bpe_normalize.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string_view>

#include "host/base/utf8.h"

namespace unroll {
namespace {

bool is_ascii(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

std::string map_text(std::string text, int options) {
  if (is_ascii(text)) return text;  // every form leaves it as it is
  utf8proc_uint8_t* mapped = nullptr;
  const utf8proc_ssize_t size =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                   utf8proc_ssize_t(text.size()), &mapped, utf8proc_option_t(options));
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(mapped, &std::free);
  if (size < 0)
    throw std::runtime_error(std::string("a text cannot be normalized: ") + utf8proc_errmsg(size));
  return {reinterpret_cast<const char*>(mapped), std::size_t(size)};
}

std::string to_lower(std::string_view text) {
  std::string lower;
  lower.reserve(text.size());
  while (!text.empty()) {
    const char32_t code = take_code_point(text);
    // The one letter whose lower case is two characters (Unicode, SpecialCasing.txt).
    lower += code == U'\u0130' ? "i\xCC\x87"
                               : utf8_of(char32_t(utf8proc_tolower(utf8proc_int32_t(code))));
  }
  return lower;
}

std::string mark_blanks(std::string_view text) {
  std::string marked;
  for (const char c : text)
    if (c == ' ')
      marked += kBlankMark;
    else
      marked += c;
  return marked;
}

}  // namespace

std::string normalize(std::string text, Normalization how) {
  switch (how) {
    case Normalization::kNfc:
      return map_text(std::move(text), UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    case Normalization::kNfd:
      return map_text(std::move(text), UTF8PROC_STABLE | UTF8PROC_DECOMPOSE);
    case Normalization::kNfkc:
      return map_text(std::move(text), UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT);
    case Normalization::kNfkd:
      return map_text(std::move(text), UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT);
    case Normalization::kLowercase:
      return to_lower(text);
    case Normalization::kMarkBegin:
      return std::string(kBlankMark) + text;
    case Normalization::kMarkBlanks:
      return mark_blanks(text);
  }
  throw std::invalid_argument("a normalization, expected a known one");
}

}  // namespace unroll
