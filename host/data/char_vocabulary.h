/// The characters a model knows and their ids. It is like Vocabulary, with code points in place of
/// words and the newline in place of <eos>. Characters seen equally often are in the order of their
/// code points.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "host/data/text_reader.h"
#include "host/data/vocabulary.h"

namespace unroll {

/// Immutable once made. Always contains the newline and <unk>.
class CharVocabulary {
 public:
  /// Errors    std::invalid_argument as Vocabulary::Limits::check(); else as TextReader.
  static CharVocabulary build(TextSource text, const Vocabulary::Limits& limits);

  /// One character per line, escaped as by escape(); one line is <unk>. What to_text() writes.
  /// Errors    std::runtime_error, naming `name` and the line, for anything else.
  static CharVocabulary parse(std::string_view text, const std::string& name);
  std::string to_text() const;

  /// The character's id, or -1.
  std::int32_t find(char32_t code) const { return code < ids_.size() ? ids_[code] : -1; }
  /// Its bytes; "<unk>" for that id. Errors: std::invalid_argument if `id` is not in [0, size()).
  const std::string& text(std::int32_t id) const;

  std::int32_t size() const { return static_cast<std::int32_t>(texts_.size()); }
  std::int32_t newline() const { return find(U'\n'); }
  std::int32_t unk() const { return unk_; }

 private:
  CharVocabulary(std::vector<std::string> texts, const std::string& name);

  std::vector<std::string> texts_;
  std::vector<std::int32_t> ids_;  // by code point
  std::int32_t unk_ = -1;
};

/// Newline, return, tab and backslash as \n, \r, \t and \\; everything else as it is.
std::string escape(std::string_view text);

}  // namespace unroll
