/// Fuzz target: vocab.txt. What is accepted is written and read back as it was, and each token has
/// the id of its line.
#include "host/data/vocabulary.h"

#include <optional>

#include "tests/fuzz/target.h"

namespace unroll::fuzz {

std::vector<std::string> seeds() {
  return {"<eos>\n<unk>\nthe\n", "<unk>\n<eos>", "a\n<eos>\n\xC3\xA9\n<unk>\n\xF0\x9F\x98\x80\n",
          "<eos>\n<unk>\n\n", "<eos>\n<unk>\r\n"};
}

}  // namespace unroll::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace unroll;
  std::optional<Vocabulary> vocabulary;
  if (!fuzz::accepts([&] { vocabulary = Vocabulary::parse(fuzz::text_of(data, size), "text"); }))
    return 0;
  const std::string text = vocabulary->to_text();
  std::string given(fuzz::text_of(data, size));
  if (!given.ends_with('\n')) given += '\n';
  fuzz::require(text == given, "the text comes back");
  const Vocabulary again = Vocabulary::parse(text, "again");
  fuzz::require(again.to_text() == text, "the text is read back");
  for (std::int32_t id = 0; id < again.size(); ++id)
    fuzz::require(again.find(vocabulary->word(id)) == id, "each token has the id of its line");
  fuzz::require(again.word(again.eos()) == Vocabulary::kEos, "<eos> is <eos>");
  fuzz::require(again.word(again.unk()) == Vocabulary::kUnk, "<unk> is <unk>");
  return 0;
}
