/// Fuzz target: vocab.txt, of words and of characters. Accepted input is written and read back
/// unchanged, and each token has the id of its line.
#include <optional>

#include "host/data/tokenizer.h"
#include "tests/fuzz/target.h"

namespace unroll::fuzz {

std::vector<std::string> seeds() {
  return {
      "<eos>\n<unk>\nthe\n", "<unk>\n<eos>",     "a\n<eos>\n\xC3\xA9\n<unk>\n\xF0\x9F\x98\x80\n",
      "<eos>\n<unk>\n\n",    "<eos>\n<unk>\r\n", " \n\\n\na\n<unk>\n\\r\n\\t\n\\\\\n\xC3\xA9\n"};
}

}  // namespace unroll::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace unroll;
  for (const TokenizerKind kind : {TokenizerKind::kWord, TokenizerKind::kChar}) {
    std::optional<Tokenizer> tokenizer;
    if (!fuzz::accepts(
            [&] { tokenizer = Tokenizer::parse(kind, fuzz::text_of(data, size), "text"); }))
      continue;
    const std::string text = tokenizer->vocabulary_text();
    std::string given(fuzz::text_of(data, size));
    if (!given.ends_with('\n')) given += '\n';
    fuzz::require(text == given, "the text comes back");
    const Tokenizer again = Tokenizer::parse(kind, text, "again");
    fuzz::require(again.vocabulary_text() == text, "the text is read back");
    for (std::int32_t id = 0; id < again.size(); ++id)
      if (id != again.unk())
        fuzz::require(again.find(tokenizer->text(id)) == id, "each token has the id of its line");
    fuzz::require(again.start() >= 0 && again.start() < again.size(), "a history has a start");
    fuzz::require(again.unk().has_value(), "there is an <unk>");
  }
  return 0;
}
