/// read_language_corpus(): from files by way of a token cache.
#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <stdexcept>
#include <utility>

#include "host/data/hash.h"
#include "host/data/language_corpus.h"
#include "host/data/strict_json.h"
#include "host/data/text_files.h"
#include "host/data/token_cache.h"

namespace unroll {
namespace {

namespace fs = std::filesystem;

void check(const CorpusOptions& o) {
  const bool streams = o.split == SplitKind::kStreams;
  if (!(o.valid_fraction > 0 && o.valid_fraction < 1) || !(o.test_fraction >= 0) ||
      !(o.valid_fraction + o.test_fraction < 1))
    throw std::invalid_argument(fmt::format(
        "fractions: got {} for validation and {} for test, expected more than 0, 0 or more, and "
        "below 1 together",
        o.valid_fraction, o.test_fraction));
  if (streams && (o.test_fraction != 0 || o.streams < 1 || o.steps < 1))
    throw std::invalid_argument(fmt::format(
        "split into streams: got test fraction {}, {} streams and {} steps, expected 0, and 1 or "
        "more of both",
        o.test_fraction, o.streams, o.steps));
  o.limits.check();
}

/// The text in a cache and how it is divided, while the corpus that it becomes is made.
struct Found {
  TokenCache cache;
  Tokenizer tokenizer;
  std::vector<MappedFile> sources;  // where bytes are the tokens
};

class CorpusReader {
 public:
  explicit CorpusReader(const CorpusOptions& options)
      : options_(options), files_(find_texts(options.path)) {
    if (files_.size() > 1 && streams())
      throw std::runtime_error(options.path.string() +
                               ": is a folder, which has a split of its own, expected a file to "
                               "split into streams");
    for (const fs::path& file : files_) {
      stop_if_asked(options.stop);
      stamps_.push_back(stamp_source(file));
      if (stamps_.back().size == 0)
        throw std::runtime_error(file.string() + ": is empty, expected text");
    }
    key_ = {{"tokenizer", to_string(options.tokenizer)},
            {"max_size", options.limits.max_size},
            {"min_count", options.limits.min_count},
            {"split", files_.size() > 1 ? "folder"
                      : streams()       ? "streams"
                                        : "fraction"}};
    if (files_.size() > 1) return;
    key_["valid_fraction"] = options.valid_fraction;
    if (!streams()) key_["test_fraction"] = options.test_fraction;
    if (streams()) key_["batch"] = {options.streams, options.steps};
  }

  LanguageCorpus read() {
    find_folder();
    std::optional<Found> found = read_cache();
    if (!found) found = make_cache();
    return corpus(std::move(*found));
  }

 private:
  bool streams() const { return options_.split == SplitKind::kStreams; }
  bool bytes() const { return options_.tokenizer == TokenizerKind::kByte; }
  void note(const std::string& line) const {
    if (options_.note) options_.note(line);
  }

  /// Where the cache is or will be; nowhere if the environment names no home.
  void find_folder() {
    fs::path folder = options_.cache_dir;
    const auto variable = [](const char* name) {
      const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nobody sets it
      return fs::path(value ? value : "");
    };
    if (folder.empty() && variable("XDG_CACHE_HOME").is_absolute())
      folder = variable("XDG_CACHE_HOME") / "unroll";
    if (folder.empty() && variable("HOME").is_absolute())
      folder = variable("HOME") / ".cache" / "unroll";
    if (!folder.empty()) place_ = folder / token_cache_name(key_, stamps_);
  }

  std::optional<Found> read_cache() {
    if (place_.empty()) return std::nullopt;
    try {
      std::optional<TokenCache> cache = read_token_cache(place_);
      if (!cache) return std::nullopt;
      for (std::size_t k = 0; k < stamps_.size(); ++k)
        if (cache->header.sources.size() != stamps_.size() ||
            cache->header.sources[k] != stamps_[k]) {
          note(files_[k].string() + ": changed since its cache was made: reading it again");
          return std::nullopt;
        }
      Tokenizer tokenizer =
          Tokenizer::parse(options_.tokenizer, cache->vocabulary(), place_.string());
      check_sizes(cache->header, tokenizer);
      return Found{std::move(*cache), std::move(tokenizer), map_sources()};
    } catch (const Interrupted&) {
      throw;
    } catch (const std::runtime_error& error) {
      note(fmt::format("{}; reading the text again", error.what()));
      return std::nullopt;
    }
  }

