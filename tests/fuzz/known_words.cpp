/// Fuzz target: a list of known words, and a typed line, after the last line end of the input, that
/// is split by it. What is accepted is written and read back; words are all of a line but its white
/// space.
#include <optional>

#include "host/base/utf8.h"
#include "host/data/word_splitter.h"
#include "tests/fuzz/target.h"

namespace unroll::fuzz {
namespace {

/// Whether there is nothing else in the text.
bool is_white(std::string_view text) {
  TaggingVocabulary none;
  return split_words(text, none).empty();
}

void check_split(std::string_view line, const TaggingVocabulary& vocabulary) {
  if (find_invalid_utf8(line) != line.size()) return;
  std::size_t at = 0;
  bool space = true;
  for (const TypedWord& word : split_words(line, vocabulary)) {
    const auto begin = std::size_t(word.text.data() - line.data());
    require(!word.text.empty() && begin >= at, "words come one after the other");
    require((begin > at) == space || at == 0, "white space is noted");
    require(is_white(line.substr(at, begin - at)), "no text is lost between words");
    at = begin + word.text.size();
    space = word.space_after;
  }
  require(space && is_white(line.substr(at)), "no text is lost at the end");
}

}  // namespace

std::vector<std::string> seeds() {
  const std::string words = "<unk>\nthe\ndog\nn't\n's\n...\nMr.\n-\n\xC3\xA9\nNew York\n";
  return {words,
          words + "Mr. Dog doesn't see (\"the dog's\") e-mail... U.S.",
          words + "the-dog \xE2\x80\x9C\xC3\x89\xE2\x80\x9D\xC2\xA0\xE3\x80\x80x\xE2\x80\x99s",
          "<unk>\na\n\nb\n",
          "<unk>",
          "the\n<unk>\n"};
}

}  // namespace unroll::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace unroll;
  const std::string_view text = fuzz::text_of(data, size);
  const std::size_t end = text.rfind('\n') + 1;  // 0 if there is none
  TaggingVocabulary vocabulary;
  if (fuzz::accepts([&] { vocabulary.words = KnownWords::parse(text.substr(0, end), "words"); })) {
    fuzz::require(vocabulary.words.to_text() == text.substr(0, end), "words are read back");
    for (const std::string& word : vocabulary.words.words())
      fuzz::require(vocabulary.words.find_in_any_case(word) == vocabulary.words.find(word),
                    "a word is found as it is written");
  }
  vocabulary.training_words = vocabulary.words.size();
  fuzz::check_split(text.substr(end), vocabulary);
  return 0;
}
