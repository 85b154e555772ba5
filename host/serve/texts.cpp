#include "host/serve/texts.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <string_view>

#include "host/base/utf8.h"

namespace unroll::serve {
namespace {

/// What a text has at least, known much sooner than its ids: words that end before a blank, for
/// instance. Byte pairs may be of any length.
std::int64_t least_tokens(const Tokenizer& tokenizer, std::string_view text) {
  std::int64_t tokens = 0;
  switch (tokenizer.kind()) {
    case TokenizerKind::kWord:
      for (std::size_t k = 1; k < text.size(); ++k)
        tokens += text[k] == ' ' && text[k - 1] > ' ' && text[k - 1] < '\x7F';
      return tokens;
    case TokenizerKind::kChar:
      return std::ranges::count_if(text, [](char c) { return (std::uint8_t(c) & 0xC0U) != 0x80; });
    case TokenizerKind::kByte:
      return std::ssize(text);
    case TokenizerKind::kBpe:
      return 0;
  }
  return 0;
}

}  // namespace

void require_tokens(const Tokenizer& tokenizer, std::string_view text, const std::string& field,
                    std::int64_t most) {
  const std::int64_t tokens = least_tokens(tokenizer, text);
  if (tokens > most)
    throw RequestError(
        413, fmt::format("{}: got {} tokens or more, expected at most {}", field, tokens, most));
}

EncodedText encode(const Tokenizer& tokenizer, const std::string& text, const std::string& field,
                   std::int64_t most) {
  // The text of a JSON string is UTF-8.
  if (const std::size_t nul = text.find('\0');
      nul != text.npos && tokenizer.kind() != TokenizerKind::kByte)
    throw RequestError(
        422, fmt::format("{}: byte {}: got a NUL, expected text without", field, nul + 1));
  require_tokens(tokenizer, text, field, most);
  EncodedText encoded;
  std::set<std::string, std::less<>> seen;
  try {
    encoded.ids = tokenizer.encode(text, [&](std::string_view token) {
      if (seen.contains(token)) return;
      seen.emplace(token);
      encoded.unknown.emplace_back(token);
    });
  } catch (const std::runtime_error& error) {
    throw RequestError(422, fmt::format("{}: {}", field, error.what()));
  }
  if (std::ssize(encoded.ids) > most)
    throw RequestError(413, fmt::format("{}: got {} tokens, expected at most {}", field,
                                        encoded.ids.size(), most));
  return encoded;
}

}  // namespace unroll::serve
