/// Fuzz target: a text, tokenised in each of the three ways by its own vocabulary. Decoding returns
/// the text or, for words, a text with the same tokens.
#include <algorithm>
#include <optional>

#include "host/data/tokenizer.h"
#include "tests/fuzz/target.h"

namespace unroll::fuzz {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

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

/// `own`: the vocabulary was made from this text.
void check(const Tokenizer& tokenizer, std::string_view text, bool own) {
  Encoded encoded;
  if (!accepts([&] { encoded = encode(tokenizer, text); })) return;
  const TextStatistics& statistics = encoded.statistics;
  require(statistics.tokens == std::int64_t(encoded.ids.size()), "tokens are counted");
  require(!own || statistics.unknown == 0, "a text's own vocabulary has all of it");
  require(statistics.characters <= std::int64_t(text.size()) + 1, "a character has a byte or more");
  for (const std::int32_t id : encoded.ids)
    require(id >= 0 && id < tokenizer.size(), "ids lie within the vocabulary");
  if (statistics.unknown > 0) return;

  const std::string decoded = tokenizer.decode(encoded.ids);
  if (tokenizer.kind() != TokenizerKind::kWord) {
    std::string expected(text);
    if (tokenizer.kind() == TokenizerKind::kChar && expected.starts_with(kByteOrderMark))
      expected.erase(0, kByteOrderMark.size());
    return require(decoded == expected, "decoding gives the text back");
  }
  // A byte order mark at the beginning of the decoded text was not at the beginning of the given
  // one, and "<eos>" in a text is decoded as a line end.
  if (!decoded.starts_with(kByteOrderMark) && text.find(Vocabulary::kEos) == text.npos)
    require(encode(tokenizer, decoded).ids == encoded.ids, "the words are the same tokens again");
}

void check_own(TokenizerKind kind, std::string_view text) {
  std::optional<Tokenizer> tokenizer;
  if (accepts([&] { tokenizer = Tokenizer::build(kind, TextSource(text, "text"), {}); }))
    check(*tokenizer, text, true);
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
  static const Tokenizer kTokenizers[] = {
      Tokenizer::parse(TokenizerKind::kWord, "the\n<eos>\ncat\n<unk>\n", "words"),
      Tokenizer::parse(TokenizerKind::kChar, "\\n\ne\nt\nh\n<unk>\n \n\xC3\xA9\n", "characters"),
      Tokenizer::parse(TokenizerKind::kByte, "", "bytes")};
  const std::string_view text = fuzz::text_of(data, size);
  for (const Tokenizer& tokenizer : kTokenizers) {
    fuzz::check(tokenizer, text, false);
    fuzz::check_own(tokenizer.kind(), text);
  }
  return 0;
}