  /// That the header, which is whole, is one that make_cache() may have written for these sources.
  void check_sizes(const TokenCacheHeader& header, const Tokenizer& tokenizer) const {
    std::int64_t split = 0;
    for (const TextStatistics& text : header.splits) split += text.tokens;
    const bool whole = streams() ? stream_split(header.tokens).train_batches > 0
                                 : split == header.tokens && header.splits[0].tokens > 0;
    const bool parts =
        !bytes() || files_.size() == 1 ||
        (header.splits[0].tokens == stamps_[0].size && header.splits[1].tokens == stamps_[1].size);
    if (header.key != key_ || header.width != width(tokenizer) || !whole || !parts ||
        (bytes() && header.tokens != source_bytes()))
      throw std::runtime_error(place_.string() + ": the header is not one of these texts");
  }

  int width(const Tokenizer& tokenizer) const {
    return bytes() ? 0 : token_width(tokenizer.size());
  }

  std::int64_t source_bytes() const {
    std::int64_t sum = 0;
    for (const SourceStamp& stamp : stamps_) sum += stamp.size;
    return sum;
  }

  std::vector<MappedFile> map_sources() const {
    std::vector<MappedFile> maps;
    if (!bytes()) return maps;
    for (const fs::path& file : files_) {
      const Descriptor fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC), file, "cannot be opened");
      maps.emplace_back(fd.get(), file);
      if (std::int64_t(maps.back().bytes().size()) != stamps_[maps.size() - 1].size)
        throw std::runtime_error(file.string() + ": changed while it was read");
    }
    return maps;
  }

  std::array<TextPart, 3> parts() const {
    if (files_.size() > 1)
      return {{{0, 0, stamps_[0].size}, {1, 0, stamps_[1].size}, {2, 0, stamps_[2].size}}};
    if (streams()) return {{{0, 0, stamps_[0].size}, {}, {}}};
    return cut_text(files_[0], stamps_[0].size, options_.tokenizer, options_.valid_fraction,
                    options_.test_fraction);
  }

  TextSource source(const TextPart& part) const {
    TextSource source(files_[part.file], part.first, part.count);
    source.stop_by(options_.stop);
    return source;
  }

  Found make_cache() {
    const std::array<TextPart, 3> texts = parts();
    Tokenizer tokenizer = Tokenizer::build(options_.tokenizer, source(texts[0]), options_.limits);
    if (tokenizer.size() <= 2)
      throw std::runtime_error(
          fmt::format("{}: got no {} {}, expected one for the vocabulary", files_[0].string(),
                      to_string(options_.tokenizer),
                      options_.limits.min_count > 1
                          ? fmt::format("that occurs {} times", options_.limits.min_count)
                          : "beside line ends"));
    TokenCacheHeader header;
    header.key = key_;
    header.sources = stamps_;
    header.width = width(tokenizer);
    if (bytes()) header.tokens = source_bytes();
    TokenCacheWriter writer(new_file(), std::move(header), tokenizer.vocabulary_text());
    const IdSink sink = [&](std::span<const std::int32_t> ids) {
      if (!bytes()) writer.add(ids);
    };
    std::vector<MappedFile> sources = map_sources();
    std::array<TextStatistics, 3> splits{};
    std::int64_t lines = 0;
    for (std::size_t k = 0; k < texts.size(); ++k) {
      if (texts[k].count == 0) continue;
      TextSource text = source(texts[k]);
      if (files_.size() == 1) text.set_lines_before(lines);
      splits[k] = tokenizer.encode(std::move(text), sink);
      lines += splits[k].lines;
      if (splits[k].tokens == 0)
        throw std::runtime_error(files_[texts[k].file].string() + ": is empty, expected text");
    }
    if (streams())
      splits = stream_statistics(bytes() ? ids_of(sources[0]) : writer.ids(), splits[0], tokenizer);
    for (const fs::path& file : files_)
      if (stamp_source(file) != stamps_[std::size_t(&file - files_.data())])
        throw std::runtime_error(file.string() + ": changed while it was read");
    return {writer.finish(splits), std::move(tokenizer), std::move(sources)};
  }

  static TokenIds ids_of(const MappedFile& file) {
    return {file.bytes().data(), std::int64_t(file.bytes().size()), 1};
  }

  NewFile new_file() {
    std::string why = "neither XDG_CACHE_HOME nor HOME is set";
    if (!place_.empty()) {
      std::error_code error;
      fs::create_directories(place_.parent_path(), error);
      try {
        if (error)
          throw std::runtime_error(fmt::format("{}: cannot be made: {}",
                                               place_.parent_path().string(), error.message()));
        return NewFile(place_);
      } catch (const std::runtime_error& failure) {
        if (!options_.cache_dir.empty()) throw;
        why = failure.what();
      }
    }
    note(why + "; the ids go to a temporary file, and the text is read again next time");
    place_ = fs::temp_directory_path();
    return NewFile::nameless();
  }

