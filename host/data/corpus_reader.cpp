/// read_language_corpus(): finds the files (text_files), and has them read and tokenised
/// (tokenizer, which reads through text_reader) unless a token cache has the ids already.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <stdexcept>
#include <utility>

#include "host/base/file_hash.h"
#include "host/base/hash.h"
#include "host/base/setting_error.h"
#include "host/base/strict_json.h"
#include "host/data/language_corpus.h"
#include "host/data/mapped_text.h"
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

/// Older versions wrote the bare hash of samples.
constexpr std::string_view kWhole = "whole:";

void require_fingerprint(const std::string& name, const std::string& got,
                         const std::string& expected) {
  if (got != expected)
    throw std::runtime_error(fmt::format(
        "{}: is not the text that the run was begun with: got fingerprint {}, expected {}", name,
        got, expected));
}

/// The text in a cache and how it is divided, while the corpus that it becomes is made.
struct Found {
  TokenCache cache;
  Tokenizer tokenizer;
  std::vector<MappedText> sources;  // where bytes are the tokens
};

class CorpusReader {
 public:
  explicit CorpusReader(const CorpusOptions& options)
      : options_(options),
        files_(options.files.empty() ? find_texts(options.path) : options.files) {
    if (files_.size() > 1 && streams())
      throw std::runtime_error(options.path.string() +
                               ": has a split of its own, expected a file to split into "
                               "streams");
    for (const fs::path& file : files_) {
      stop_if_asked(options.stop);
      sources_.push_back(stamp_source(file));
      if (sources_.back().stamp.size == 0)
        throw std::runtime_error(file.string() + ": is empty, expected text");
    }
    key_ = {{"tokenizer", to_string(options.tokenizer)},
            {"max_size", options.limits.max_size},
            {"min_count", options.limits.min_count},
            {"split", files_.size() > 1 ? "folder"
                      : streams()       ? "streams"
                                        : "fraction"}};
    if (options.given) key_["given"] = hash_of(bytes_of(options.given->vocabulary_text()));
    if (files_.size() > 1) return;
    key_["valid_fraction"] = options.valid_fraction;
    if (!streams()) key_["test_fraction"] = options.test_fraction;
    if (streams()) key_["batch"] = {options.streams, options.steps};
  }

  LanguageCorpus read() {
    find_folder();
    std::optional<Found> found = read_cache();
    if (!found) found = make_cache();
    warn_of_copies();
    if (const std::string& expected = options_.fingerprint; !expected.empty())
      require_fingerprint(options_.path.string(),
                          expected.starts_with(kWhole) ? fingerprint() : sampled_fingerprint(),
                          expected);
    return corpus(std::move(*found));
  }

 private:
  bool streams() const { return options_.split == SplitKind::kStreams; }
  bool bytes() const { return options_.tokenizer == TokenizerKind::kByte; }
  void note(const std::string& line) const {
    if (options_.note) options_.note(line);
  }

  void warn_of_copies() const {
    for (std::size_t a = 0; a < sources_.size(); ++a)
      for (std::size_t b = a + 1; b < sources_.size(); ++b)
        if (sources_[a].hash == sources_[b].hash)
          note(
              fmt::format("{} and {} are the same text: what is measured on one says nothing "
                          "about texts that the model has not seen",
                          files_[a].string(), files_[b].string()));
  }

