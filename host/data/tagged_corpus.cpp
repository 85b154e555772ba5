#include "host/data/tagged_corpus.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <stdexcept>
#include <system_error>
#include <utility>

#include "host/base/hash.h"
#include "host/base/strict_json.h"
#include "host/base/utf8.h"
#include "host/data/lower_case.h"
#include "host/data/word_table.h"

namespace unroll {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kFormatBytesOfTags = std::size_t(1) << 16;  // that tell the format of a file

/// Calls body(bytes) for each character of a text in UTF-8.
template <typename Body>
void for_each_character(std::string_view text, Body&& body) {
  while (!text.empty()) {
    const char* const begin = text.data();
    take_code_point(text);
    body(std::string_view(begin, std::size_t(text.data() - begin)));
  }
}

/// Numbers by falling count, equal ones in their order.
std::vector<std::int32_t> by_count(const std::vector<std::int64_t>& counts) {
  std::vector<std::int32_t> order(counts.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, std::ranges::greater(),
                           [&](std::int32_t k) { return counts[std::size_t(k)]; });
  return order;
}

/// The sentences of a file before there is a vocabulary for them: words and tags have numbers by
/// first appearance.
class SplitMaker {
 public:
  void add(std::string_view form, std::string_view tag) {
    add_form(form);
    split_.tags.push_back(tags_.add(tag));
  }
  void add(std::string_view form) {
    add_form(form);
    split_.tags.push_back(kIgnoredId);
  }
  void end_sentence() {
    const auto end = std::int64_t(split_.forms.size()), length = end - split_.begins.back();
    split_.begins.push_back(end);
    split_.statistics.longest = std::max(split_.statistics.longest, length);
  }
  std::int64_t sentences() const { return split_.size(); }

  /// What these sentences teach. `name` is how errors call them.
  TaggingVocabulary vocabulary(const std::string& name) const;
  TaggedSplit finish(const TaggingVocabulary& vocabulary);

 private:
  void add_form(std::string_view form) {
    const std::int32_t number = forms_.add(form);
    if (number == std::ssize(split_.distinct.counts)) split_.distinct.counts.push_back(0);
    ++split_.distinct.counts[std::size_t(number)];
    split_.forms.push_back(number);
  }
  void finish_forms(const TaggingVocabulary& vocabulary);
  void finish_tags(const ClassLabels& tags);

