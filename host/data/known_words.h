/// Words that a model has vectors for, or characters, and their ids. Id 0 stands for all others.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "host/data/word_table.h"

namespace unroll {

/// Safe to share between threads while nothing is added.
class KnownWords {
 public:
  static constexpr std::int32_t kUnknown = 0;
  static constexpr std::string_view kUnknownText = "<unk>";  // a word like this has id 0

  /// Knows none.
  KnownWords();

  /// What to_text() writes. `name` is how errors call it.
  /// Errors    std::runtime_error, naming the line, for anything else: a first line that is not
  ///           kUnknownText, a word that is no blank and is_label() refuses, or one that is there
  ///           twice.
  static KnownWords parse(std::string_view text, const std::string& name);
  /// One per line, in the order of their ids; the first is kUnknownText.
  std::string to_text() const;

  /// The word's id, a new one if it has none.
  std::int32_t add(std::string_view word) { return table_.add(word); }
  /// The word's id, or kUnknown.
  std::int32_t find(std::string_view word) const;
  /// The same, or else that of the word in lower case.
  std::int32_t find_in_any_case(std::string_view word) const;

  std::int32_t size() const { return table_.size(); }  // kUnknown included
  /// By id.
  std::vector<std::string> words() const { return table_.words(); }

 private:
  WordTable table_;
};

}  // namespace unroll
