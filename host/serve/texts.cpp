#include "host/serve/texts.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <string_view>

#include "host/base/utf8.h"

namespace unroll::serve {

EncodedText encode(const Tokenizer& tokenizer, const std::string& text, const std::string& field,
                   std::int64_t most) {
  // The text of a JSON string is UTF-8.
  if (const std::size_t nul = text.find('\0');
      nul != text.npos && tokenizer.kind() != TokenizerKind::kByte)
    throw RequestError(
        422, fmt::format("{}: byte {}: got a NUL, expected text without", field, nul + 1));
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