  WordTable forms_, tags_;
  TaggedSplit split_;
};

TaggingVocabulary SplitMaker::vocabulary(const std::string& name) const {
  TaggingVocabulary vocabulary;
  const std::vector<std::string> forms = forms_.words();
  const std::vector<std::int64_t> counts(split_.distinct.counts.begin(),
                                         split_.distinct.counts.end());
  WordTable characters;
  std::vector<std::int64_t> character_counts;
  for (const std::int32_t form : by_count(counts)) {
    vocabulary.words.add(forms[std::size_t(form)]);
    for_each_character(forms[std::size_t(form)], [&](std::string_view character) {
      const auto number = std::size_t(characters.add(character));
      if (number == character_counts.size()) character_counts.push_back(0);
      character_counts[number] += counts[std::size_t(form)];
    });
  }
  vocabulary.training_words = vocabulary.words.size();
  const std::vector<std::string> texts = characters.words();
  for (const std::int32_t character : by_count(character_counts))
    vocabulary.characters.add(texts[std::size_t(character)]);
  vocabulary.tags = ClassLabels(tags_.words(), name);
  return vocabulary;
}

TaggedSplit SplitMaker::finish(const TaggingVocabulary& vocabulary) {
  split_.statistics.sentences = split_.size();
  split_.statistics.tokens = std::ssize(split_.forms);
  finish_forms(vocabulary);
  finish_tags(vocabulary.tags);
  return std::move(split_);
}

void SplitMaker::finish_forms(const TaggingVocabulary& vocabulary) {
  DistinctForms& distinct = split_.distinct;
  TaggedStatistics& statistics = split_.statistics;
  distinct.texts = forms_.words();
  for (std::size_t k = 0; k < distinct.texts.size(); ++k) {
    const std::string& form = distinct.texts[k];
    distinct.words.push_back(vocabulary.words.find_in_any_case(form));
    distinct.in_training.push_back(vocabulary.in_training(form) ? 1 : 0);
    for_each_character(form, [&](std::string_view character) {
      distinct.characters.push_back(vocabulary.characters.find(character));
    });
    distinct.character_begins.push_back(std::ssize(distinct.characters));
    statistics.longest_form = std::max(
        statistics.longest_form, distinct.character_begins[k + 1] - distinct.character_begins[k]);
    if (distinct.in_training[k] == 0) statistics.unknown += distinct.counts[k];
    if (distinct.words[k] == KnownWords::kUnknown) statistics.without_id += distinct.counts[k];
  }
}

void SplitMaker::finish_tags(const ClassLabels& tags) {
  const std::vector<std::string> texts = tags_.words();
  std::vector<std::int32_t> ids;  // by number
  for (const std::string& tag : texts) ids.push_back(tags.find(tag).value_or(kIgnoredId));
  split_.statistics.per_tag.resize(std::size_t(tags.size()));
  for (std::int32_t& tag : split_.tags) {
    if (tag == kIgnoredId) continue;
    const auto number = std::size_t(tag);
    tag = ids[number];
    if (tag == kIgnoredId)
      ++split_.statistics.unknown_tags[texts[number]];
    else
      ++split_.statistics.per_tag[std::size_t(tag)];
  }
}

SplitMaker read_sentences(TaggedSource source, TagColumn column) {
  TaggedReader reader(std::move(source.text), {.format = source.format, .column = column});
  SplitMaker maker;
  TaggedLines sentence;
  while (reader.next(sentence)) {
    if (sentence.size() == 0) continue;
    for (std::int64_t k = 0; k < sentence.size(); ++k) maker.add(sentence.form(k), sentence.tag(k));
    maker.end_sentence();
  }
  if (maker.sentences() == 0)
    throw std::runtime_error(reader.name() +
                             ": has no sentence, expected lines of a word and its tag");
  return maker;
}

std::string known_tags(const ClassLabels& tags) {
  constexpr std::int32_t kMostNamed = 8;
  std::string text;
  for (std::int32_t k = 0; k < std::min(tags.size(), kMostNamed); ++k)
    text += (k == 0 ? "" : ", ") + in_quotes(tags.label(k));
  return tags.size() > kMostNamed ? fmt::format("{} and {} more", text, tags.size() - kMostNamed)
                                  : text;
}

/// The paths in a folder that are files of one split: by their whole name, or as Universal
/// Dependencies name them.
std::vector<fs::path> split_files(const std::vector<fs::path>& files, std::string_view split) {
  std::vector<fs::path> found;
  for (const fs::path& file : files) {
    const std::string name = file.filename().string();
    if (name == fmt::format("{}.conllu", split) || name == fmt::format("{}.tsv", split) ||
        name.ends_with(fmt::format("-ud-{}.conllu", split)))
      found.push_back(file);
  }
  return found;
}

std::vector<fs::path> files_of(const fs::path& folder) {
  require_folder(folder, "one with train, dev and test.conllu");
  std::error_code error;
  std::vector<fs::path> files;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error))
    files.push_back(at->path());
  if (error)
    throw std::runtime_error(
        fmt::format("{}: cannot be read: {}", folder.string(), error.message()));
  std::ranges::sort(files);
  return files;
}

}  // namespace

TaggedSource tagged_source(const fs::path& file) {
  TextSource text(file);
  const std::string type = file.extension().string();
  const bool two_columns = type == ".tsv" || type == ".txt" ||
                           (type != ".conllu" && !is_conllu(text.beginning(kFormatBytesOfTags)));
  return {std::move(text), two_columns ? TaggedFormat::kTwoColumns : TaggedFormat::kConllu};
}

std::array<fs::path, 3> find_tagged_files(const fs::path& folder) {
  const std::vector<fs::path> files = files_of(folder);
  std::array<fs::path, 3> found;
  for (const auto& [k, split] : {std::pair(0, "train"), {1, "dev"}, {1, "valid"}, {2, "test"}})
    for (const fs::path& file : split_files(files, split)) {
      fs::path& place = found[std::size_t(k)];
      if (!place.empty())
        throw std::runtime_error(fmt::format("{}: got {} and {}, expected one of them",
                                             folder.string(), place.filename().string(),
                                             file.filename().string()));
      place = file;
    }
  for (const auto& [k, split] : {std::pair(0, "train"), {1, "dev"}})
    if (found[std::size_t(k)].empty())
      throw std::runtime_error(fmt::format(
          "{}: no {}.conllu, expected train, dev and test.conllu, the same after '-ud-', or train, "
          "dev and test.tsv",
          folder.string(), split));
  return found;
}

