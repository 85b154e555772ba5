/// The words a model knows and their ids, built by counting a training text.
///
/// Ids follow the counts of the text as the model will see it: id 0 is the most frequent token,
/// <eos> and <unk> included, and <unk> counts the words that were left out. So an id is a frequency
/// rank, which tables, adaptive softmax and sampling can rely on.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "host/data/text_reader.h"
#include "host/data/word_table.h"

namespace unroll {

/// Immutable once made, hence safe to share between threads. Always contains <unk> and <eos>.
class Vocabulary {
 public:
  static constexpr std::string_view kUnk = "<unk>";  // stands for every word not in the vocabulary
  static constexpr std::string_view kEos = "<eos>";  // ends every line

  struct Limits {
    std::int64_t max_size = 0;   // at most this many tokens, <unk> and <eos> included; 0: no cap
    std::int64_t min_count = 1;  // a word seen fewer times is left out

    /// Errors    std::invalid_argument if max_size is negative or 1, or min_count is below 1.
    void check() const;
  };

  /// Counts the words and line ends of `text` in one pass. Order: by falling count, ties by first
  /// appearance; the cap keeps the first in that order.
  /// Errors    as Limits::check(); std::runtime_error if the text is empty, not UTF-8, or cannot be
  ///           read; Interrupted.
  static Vocabulary build(TextSource text, const Limits& limits);

  /// vocab.txt: UTF-8, one token per line, the id is the line's number counted from 0. `name` is
  /// its name in errors.
  /// Errors    std::runtime_error if it is empty, lacks <unk> or <eos>, or has a blank line, a
  ///           duplicate, or a token with white space or a NUL in it.
  static Vocabulary parse(std::string_view text, const std::string& name);

  /// What parse() reads: one token per line, each line ended.
  std::string to_text() const;

  /// The word's id, if it has one of its own.
  std::optional<std::int32_t> find(std::string_view word) const;
  /// Errors    std::invalid_argument if `id` is not in [0, size()).
  const std::string& word(std::int32_t id) const;

  std::int32_t size() const { return static_cast<std::int32_t>(words_.size()); }
  std::int32_t unk() const { return unk_; }
  std::int32_t eos() const { return eos_; }

 private:
  Vocabulary(std::vector<std::string> words, const std::string& name);

  std::vector<std::string> words_;
  WordTable ids_;
  std::int32_t unk_ = 0;
  std::int32_t eos_ = 0;
};

}  // namespace unroll
