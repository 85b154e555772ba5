/// Sentences with a tag for each word, as ids in memory: what a tagger learns from. conllu.h says
/// what a file is like.
///
/// The tags are those of the training sentences. A later sentence may have others: they are counted
/// and cannot be predicted, so they are errors in an accuracy and nothing in a loss.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "host/base/interrupted.h"
#include "host/data/class_labels.h"
#include "host/data/conllu.h"
#include "host/data/examples.h"
#include "host/data/known_words.h"
#include "host/data/text_reader.h"
#include "host/data/word_vectors.h"

namespace unroll {

/// What a tagger knows of its language.
struct TaggingVocabulary {
  /// The words of the training sentences, the most frequent first, then the words of a file of
  /// vectors. A word is looked up as it is written, then in lower case.
  KnownWords words;
  std::int32_t training_words = 1;  // ids below it are those of training words, or KnownWords' 0
  KnownWords characters;            // of the training words, the most frequent first
  ClassLabels tags;                 // of the training sentences

  /// Whether the training sentences have the word as it is written.
  bool in_training(std::string_view form) const {
    const std::int32_t id = words.find(form);
    return id != KnownWords::kUnknown && id < training_words;
  }
};

struct TaggedStatistics {
  std::int64_t sentences = 0;
  std::int64_t tokens = 0, longest = 0;  // the longest sentence, in tokens
  std::int64_t longest_form = 0;         // in characters
  std::int64_t unknown = 0;              // tokens whose form training does not have
  std::int64_t without_id = 0;           // tokens whose word has id 0: without a vector of its own
  std::vector<std::int64_t> per_tag;     // tokens
  /// Tags that training lacks, and how many tokens have them.
  std::map<std::string, std::int64_t> unknown_tags;
};

/// The different words of some sentences, as they are written.
struct DistinctForms {
  std::vector<std::string> texts;
  std::vector<std::int32_t> words;        // [forms] their ids among TaggingVocabulary::words
  std::vector<std::int32_t> counts;       // [forms] tokens in these sentences
  std::vector<std::uint8_t> in_training;  // [forms] 1: TaggingVocabulary::in_training()
  std::vector<std::int32_t> characters;   // ids, one form after the other
  std::vector<std::int64_t> character_begins = {0};  // [forms + 1]

  std::int64_t size() const { return std::int64_t(texts.size()); }
  std::span<const std::int32_t> characters_of(std::int64_t form) const {
    const auto at = std::size_t(form);
    return std::span(characters)
        .subspan(std::size_t(character_begins[at]),
                 std::size_t(character_begins[at + 1] - character_begins[at]));
  }
};

/// The sentences of one file, in its order. None is empty.
struct TaggedSplit {
  std::vector<std::int64_t> begins = {0};  // [sentences + 1]: of their tokens
  std::vector<std::int32_t> forms;         // [tokens] which of the distinct forms
  std::vector<std::int32_t> tags;          // [tokens]; kIgnoredId: one that training lacks, or none
  DistinctForms distinct;
  TaggedStatistics statistics;

  std::int64_t size() const { return std::int64_t(begins.size()) - 1; }
  std::int64_t length(std::int64_t sentence) const {
    return begins[std::size_t(sentence) + 1] - begins[std::size_t(sentence)];
  }
};

struct TaggedCorpusOptions {
  TagColumn column = TagColumn::kUpos;
  /// Null: none. Else its words join the vocabulary, so that words have vectors that training does
  /// not have.
  std::shared_ptr<const WordVectors> vectors = nullptr;
  /// TaggedCorpus::fingerprint that the sentences must have; empty: any.
  std::string fingerprint = {};
  const std::atomic<bool>* stop = nullptr;  // ends the reading when set
};

/// Cheap to copy; copies share the sentences.
struct TaggedCorpus {
  std::shared_ptr<const TaggingVocabulary> vocabulary;
  std::shared_ptr<const TaggedSplit> train, valid, test;  // test may be null
  std::string name;                                       // how errors call them
  /// Equal exactly for equal files read in the same way, from any place.
  std::string fingerprint;
};

/// A file of sentences, and how to read it.
struct TaggedSource {
  TextSource text;
  TaggedFormat format = TaggedFormat::kConllu;
};

/// The file, whose name says its format: .conllu; .tsv or .txt for two columns; for any other name
/// the text does.
/// Errors    std::runtime_error as TextSource.
TaggedSource tagged_source(const std::filesystem::path& file);

/// The training, validation and test sentences of a folder: train, dev and test.conllu; or files
/// that end so after "-ud-", as Universal Dependencies name them; or train, dev and test.tsv in two
/// columns. "valid" is another name for "dev". The last path is empty if there is no test file.
/// Errors    std::runtime_error if there is no such folder, no training or validation file, or two
///           for the same.
std::array<std::filesystem::path, 3> find_tagged_files(const std::filesystem::path& folder);

/// Reads what find_tagged_files() finds.
/// Errors    std::runtime_error as find_tagged_files() and TaggedReader; if a file has no sentence;
///           if there are fewer than 2 or more than ClassLabels::kMost tags; if validation or test
///           sentences have no tag of the training sentences; if they are not those of
///           `fingerprint`; Interrupted.
TaggedCorpus read_tagged_corpus(const std::filesystem::path& folder,
                                const TaggedCorpusOptions& options);

/// The same from anywhere.
struct TaggedSources {
  TaggedSource train, valid;
  std::optional<TaggedSource> test;
};
TaggedCorpus read_tagged_corpus(TaggedSources sources, const std::string& name,
                                const TaggedCorpusOptions& options);

/// One file more, for a model that exists.
/// Errors    as above.
TaggedSplit read_tagged_split(TaggedSource source, TagColumn column,
                              const TaggingVocabulary& vocabulary);

/// Sentences without tags, of 1 to kMostSentenceWords words each.
/// Errors    std::invalid_argument if there is an empty sentence or a word that is_label() refuses.
TaggedSplit untagged_split(std::span<const std::vector<std::string>> sentences,
                           const TaggingVocabulary& vocabulary);

/// For how many training words, and tokens of some sentences, vectors have the word.
struct VectorCoverage {
  std::int64_t as_written = 0;     // tokens
  std::int64_t in_lower_case = 0;  // tokens whose word is there only so
  std::int64_t forms = 0;          // distinct forms that are there in either way
};
VectorCoverage coverage_of(const TaggedSplit& split, const WordVectors& vectors);

/// Which vector each word of the vocabulary begins with: a row of the vectors, or -1 for none. A
/// word without a vector of its own has that of the word in lower case.
/// Shapes    -> [vocabulary.words.size()]
std::vector<std::int64_t> vector_rows(const TaggingVocabulary& vocabulary,
                                      const WordVectors& vectors);

}  // namespace unroll