TaggedSplit read_tagged_split(TaggedSource source, TagColumn column,
                              const TaggingVocabulary& vocabulary) {
  const std::string name = source.text.name();
  TaggedSplit split = read_sentences(std::move(source), column).finish(vocabulary);
  const auto& unknown = split.statistics.unknown_tags;
  const auto tokens =
      std::accumulate(unknown.begin(), unknown.end(), std::int64_t(0),
                      [](std::int64_t sum, const auto& tag) { return sum + tag.second; });
  if (tokens == split.statistics.tokens)
    throw std::runtime_error(
        fmt::format("{}: got only tags that training lacks, such as {}, expected some of {}", name,
                    in_quotes(unknown.begin()->first), known_tags(vocabulary.tags)));
  return split;
}

TaggedSplit untagged_split(std::span<const std::vector<std::string>> sentences,
                           const TaggingVocabulary& vocabulary) {
  SplitMaker maker;
  for (const std::vector<std::string>& sentence : sentences) {
    if (sentence.empty() || std::ssize(sentence) > kMostSentenceWords)
      throw std::invalid_argument(fmt::format("a sentence of {} words, expected 1 to {}",
                                              sentence.size(), kMostSentenceWords));
    for (const std::string& form : sentence) {
      if (!is_label(form))
        throw std::invalid_argument("the word " + in_quotes(form) +
                                    ", expected UTF-8 without white space, but blanks within it");
      maker.add(form);
    }
    maker.end_sentence();
  }
  return maker.finish(vocabulary);
}

TaggedCorpus read_tagged_corpus(TaggedSources sources, const std::string& name,
                                const TaggedCorpusOptions& options) {
  std::array<Hash, 3> hashes;
  const auto watched = [&](TaggedSource source, std::size_t k) {
    source.text.stop_by(options.stop);
    source.text.hash_into(&hashes[k]);
    return source;
  };
  TaggedCorpus corpus;
  corpus.name = name;
  const std::string train_name = sources.train.text.name();
  SplitMaker train = read_sentences(watched(std::move(sources.train), 0), options.column);
  TaggingVocabulary vocabulary = train.vocabulary(train_name);
  if (options.vectors)
    for (const std::string& word : options.vectors->words.words()) vocabulary.words.add(word);
  const auto shared = [](TaggedSplit split) {
    return std::make_shared<const TaggedSplit>(std::move(split));
  };
  corpus.train = shared(train.finish(vocabulary));
  corpus.valid =
      shared(read_tagged_split(watched(std::move(sources.valid), 1), options.column, vocabulary));
  nlohmann::json key = {{"column", to_string(options.column)},
                        {"files", {hashes[0].hex(), hashes[1].hex()}}};
  if (sources.test) {
    corpus.test =
        shared(read_tagged_split(watched(std::move(*sources.test), 2), options.column, vocabulary));
    key["files"].push_back(hashes[2].hex());
  }
  if (options.vectors) key["vectors"] = options.vectors->fingerprint;
  corpus.vocabulary = std::make_shared<const TaggingVocabulary>(std::move(vocabulary));
  corpus.fingerprint = hash_of(bytes_of(format_json(key, "fingerprint")));
  if (!options.fingerprint.empty() && options.fingerprint != corpus.fingerprint)
    throw std::runtime_error(fmt::format(
        "{}: are not the sentences that the run was begun with: got fingerprint {}, expected {}",
        name, corpus.fingerprint, options.fingerprint));
  return corpus;
}

TaggedCorpus read_tagged_corpus(const fs::path& folder, const TaggedCorpusOptions& options) {
  const std::array<fs::path, 3> files = find_tagged_files(folder);
  TaggedSources sources{tagged_source(files[0]), tagged_source(files[1]), std::nullopt};
  if (!files[2].empty()) sources.test = tagged_source(files[2]);
  return read_tagged_corpus(std::move(sources), folder.string(), options);
}

VectorCoverage coverage_of(const TaggedSplit& split, const WordVectors& vectors) {
  VectorCoverage coverage;
  for (std::size_t k = 0; k < split.distinct.texts.size(); ++k) {
    const std::string& form = split.distinct.texts[k];
    const bool as_written = vectors.words.find(form) >= 0;
    if (!as_written && vectors.words.find(lower_case(form)) < 0) continue;
    ++coverage.forms;
    (as_written ? coverage.as_written : coverage.in_lower_case) += split.distinct.counts[k];
  }
  return coverage;
}

std::vector<std::int64_t> vector_rows(const TaggingVocabulary& vocabulary,
                                      const WordVectors& vectors) {
  std::vector<std::int64_t> rows;
  for (const std::string& word : vocabulary.words.words()) {
    std::int32_t row = vectors.words.find(word);
    if (row < 0) row = vectors.words.find(lower_case(word));
    rows.push_back(row);
  }
  return rows;
}

}  // namespace unroll