  /// Where the cache is or will be; nowhere if the environment names no home.
  void find_folder() {
    fs::path folder = options_.cache_dir;
    const auto variable = [](const char* name) {
      const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): it is never set
      return fs::path(value ? value : "");
    };
    if (folder.empty() && variable("XDG_CACHE_HOME").is_absolute())
      folder = variable("XDG_CACHE_HOME") / "unroll";
    if (folder.empty() && variable("HOME").is_absolute())
      folder = variable("HOME") / ".cache" / "unroll";
    if (!folder.empty()) place_ = folder / token_cache_name(key_, sources_);
  }

  std::optional<Found> read_cache() {
    if (place_.empty()) return std::nullopt;
    try {
      std::optional<TokenCache> cache = read_token_cache(place_);
      if (!cache || !are_sources_of(cache->header)) return std::nullopt;
      Tokenizer tokenizer = options_.given ? *options_.given
                                           : Tokenizer::parse(options_.tokenizer,
                                                              cache->vocabulary(), place_.string());
      check_sizes(cache->header, tokenizer);
      return Found{std::move(*cache), std::move(tokenizer), map_sources()};
    } catch (const Interrupted&) {
      throw;
    } catch (const std::runtime_error& error) {
      note(fmt::format("{}; reading the text again", error.what()));
      return std::nullopt;
    }
  }

  /// Whether a cache was made of these sources. Learns their hashes, and computes only those that
  /// another stamp makes doubtful.
  bool are_sources_of(TokenCacheHeader& header) {
    if (header.sources.size() != sources_.size())
      throw std::runtime_error(place_.string() + ": the header is not one of these texts");
    for (std::size_t k = 0; k < sources_.size(); ++k) {
      const SourceStamp& then = header.sources[k];
      SourceStamp& now = sources_[k];
      if (now.stamp != then.stamp &&
          (now.stamp.size != then.stamp.size || read_hash(k) != then.hash)) {
        note(files_[k].string() + ": changed since its cache was made: reading it again");
        return false;
      }
      now.hash = then.hash;
    }
    if (const auto kept = kept_sources(); header.sources != kept) {
      header.sources = kept;
      try {
        restamp_token_cache(place_, header);
      } catch (const std::runtime_error& error) {
        note(fmt::format("{}; the text is compared again next time", error.what()));
      }
    }
    return true;
  }

  std::string read_hash(std::size_t k) const {
    const Descriptor fd = open_regular(files_[k], "a text file");
    std::string hash = file_hash(fd.get(), files_[k], options_.stop);
    if (stamp_of(fd.get(), files_[k]) != sources_[k].stamp) throw changed_while_read(files_[k]);
    return hash;
  }

  std::vector<SourceStamp> kept_sources() const {
    std::vector<SourceStamp> kept = sources_;
    for (SourceStamp& source : kept) source.stamp = source.stamp.to_keep();
    return kept;
  }

  /// Whether make_cache() may have written this header, which is whole, for these sources.
  void check_sizes(const TokenCacheHeader& header, const Tokenizer& tokenizer) const {
    std::int64_t split = 0;
    for (const TextStatistics& text : header.splits) split += text.tokens;
    const bool whole = split == header.tokens && header.splits[0].tokens > 0 &&
                       (!streams() || stream_split(header.tokens).train_batches > 0);
    const bool parts = !bytes() || files_.size() == 1 ||
                       (header.splits[0].tokens == sources_[0].stamp.size &&
                        header.splits[1].tokens == sources_[1].stamp.size);
    if (header.key != key_ || header.width != width(tokenizer) || !whole || !parts ||
        (bytes() && header.tokens != source_bytes()))
      throw std::runtime_error(place_.string() + ": the header is not one of these texts");
  }

  int width(const Tokenizer& tokenizer) const {
    return bytes() ? 0 : token_width(tokenizer.size());
  }

  std::int64_t source_bytes() const {
    std::int64_t sum = 0;
    for (const SourceStamp& source : sources_) sum += source.stamp.size;
    return sum;
  }

  std::vector<MappedText> map_sources() const {
    std::vector<MappedText> maps;
    if (!bytes()) return maps;
    for (std::size_t k = 0; k < files_.size(); ++k) maps.emplace_back(files_[k], sources_[k]);
    return maps;
  }

  std::array<TextPart, 3> parts() const {
    const auto size = [&](std::size_t k) { return sources_[k].stamp.size; };
    if (files_.size() > 1)
      return {{{0, 0, size(0)},
               {1, 0, size(1)},
               files_.size() > 2 ? TextPart{2, 0, size(2)} : TextPart{}}};
    if (streams()) return {{{0, 0, size(0)}, {}, {}}};
    return cut_text(files_[0], size(0), options_.tokenizer, options_.valid_fraction,
                    options_.test_fraction);
  }

  TextSource source(const TextPart& part) const {
    TextSource source(files_[part.file], part.first, part.count);
    source.stop_by(options_.stop);
    return source;
  }

  Found make_cache() {
    const std::array<TextPart, 3> texts = parts();
    Tokenizer tokenizer =
        options_.given ? *options_.given
                       : Tokenizer::build(options_.tokenizer, source(texts[0]), options_.limits);
    if (tokenizer.size() <= 2)
      throw std::runtime_error(
          fmt::format("{}: got no {} {}, expected one for the vocabulary", files_[0].string(),
                      to_string(options_.tokenizer),
                      options_.limits.min_count > 1
                          ? fmt::format("that occurs {} times", options_.limits.min_count)
                          : "beside line ends"));
    TokenCacheHeader header;
    header.key = key_;
    header.sources = sources_;
    header.width = width(tokenizer);
    if (bytes()) header.tokens = source_bytes();
    TokenCacheWriter writer(new_file(), std::move(header), tokenizer.vocabulary_text());
    const IdSink sink = [&](std::span<const std::int32_t> ids) {
      if (!bytes()) writer.add(ids);
    };
    std::vector<Hash> hashes(files_.size());
    std::array<TextStatistics, 3> splits{};
    std::int64_t lines = 0;
    for (std::size_t k = 0; k < texts.size(); ++k) {
      if (texts[k].count == 0) continue;
      TextSource text = source(texts[k]);
      text.hash_into(&hashes[texts[k].file]);
      if (files_.size() == 1) text.set_lines_before(lines);
      splits[k] = tokenizer.encode(std::move(text), sink);
      lines += splits[k].lines;
      if (splits[k].tokens == 0)
        throw std::runtime_error(files_[texts[k].file].string() + ": is empty, expected text");
    }
    if (streams()) stream_split(splits[0].tokens);  // it fits
    for (std::size_t k = 0; k < files_.size(); ++k) {
      sources_[k].hash = hashes[k].hex();
      if (stamp_source(files_[k]).stamp != sources_[k].stamp) throw changed_while_read(files_[k]);
    }
    Found found{writer.finish(splits, kept_sources()), std::move(tokenizer), map_sources()};
    try {
      writer.commit();
    } catch (const std::runtime_error& error) {
      note(fmt::format("{}; the text is read again next time", error.what()));
    }
    return found;
  }

  NewFile new_file() {
    std::string why = "neither XDG_CACHE_HOME nor HOME is set";
    if (!place_.empty()) try {
        std::error_code error;
        fs::create_directories(place_.parent_path(), error);
        if (error)
          throw std::runtime_error(fmt::format("{}: cannot be made: {}",
                                               place_.parent_path().string(), error.message()));
        return NewFile(place_);
      } catch (const std::runtime_error& failure) {
        why = failure.what();
      }
    note(why + "; the ids go to a temporary file, and the text is read again next time");
    place_ = temporary_folder();
    return NewFile::nameless();
  }

  /// With so many batches, some are for training and some for validation.
  std::int64_t fewest_batches() const {
    const double train = 1 - options_.valid_fraction;
    return std::max<std::int64_t>(2, std::int64_t(std::min(std::ceil(1 / train), 1e15)));
  }

  /// The whole batches, and how many are for training and for validation. Source: char-rnn,
  /// util/CharSplitLMMinibatchLoader.lua.
  LanguageCorpus::Streams stream_split(std::int64_t tokens) const {
    const std::int64_t batches = tokens / options_.streams / options_.steps;
    const auto train = std::int64_t(std::floor(double(batches) * (1 - options_.valid_fraction)));
    if (train < 1 || train == batches)
      throw SettingError(
          fmt::format(
              "{}: {} tokens are {} batches of {} streams x {} timesteps, {} of them for "
              "training, expected some for training and some for validation; what fits: {}",
              options_.path.string(), tokens, batches, options_.streams, options_.steps, train,
              batches_that_fit(tokens / fewest_batches(), options_.streams, options_.steps)),
          {SettingName::kBatchSize, SettingName::kTimesteps});
    return {options_.streams, options_.steps, train, batches - train, {}};
  }

  /// The tokens that fill whole batches.
  static std::int64_t used(const LanguageCorpus::Streams& s) {
    return s.streams * s.steps * (s.train_batches + s.valid_batches);
  }

  /// The statistics of a part, as far as they are known: the lines of the file lie across the
  /// streams.
  static TextStatistics part_of(const TextStatistics& whole, std::int64_t tokens) {
    const double share = double(tokens) / double(whole.tokens);
    TextStatistics part;
    part.tokens = tokens;
    part.characters = std::int64_t(std::llround(share * double(whole.characters)));
    return part;
  }

  std::string hash_of_texts(const std::function<std::string(std::size_t)>& hash) const {
    nlohmann::json text = {{"key", key_}, {"sources", nlohmann::json::array()}};
    for (std::size_t k = 0; k < sources_.size(); ++k)
      text["sources"].push_back({sources_[k].stamp.size, hash(k)});
    return hash_of(bytes_of(format_json(text, "fingerprint")));
  }

  std::string fingerprint() const {
    return std::string(kWhole) + hash_of_texts([&](std::size_t k) { return sources_[k].hash; });
  }

  /// The fingerprint that older versions made.
  std::string sampled_fingerprint() const {
    return hash_of_texts([&](std::size_t k) {
      const Descriptor fd = open_regular(files_[k], "a text file");
      return sample_hash(MappedFile(fd.get(), files_[k]).bytes());
    });
  }

  LanguageCorpus corpus(Found found) const {
    LanguageCorpus corpus;
    corpus.tokenizer = found.tokenizer;
    corpus.name = options_.path.string();
    corpus.ids_name = bytes() ? corpus.name : place_.string();
    corpus.fingerprint = fingerprint();
    const auto memory = std::make_shared<Found>(std::move(found));
    const TokenCacheHeader& header = memory->cache.header;
    const TokenIds all = bytes() ? memory->sources[0].ids() : memory->cache.ids();
    corpus.memory = memory;
    if (bytes())
      corpus.check_sources = [memory] {
        for (MappedText& text : memory->sources) text.require_unchanged();
      };
    if (streams()) {
      LanguageCorpus::Streams& s = corpus.streams = stream_split(all.size());
      s.text = header.splits[0];
      corpus.train = {all.first(used(s)), part_of(s.text, s.streams * s.steps * s.train_batches)};
      corpus.valid = {all.first(used(s)), part_of(s.text, s.streams * s.steps * s.valid_batches)};
      return corpus;
    }
    std::int64_t first = 0;
    const std::array splits{&corpus.train, &corpus.valid, &corpus.test};
    for (std::size_t k = 0; k < splits.size(); ++k) {
      const TextStatistics& statistics = header.splits[k];
      const std::int64_t from = std::exchange(first, first + statistics.tokens);
      if (files_.size() > 1 && k >= files_.size()) continue;
      *splits[k] = {memory->sources.size() > 1 ? memory->sources[k].ids()
                                               : all.subspan(from, statistics.tokens),
                    statistics};
    }
    return corpus;
  }

  const CorpusOptions& options_;
  std::vector<fs::path> files_;
  std::vector<SourceStamp> sources_;  // hashes are learnt on the way
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
  LanguageCorpus corpus = built_in_corpus(options);
  if (!options.fingerprint.empty())
    require_fingerprint(corpus.name, corpus.fingerprint, options.fingerprint);
  return corpus;
}

}  // namespace unroll
