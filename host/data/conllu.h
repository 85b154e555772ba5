/// Sentences with a tag for each word, read one by one from a file in CoNLL-U
/// (universaldependencies.org/format.html) or in two columns, the word and its tag. The lines of a
/// sentence are kept as they are, so a copy with other tags differs from the file in nothing else.
///
/// In CoNLL-U the words are the lines whose id is a whole number: 1, 2, 3. Comments, ranges (3-4)
/// and empty nodes (8.1) are lines of the sentence but no words. A tag that is '_' is not given.
/// In two columns a line is a word, a tab and a tag, or the same with blanks in place of the tab;
/// no line is a comment. In both an empty line ends a sentence, and several are like one.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "host/data/line_reader.h"
#include "host/data/text_reader.h"

namespace unroll {

/// Which column of CoNLL-U has the tags: the 4th, of all languages, or the 5th, of this one.
enum class TagColumn : std::uint8_t { kUpos, kXpos };

inline constexpr std::array kTagColumns{TagColumn::kUpos, TagColumn::kXpos};

/// "upos" or "xpos".
std::string to_string(TagColumn column);
/// The column of that name, if there is one.
std::optional<TagColumn> tag_column_of(std::string_view name);

enum class TaggedFormat : std::uint8_t { kConllu, kTwoColumns };

/// Whether a text that begins like this is CoNLL-U: its first line that is neither empty nor a
/// comment begins with an id, and has two columns more.
bool is_conllu(std::string_view beginning);

/// More words in a sentence are a mistake, such as a file without empty lines.
inline constexpr std::int64_t kMostSentenceWords = std::int64_t(1) << 20;

/// A sentence as it is written. The text of a file is all `lines` of its sentences, one after the
/// other.
class TaggedLines {
 public:
  const std::vector<std::string>& lines() const { return lines_; }  // with their ends
  std::int64_t size() const { return std::int64_t(words_.size()); }

  std::string_view form(std::int64_t word) const;
  /// '_' in CoNLL-U if it is not given.
  std::string_view tag(std::int64_t word) const;
  /// Writes it into the line of the word.
  void set_tag(std::int64_t word, std::string_view tag);
  /// Where the word is in the file: its line, from 1.
  std::int64_t line_of(std::int64_t word) const;

 private:
  friend class TaggedReader;
  struct Word {
    std::size_t line = 0;  // of lines_
    std::size_t form = 0, form_size = 0, tag = 0, tag_size = 0;
  };

  std::vector<std::string> lines_;
  std::vector<Word> words_;
  std::int64_t first_line_ = 1;  // in the file
};

/// Movable; not thread-safe. Holds no more of the text than a sentence and a block.
class TaggedReader {
 public:
  struct Options {
    TaggedFormat format = TaggedFormat::kConllu;
    TagColumn column = TagColumn::kUpos;  // of CoNLL-U
    bool tagged = true;                   // each word must have a tag
  };
  /// Errors    std::runtime_error as LineReader's constructor.
  TaggedReader(TextSource source, const Options& options);

  /// Reads the next sentence; false at the end. Comments or empty lines that belong to no sentence
  /// come as one of no words.
  /// Errors    std::runtime_error, naming the line: another number of columns than the format has;
  ///           an id that is out of order, or a range whose words are not there; a word or a tag
  ///           that is_label() refuses, or a blank in a tag; a tag that is not given though it must
  ///           be; more than kMostSentenceWords; as LineReader::next().
  bool next(TaggedLines& sentence);

  const std::string& name() const { return lines_.name(); }
  std::runtime_error error_at(std::int64_t line, std::string_view what) const {
    return lines_.error_at(line, what);
  }

 private:
  /// Where a sentence in CoNLL-U is.
  struct Ids {
    std::int64_t word = 0, empty = 0, range_end = 0;
  };

  bool take_id(std::string_view id);
  void take_conllu(std::string_view line, TaggedLines& sentence);
  void take_two_columns(std::string_view line, TaggedLines& sentence);
  void add_word(std::string_view form, std::string_view tag, TaggedLines& sentence);

  LineReader lines_;
  Options options_;
  Ids ids_;
};

}  // namespace unroll