  /// Of which some are for training and some for validation.
  std::int64_t fewest_batches() const {
    const double train = 1 - options_.valid_fraction;
    return std::max<std::int64_t>(2, std::int64_t(std::min(std::ceil(1 / train), 1e15)));
  }

  /// How many whole batches there are, and whose they are. Source: char-rnn,
  /// util/CharSplitLMMinibatchLoader.lua.
  LanguageCorpus::Streams stream_split(std::int64_t tokens) const {
    const std::int64_t batches = tokens / options_.streams / options_.steps;
    const auto train = std::int64_t(std::floor(double(batches) * (1 - options_.valid_fraction)));
    if (train < 1 || train == batches)
      throw std::runtime_error(fmt::format(
          "{}: {} tokens are {} batches of --batch-size {} x --bptt {}, {} of them for training, "
          "expected some for training and some for validation; what fits: {}",
          options_.path.string(), tokens, batches, options_.streams, options_.steps, train,
          batches_that_fit(tokens / fewest_batches(), options_.streams, options_.steps)));
    return {options_.streams, options_.steps, train, batches - train};
  }

  /// The tokens that fill whole batches.
  static std::int64_t used(const LanguageCorpus::Streams& s) {
    return s.streams * s.steps * (s.train_batches + s.valid_batches);
  }

  std::array<TextStatistics, 3> stream_statistics(TokenIds ids, const TextStatistics& whole,
                                                  const Tokenizer& tokenizer) const {
    const LanguageCorpus::Streams s = stream_split(ids.size());
    const std::int64_t share = used(s) / s.streams, train = s.train_batches * s.steps;
    std::array<TextStatistics, 3> splits{};
    std::vector<char> seen(2 * static_cast<std::size_t>(tokenizer.size()));
    for (std::int64_t k = 0; k < used(s); ++k) {
      if (k % (1 << 20) == 0) stop_if_asked(options_.stop);
      const std::size_t part = k % share < train ? 0 : 1;
      TextStatistics& split = splits[part];
      const std::int32_t id = ids[k];
      ++split.tokens;
      split.lines += id == tokenizer.start() ? 1 : 0;
      split.unknown += tokenizer.unk() == id ? 1 : 0;
      char& known = seen[2 * static_cast<std::size_t>(id) + part];
      split.types += std::exchange(known, 1) == 0 ? 1 : 0;
    }
    const double characters = double(whole.characters) / double(whole.tokens);
    for (TextStatistics& split : splits)
      split.characters = std::int64_t(std::llround(characters * double(split.tokens)));
    return splits;
  }

  std::string fingerprint() const {
    nlohmann::json text = {{"key", key_}, {"sources", nlohmann::json::array()}};
    for (const SourceStamp& stamp : stamps_) text["sources"].push_back({stamp.size, stamp.sample});
    return hash_of(bytes_of(format_json(text, "fingerprint")));
  }

  LanguageCorpus corpus(Found found) const {
    LanguageCorpus corpus;
    corpus.tokenizer = found.tokenizer;
    corpus.name = options_.path.string();
    corpus.ids_name = bytes() ? corpus.name : place_.string();
    corpus.fingerprint = fingerprint();
    const auto memory = std::make_shared<const Found>(std::move(found));
    const TokenCacheHeader& header = memory->cache.header;
    const TokenIds all = bytes() ? ids_of(memory->sources[0]) : memory->cache.ids();
    if (streams()) corpus.streams = stream_split(all.size());
    std::int64_t first = 0;
    const std::array splits{&corpus.train, &corpus.valid, &corpus.test};
    for (std::size_t k = 0; k < splits.size(); ++k) {
      const TextStatistics& statistics = header.splits[k];
      splits[k]->statistics = statistics;
      if (streams())
        splits[k]->ids = k < 2 ? all.first(used(corpus.streams)) : TokenIds();
      else if (memory->sources.size() > 1)
        splits[k]->ids = ids_of(memory->sources[k]);
      else
        splits[k]->ids =
            all.subspan(std::exchange(first, first + statistics.tokens), statistics.tokens);
    }
    corpus.memory = memory;
    return corpus;
  }

  const CorpusOptions& options_;
  std::vector<fs::path> files_;
  std::vector<SourceStamp> stamps_;
  nlohmann::json key_;
  fs::path place_;
};

}  // namespace

LanguageCorpus read_language_corpus(const CorpusOptions& options) {
  check(options);
  if (!options.path.empty()) return CorpusReader(options).read();
  if (options.split == SplitKind::kStreams)
    throw std::runtime_error(
        "the built-in corpus has a split of its own, expected a file to split into streams");
  return built_in_corpus(options.tokenizer, options.limits);
}

}  // namespace unroll
