/// Fuzz target: a text as a corpus, divided into batches. The first bytes of the input are the
/// options. Each token is a target exactly once, after the one before it; if the text is split into
/// streams, that holds for the tokens that fill whole batches.
#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <optional>

#include "host/data/language_corpus.h"
#include "tests/fuzz/target.h"

namespace unroll::fuzz {
namespace {

namespace fs = std::filesystem;

/// A file that is rewritten for each input.
class TextFile {
 public:
  TextFile() : folder_((fs::temp_directory_path() / "unroll-fuzz-XXXXXX").string()) {
    require(::mkdtemp(folder_.data()) != nullptr, "a folder can be made");
  }
  ~TextFile() { fs::remove_all(folder_); }
  TextFile(const TextFile&) = delete;
  TextFile& operator=(const TextFile&) = delete;

  fs::path write(std::string_view text) const {
    std::ofstream(folder_ + "/text", std::ios::binary) << text;
    return folder_ + "/text";
  }

 private:
  std::string folder_;
};

struct Options {
  TokenizerKind kind;
  Vocabulary::Limits limits;
  std::int64_t batch, bptt;
  double valid, test;
};
constexpr std::size_t kOptionBytes = 4;

Options options_of(std::string_view bytes) {
  const auto byte = [&](std::size_t k) { return static_cast<unsigned char>(bytes[k]); };
  return {
      .kind = kTokenizerKinds[byte(0) % kTokenizerKinds.size()],
      .limits = {.max_size = byte(0) & 0x80 ? 2 + byte(3) % 8 : 0, .min_count = 1 + byte(3) % 2},
      .batch = 1 + byte(1) % 16,
      .bptt = 1 + byte(1) / 16,
      .valid = (1 + byte(2) % 16) / 33.0,
      .test = (byte(2) / 16) / 33.0};
}

/// Adds to `times` how often each token is a target. `at(s, k)` is the place in the text of the
/// k-th step of stream s.
template <typename Place>
void count_targets(BatchStream stream, TokenIds ids, const Tokenizer& tokenizer, Place&& at,
                   std::vector<int>& times) {
  const auto room = static_cast<std::size_t>(stream.room());
  std::vector<std::int32_t> inputs(room), targets(room);
  std::int64_t done = 0;
  while (const std::int64_t steps = stream.next(inputs, targets)) {
    for (std::int64_t k = 0; k < steps * stream.streams(); ++k) {
      const auto element = static_cast<std::size_t>(k);
      if (targets[element] == kIgnoredId) continue;
      const std::int64_t place = at(k % stream.streams(), done + k / stream.streams());
      require(place >= 0 && place < ids.size(), "the target lies in the text");
      require(targets[element] == ids[place] && ids[place] < tokenizer.size(), "it is the token");
      require(inputs[element] == (place == 0 ? tokenizer.start() : ids[place - 1]),
              "the input is the token before it");
      ++times[static_cast<std::size_t>(place)];
    }
    done += steps;
  }
  require(done == stream.length(), "the stream is as long as it says");
}

bool all_once(const std::vector<int>& times) {
  return std::ranges::all_of(times, [](int n) { return n == 1; });
}

/// A text as streams that are consecutive pieces of it.
void check_pieces(const BatchStream& stream, TokenIds ids, const Tokenizer& tokenizer) {
  const std::int64_t least = ids.size() / stream.streams(), longer = ids.size() % stream.streams();
  std::vector<int> times(static_cast<std::size_t>(ids.size()));
  const auto at = [&](std::int64_t s, std::int64_t k) {
    return s * least + std::min(s, longer) + k;
  };
  count_targets(stream, ids, tokenizer, at, times);
  require(all_once(times), "each token is a target once");
}

void check(const LanguageCorpus& corpus, const Options& o) {
  for (const TextSplit* split : {&corpus.train, &corpus.valid, &corpus.test})
    require(split->statistics.tokens == split->ids.size(), "tokens are counted");
  std::optional<BatchStream> training;
  if (accepts([&] { training.emplace(corpus.training_stream(o.batch, o.bptt)); }))
    check_pieces(*training, corpus.train.ids, corpus.tokenizer);
  check_pieces(corpus.validation_stream(), corpus.valid.ids, corpus.tokenizer);
  if (!corpus.test.ids.empty())
    check_pieces(corpus.test_stream(), corpus.test.ids, corpus.tokenizer);
}

/// Training and validation each have a part of every stream, without overlap.
void check_streams(const LanguageCorpus& corpus, const Options& o) {
  const std::int64_t train = corpus.streams.train_batches * o.bptt;
  const std::int64_t share = train + corpus.streams.valid_batches * o.bptt;
  const std::int64_t tokens = corpus.streams.text.tokens;
  const TokenIds ids = corpus.train.ids;
  require(ids.size() == share * o.batch && ids.size() <= tokens &&
              tokens - ids.size() < o.batch * o.bptt,
          "all whole batches are used");
  std::vector<int> times(static_cast<std::size_t>(ids.size()));
  const auto from = [&](std::int64_t first) {
    return [=](std::int64_t s, std::int64_t k) { return s * share + first + k; };
  };
  count_targets(corpus.training_stream(o.batch, o.bptt), ids, corpus.tokenizer, from(0), times);
  count_targets(corpus.validation_stream(), ids, corpus.tokenizer, from(train), times);
  require(all_once(times), "each token is a target once");
}

CorpusOptions corpus_options(const fs::path& file, const Options& o) {
  return {.path = file,
          .tokenizer = o.kind,
          .limits = o.limits,
          .valid_fraction = o.valid,
          .test_fraction = o.test,
          .cache_dir = "/dev/null/none"};  // where no cache can be created
}

}  // namespace

std::vector<std::string> seeds() {
  using namespace std::string_literals;
  std::string lines;
  for (int k = 0; k < 40; ++k)
    lines += "the cat sat on mat " + std::string(1, static_cast<char>('a' + k % 7)) + "\n";
  return {"\0\x22\x11\1"s + lines, "\1\x45\x33\0"s + lines, "\2\x13\x0F\0"s + lines,
          "\x83\x12\x21\x03"s + lines + "\xC3\xA9 <unk>\r\n\n",
          "\x81\x31\x71\x05"s + "a b\nc <eos> d\n\xF0\x9F\x98\x80 e f\ng\nh"};
}

}  // namespace unroll::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace unroll;
  static const fuzz::TextFile kFile;
  if (size < fuzz::kOptionBytes) return 0;
  const fuzz::Options o = fuzz::options_of(fuzz::text_of(data, size));
  const std::string text(fuzz::text_of(data, size).substr(fuzz::kOptionBytes));
  std::optional<LanguageCorpus> corpus;
  if (fuzz::accepts([&] {
        corpus = corpus_in_memory({text, text, text}, o.kind, o.limits, "text");
      }))
    fuzz::check(*corpus, o);
  CorpusOptions options = fuzz::corpus_options(kFile.write(text), o);
  if (fuzz::accepts([&] { corpus = read_language_corpus(options); })) fuzz::check(*corpus, o);
  options.split = SplitKind::kStreams;
  options.test_fraction = 0;
  options.streams = o.batch;
  options.steps = o.bptt;
  if (fuzz::accepts([&] { corpus = read_language_corpus(options); }))
    fuzz::check_streams(*corpus, o);
  return 0;
}
