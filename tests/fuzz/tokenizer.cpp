/// Fuzz target: a text, tokenised in each of the three ways by its own vocabulary. Decoding gives
/// the text back, or for words one that is the same tokens again.
#include <algorithm>
#include <optional>

#include "host/data/tokenizer.h"
#include "tests/fuzz/target.h"

namespace unroll::fuzz {
namespace {

struct Encoded {
  std::vector<std::int32_t> ids;
  TextStatistics statistics;
};

Encoded encode(const Tokenizer& tokenizer, std::string_view text) {
  Encoded encoded;
  encoded.statistics =
      tokenizer.encode(TextSource(text, "memory"), [&](std::span<const std::int32_t> ids) {
        encoded.ids.insert(encoded.ids.end(), ids.begin(), ids.end());
      });
  return encoded;
}

void check(TokenizerKind kind, std::string_view text) {
  std::optional<Tokenizer> built;
  if (!accepts([&] { built = Tokenizer::build(kind, TextSource(text, "text"), {}); })) return;
  const Tokenizer& tokenizer = *built;
  Encoded encoded;
  if (!accepts([&] { encoded = encode(tokenizer, text); })) return;
  const TextStatistics& statistics = encoded.statistics;
  require(statistics.tokens == std::int64_t(encoded.ids.size()), "tokens are counted");
  require(statistics.unknown == 0, "a text's own vocabulary has all of it");
  require(statistics.characters <= std::int64_t(text.size()) + 1, "a character has a byte or more");
  for (const std::int32_t id : encoded.ids)
    require(id >= 0 && id < tokenizer.size(), "ids lie within the vocabulary");

  const std::string decoded = tokenizer.decode(encoded.ids);
  std::string expected(text);
  if (kind == TokenizerKind::kChar && expected.starts_with("\xEF\xBB\xBF")) expected.erase(0, 3);
  if (kind != TokenizerKind::kWord) require(decoded == expected, "decoding gives the text back");
  // A byte order mark that begins the decoded text did not begin the given one.
  if (decoded.starts_with("\xEF\xBB\xBF")) return;
  // "<eos>" written in a text is decoded as the line end that it stands for.
  if (text.find("<eos>") != text.npos) return;
  if (kind == TokenizerKind::kWord)
    require(encode(tokenizer, decoded).ids == encoded.ids, "the words are the same tokens again");
}

}  // namespace

std::vector<std::string> seeds() {
  return {"the cat sat\n on  the mat\n",
          "\xEF\xBB\xBFthe\r\n\r\nthe",
          "<eos> <unk>\n",
          "the cat understood everything, and\nnevertheless it understood not!\n",
          "\t\v\f \xC3\xA9t\xC3\xA9 \xF0\x9F\x98\x80 the",
          "\n"};
}

}  // namespace unroll::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace unroll;
  for (const TokenizerKind kind :
       {TokenizerKind::kWord, TokenizerKind::kChar, TokenizerKind::kByte})
    fuzz::check(kind, fuzz::text_of(data, size));
  return 0;
}
