/// Fuzz target: a table of labelled texts, in batches. The first bytes of the input are the
/// options; the same table is all three splits. Each text is there once in an epoch.
#include <algorithm>
#include <numeric>
#include <optional>

#include "host/data/text_batches.h"
#include "tests/fuzz/target.h"

namespace unroll::fuzz {
namespace {

struct Options {
  TokenizerKind kind;
  Vocabulary::Limits limits;
  TextBatches::Options batches;
};
constexpr std::size_t kOptionBytes = 2;

Options options_of(std::string_view bytes) {
  const auto byte = [&](std::size_t k) { return static_cast<unsigned char>(bytes[k]); };
  Options options{.kind = kTokenizerKinds[byte(0) % kTokenizerKinds.size()],
                  .limits = {.max_size = byte(0) & 0x80 ? 2 + byte(1) % 8 : 0},
                  .batches = {.batch = 1 + byte(1) % 8, .mean = (byte(0) & 0x40) != 0}};
  if (byte(0) & 0x20) options.batches.seed = byte(1);
  return options;
}

void check_split(const LabelledSplit& split, const LabelledTexts& texts) {
  const LabelledStatistics& statistics = split.statistics;
  require(split.size() > 0 && statistics.texts == split.size(), "texts are counted");
  require(statistics.tokens == std::int64_t(split.ids.size()), "tokens are counted");
  require(std::accumulate(statistics.per_class.begin(), statistics.per_class.end(),
                          std::int64_t(0)) == split.size(),
          "each text has a class");
  for (const std::int32_t id : split.ids)
    require(id >= 0 && id < texts.tokenizer.size(), "ids lie within the vocabulary");
  for (std::int64_t k = 0; k < split.size(); ++k) {
    require(split.length(k) >= 2 && split.length(k) <= statistics.longest, "lengths are bounded");
    require(split.text(k).back() == texts.tokenizer.start(), "a text ends with a line end");
    const std::int32_t its_class = split.classes[std::size_t(k)];
    require(its_class >= 0 && its_class < texts.labels.size(), "classes lie within the labels");
  }
}

void check_batches(const std::shared_ptr<const LabelledSplit>& split,
                   const TextBatches::Options& options) {
  TextBatches batches(split, options);
  Batch batch = batches.largest();
  std::vector<int> seen(std::size_t(split->size()));
  std::int64_t tokens = 0, count = 0;
  while (batches.next(batch)) {
    count += batch.count;
    for (const std::int64_t k : batches.rows()) {
      ++seen[std::size_t(k)];
      tokens += split->length(k);
      require(split->length(k) <= batch.columns[0].shape[0], "a text fits into its batch");
    }
  }
  require(count == split->size() && std::ranges::count(seen, 1) == count,
          "each text is there once");
  require(tokens == split->statistics.tokens, "each token is there once");
}

}  // namespace

std::vector<std::string> seeds() {
  const std::string table = "good\tthe film was good\nbad\tbad film\nso so\tfilm\n";
  std::vector<std::string> all;
  for (const char* options : {"\x20\x02", "\x21\x03", "\x22\x02", "\xA0\x03", "\x60\x03"})
    all.push_back(options + table);
  all.emplace_back("\x20\x01\xEF\xBB\xBFx\ta\tb\r\ny\tb");
  all.emplace_back("\x20\x01x\ta\ny\t\n");
  all.emplace_back("\x20\x01x\ta\nx\tb\n");
  return all;
}

}  // namespace unroll::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace unroll;
  std::string_view text = fuzz::text_of(data, size);
  if (text.size() < fuzz::kOptionBytes) return 0;
  const fuzz::Options options = fuzz::options_of(text);
  text.remove_prefix(fuzz::kOptionBytes);
  const auto source = [&] { return TextSource(text, "table"); };
  std::optional<LabelledTexts> texts;
  if (!fuzz::accepts([&] {
        texts = read_labelled_texts({source(), source(), source()}, "tables",
                                    {.tokenizer = options.kind, .limits = options.limits});
      }))
    return 0;
  fuzz::require(texts->train->ids == texts->test->ids, "the same table has the same tokens");
  fuzz::require(texts->train->classes == texts->test->classes, "and the same classes");
  fuzz::require(
      ClassLabels::parse(texts->labels.to_text(), "labels").size() == texts->labels.size(),
      "labels are read back");
  fuzz::check_split(*texts->train, *texts);
  fuzz::check_batches(texts->train, options.batches);
  return 0;
}
