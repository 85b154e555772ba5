/// Fuzz target: sentences with tags, in batches. The first bytes of the input are the options; the
/// same text is all three splits. A copy is the text, tags that are written are read back, and each
/// token is there once in an epoch.
#include <algorithm>
#include <optional>

#include "host/data/tagged_batches.h"
#include "tests/fuzz/target.h"

namespace unroll::fuzz {
namespace {

constexpr std::size_t kOptionBytes = 2;

struct Options {
  TaggedReader::Options reader;
  TaggedBatches::Options batches;
};

Options options_of(std::string_view bytes) {
  const auto byte = [&](std::size_t k) { return static_cast<unsigned char>(bytes[k]); };
  Options options;
  if (byte(0) & 0x01) options.reader.format = TaggedFormat::kTwoColumns;
  if (byte(0) & 0x02) options.reader.column = TagColumn::kXpos;
  options.batches = {.batch = 1 + byte(1) % 8, .characters = (byte(0) & 0x20) != 0};
  if (byte(0) & 0x40) {
    options.batches.seed = byte(1);
    options.batches.unknown_rate = 0.5;
  }
  return options;
}

struct Copy {
  std::string text;
  std::vector<std::string> forms;
  std::vector<std::string> tags;
};

/// Reads all of a text; writes `tag` for each word, if it is not empty.
Copy copy_of(std::string_view text, TaggedReader::Options options, std::string_view tag) {
  options.tagged = false;
  TaggedReader reader(TextSource(text, "text"), options);
  Copy copy;
  for (TaggedLines lines; reader.next(lines);) {
    for (std::int64_t k = 0; k < lines.size(); ++k) {
      if (!tag.empty()) lines.set_tag(k, tag);
      copy.forms.emplace_back(lines.form(k));
      copy.tags.emplace_back(lines.tag(k));
    }
    for (const std::string& line : lines.lines()) copy.text += line;
  }
  return copy;
}

void check_copies(std::string_view text, const TaggedReader::Options& options) {
  std::optional<Copy> copy;
  if (!accepts([&] { copy = copy_of(text, options, ""); })) return;
  require(copy->text == text, "a copy is the text");
  const Copy tagged = copy_of(text, options, "A-TAG");
  const Copy again = copy_of(tagged.text, options, "");
  require(again.forms == copy->forms, "a tag changes no word");
  require(again.tags == tagged.tags, "tags are read back");
}

void check_vocabulary(const TaggingVocabulary& vocabulary) {
  require(
      KnownWords::parse(vocabulary.words.to_text(), "words").words() == vocabulary.words.words(),
      "words are read back");
  require(KnownWords::parse(vocabulary.characters.to_text(), "characters").words() ==
              vocabulary.characters.words(),
          "characters are read back");
  require(
      ClassLabels::parse(vocabulary.tags.to_text(), "tags").to_text() == vocabulary.tags.to_text(),
      "tags are read back");
}

void check_batches(const std::shared_ptr<const TaggedSplit>& split,
                   const TaggingVocabulary& vocabulary, const TaggedBatches::Options& options) {
  TaggedBatches batches(split, options);
  Batch batch = batches.largest();
  std::vector<int> seen(std::size_t(split->size()));
  std::int64_t tokens = 0;
  const auto ids_below = [&](std::size_t column, std::int64_t least, std::int64_t end) {
    const auto used = std::span(batch.columns[column].ids)
                          .first(std::size_t(batch.columns[column].shape.elements()));
    for (const std::int32_t id : used) require(id >= least && id < end, "ids are in their range");
  };
  while (batches.next(batch)) {
    tokens += batch.count;
    for (const std::int64_t k : batches.rows()) ++seen[std::size_t(k)];
    ids_below(0, 0, vocabulary.words.size());
    ids_below(1, 1, batch.columns[0].shape[0] + 1);
    ids_below(2, kIgnoredId, vocabulary.tags.size());
    if (!options.characters) continue;
    ids_below(3, 0, vocabulary.characters.size());
    ids_below(4, 1, batch.columns[3].shape[0] + 1);
    ids_below(5, 0, batch.columns[3].shape[1]);
  }
  require(tokens == split->statistics.tokens, "each token is there once");
  require(std::ranges::count(seen, 1) == split->size(), "each sentence is there once");
}

}  // namespace

std::vector<std::string> seeds() {
  const std::string conllu =
      "# text = I "
      "don't.\n1\tI\tI\tPRON\tPP\t_\t3\tnsubj\t_\t_\n2-3\tdon't\t_\t_\t_\t_\t_\t_\t_\t_\n"
      "2\tdo\tdo\tAUX\tVB\t_\t3\taux\t_\t_\n3\tn't\tnot\tPART\tRB\t_\t0\troot\t_\tSpaceAfter=No\n"
      "3.1\tx\t_\t_\t_\t_\t_\t_\t_\t_\n4\t.\t.\tPUNCT\tFS\t_\t3\tpunct\t_\t_\n\n"
      "1\tNew York\t_\tPROPN\tNP\t_\t0\troot\t_\t_\n\n";
  const std::string columns = "the\tDT\ndog\tNN\n\nthe DT\ncat NN\nsees VB\n\nDogs\tNN\n";
  std::vector<std::string> all;
  for (const char* options : {"\x60\x01", "\x62\x02", "\x20\x03"}) all.push_back(options + conllu);
  for (const char* options : {"\x61\x01", "\x41\x02", "\x21\x03"}) all.push_back(options + columns);
  all.emplace_back("\x61\x01\xEF\xBB\xBF\xC3\xA9\tA\r\n\r\n\xE4\xB8\xAD\tB\r");
  all.emplace_back("\x60\x01\n1\ta\t_\t_\t_\t_\t_\t_\t_\t_\n");
  return all;
}

}  // namespace unroll::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace unroll;
  std::string_view text = fuzz::text_of(data, size);
  if (text.size() < fuzz::kOptionBytes) return 0;
  const fuzz::Options options = fuzz::options_of(text);
  text.remove_prefix(fuzz::kOptionBytes);
  fuzz::check_copies(text, options.reader);
  const auto source = [&] { return TaggedSource{TextSource(text, "text"), options.reader.format}; };
  std::optional<TaggedCorpus> corpus;
  if (!fuzz::accepts([&] {
        corpus = read_tagged_corpus({source(), source(), source()}, "texts",
                                    {.column = options.reader.column});
      }))
    return 0;
  fuzz::require(corpus->train->tags == corpus->test->tags, "the same text has the same tags");
  fuzz::require(corpus->train->forms == corpus->test->forms, "and the same words");
  fuzz::check_vocabulary(*corpus->vocabulary);
  fuzz::check_batches(corpus->train, *corpus->vocabulary, options.batches);
  return 0;
}
