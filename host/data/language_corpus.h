/// The three texts of a language-modelling run as token ids, with the vocabulary of the first. A
/// corpus of files lies in a cache that is mapped into memory, so that it may be larger than memory
/// and is tokenised once. corpus_reader.cpp reads it: text_files says which files, text_reader
/// reads each, tokenizer makes ids, and token_cache keeps them.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "host/base/interrupted.h"
#include "host/data/batches.h"
#include "host/data/text_reader.h"
#include "host/data/token_ids.h"
#include "host/data/tokenizer.h"

namespace unroll {

/// How one file becomes three texts.
enum class SplitKind : std::uint8_t {
  kFraction,  // training first, then validation, then test
  /// As char-rnn: the tokens are N streams of whole batches, and the last batches of each stream
  /// are the validation. Tokens that fill no whole batch of N x T are not used, and there is no
  /// test. The vocabulary is that of the whole file.
  kStreams,
};

struct CorpusOptions {
  std::filesystem::path path;  // a file or a folder; empty: the built-in grammar
  /// Training, validation and perhaps test text, in place of what `path` has, which names them.
  std::vector<std::filesystem::path> files;
  TokenizerKind tokenizer = TokenizerKind::kWord;
  Vocabulary::Limits limits;
  std::optional<Tokenizer> given;          // replaces the vocabulary of the training text
  SplitKind split = SplitKind::kFraction;  // of a file; a folder has its own
  double valid_fraction = 0.05, test_fraction = 0.05;  // kStreams: no test, it must be 0
  std::int64_t streams = 0, steps = 0;                 // kStreams: N and T
  std::filesystem::path cache_dir;  // empty: $XDG_CACHE_HOME/unroll, else $HOME/.cache/unroll
  /// LanguageCorpus::fingerprint that the text must have; empty: any.
  std::string fingerprint;
  const std::atomic<bool>* stop = nullptr;       // ends the reading when set
  std::function<void(const std::string&)> note;  // news for the user
};

struct TextSplit {
  TokenIds ids;  // kStreams: the whole file, in training and validation
  /// kStreams: only tokens, and characters in proportion to them.
  TextStatistics statistics;
};

/// Cheap to copy; copies share the ids.
struct LanguageCorpus {
  Tokenizer tokenizer;
  TextSplit train, valid, test;  // test may be empty
  std::string name;              // how errors call it
  /// Equal exactly for equal texts read in the same way, from any place.
  std::string fingerprint;
  std::string ids_name;  // how errors call the file of ids
  struct Streams {
    std::int64_t streams = 0, steps = 0;  // 0: not kStreams
    std::int64_t train_batches = 0, valid_batches = 0;
    TextStatistics text;  // of the whole file
  } streams;
  std::shared_ptr<const void> memory;   // what holds the ids
  std::function<void()> check_sources;  // empty if the ids lie in no file of the user

  /// The training text for batches of `batch` streams and `bptt` steps.
  /// Errors    std::runtime_error if it does not fill one; std::invalid_argument if these are not
  ///           the streams and steps that a corpus of kStreams was cut for.
  BatchStream training_stream(std::int64_t batch, std::int64_t bptt) const;
  /// One stream, or N with kStreams.
  BatchStream validation_stream() const;
  /// One stream. Errors: std::invalid_argument if there is no test text.
  BatchStream test_stream() const;

  /// All of them. They point to the ids of this corpus, and ask its check_sources.
  TaskExamples examples(std::int64_t batch, std::int64_t bptt) const;

  /// To be called now and then where files of bytes are mapped, since they may be written to.
  /// Errors    std::runtime_error, naming the file, if its content is not what it was.
  void require_unchanged() const {
    if (check_sources) check_sources();
  }

 private:
  BatchStream one_stream(const TextSplit& split) const;
};

/// Steps of a batch when a text is evaluated as one stream: enough for an efficient product of the
/// decoder.
inline constexpr std::int64_t kEvaluationSteps = 256;

/// Reads the cache, or makes it where there is none, the sources have changed, it is damaged, or
/// another user may write it. Where a cache cannot be made a temporary file will do.
/// Errors    std::invalid_argument if an option is out of its range; std::runtime_error if a text
///           is missing, empty, not text, has no word, or is not that of `fingerprint`; if the disk
///           is full; Interrupted, which leaves no file behind.
LanguageCorpus read_language_corpus(const CorpusOptions& options);

/// A corpus of texts in memory: training, validation, test. `name` is how errors call it.
LanguageCorpus corpus_in_memory(const std::array<std::string, 3>& texts, TokenizerKind kind,
                                const Vocabulary::Limits& limits, const std::string& name);
/// The same with a tokenizer that exists.
LanguageCorpus corpus_in_memory(const std::array<std::string, 3>& texts, Tokenizer tokenizer,
                                const std::string& name);

/// Samples of Grammar::english(): always the same three texts. Of the options, those of the
/// tokenizer count.
LanguageCorpus built_in_corpus(const CorpusOptions& options);

/// The held-out text of built_in_corpus(), on which a model is compared with the grammar.
std::string built_in_test_text();

/// A text in memory as ids.
struct TokenText {
  std::vector<std::int32_t> ids;
  TextStatistics statistics;
};

/// Errors    std::runtime_error as Tokenizer::encode(); if the text is empty; Interrupted.
TokenText read_tokens(TextSource text, const Tokenizer& tokenizer);

}  // namespace unroll
