/// Fuzz target: text. From a stream and from memory it is the same words; its counts agree; and its
/// words, written with single blanks, are the same tokens again.
#include <algorithm>
#include <optional>
#include <sstream>

#include "host/data/corpus.h"
#include "host/data/vocabulary.h"
#include "tests/fuzz/target.h"

namespace unroll::fuzz {
namespace {

/// The words, each followed by a blank, and the line ends.
std::string plain_text(TextReader reader) {
  std::string text;
  while (const auto word = reader.next())
    if (word->empty())
      text += '\n';
    else
      text.append(*word).push_back(' ');
  return text;
}

void check_stream(const std::string& text) {
  std::istringstream stream(text);
  require(plain_text({stream, "stream"}) == plain_text({text, "memory"}),
          "a stream has the words that memory has");
}

void check(std::string_view text, const TokenText& tokens, const Vocabulary& vocabulary) {
  const std::string plain = plain_text({text, "memory"});
  check_stream(std::string(text));
  if (text.size() % 32 == 0) {  // a reader's buffer has 2^18 bytes: now and then, more than that
    std::string long_text;
    while (long_text.size() < (std::size_t(1) << 18) + 100) long_text += text;
    check_stream(long_text);
  }
  // A byte order mark that begins a word here was not at the beginning of the text there.
  if (plain.starts_with("\xEF\xBB\xBF")) return;
  const TokenText again = tokenize(plain, vocabulary);
  require(again.ids == tokens.ids, "the words are the same tokens again");
  require(again.lines == tokens.lines && again.unknown == tokens.unknown, "counts are the same");
  require(tokens.lines == std::ranges::count(plain, '\n'), "lines are counted");
  require(std::size_t(tokens.characters) <= text.size(), "a character has a byte or more");
  for (const std::int32_t id : tokens.ids)
    require(id >= 0 && id < vocabulary.size(), "ids lie within the vocabulary");

  std::istringstream counted(plain);
  const Vocabulary built = Vocabulary::build(counted, "plain", {});
  require(tokenize(plain, built).unknown == 0, "a text's own vocabulary has all its words");
  require(Vocabulary::parse(built.to_text(), "built").to_text() == built.to_text(),
          "a vocabulary that was built is read back");
}

}  // namespace

std::vector<std::string> seeds() {
  return {"the cat sat\n on  the mat\n",
          "\xEF\xBB\xBFthe\r\n\r\nthe",
          "<eos> <unk>\n",
          "the cat understood everything, and\nnevertheless it understood not!\n",  // 64 bytes
          "\t\v\f \xC3\xA9t\xC3\xA9 \xF0\x9F\x98\x80 the",
          "\n"};
}

}  // namespace unroll::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace unroll;
  static const Vocabulary kVocabulary = Vocabulary::parse("the\n<eos>\ncat\n<unk>\n", "words");
  const std::string_view text = fuzz::text_of(data, size);
  std::optional<TokenText> tokens;
  if (fuzz::accepts([&] { tokens = tokenize(text, kVocabulary); }))
    fuzz::check(text, *tokens, kVocabulary);
  return 0;
}
