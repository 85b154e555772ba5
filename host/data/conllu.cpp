#include "host/data/conllu.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <stdexcept>
#include <system_error>
#include <utility>

#include "host/base/text_format.h"
#include "host/base/utf8.h"
#include "host/data/class_labels.h"

namespace unroll {
namespace {

constexpr std::string_view kWhite = " \t";
constexpr std::string_view kNotGiven = "_";
constexpr std::size_t kColumns = 10, kFormAt = 1, kUposAt = 3, kXposAt = 4;

bool is_blank(std::string_view line) {
  return line.find_first_not_of(kWhite) == line.npos;
}

/// The pieces between tabs.
std::vector<std::string_view> columns_of(std::string_view line) {
  std::vector<std::string_view> columns;
  for (;;) {
    const std::size_t end = line.find('\t');
    columns.push_back(line.substr(0, end));
    if (end == line.npos) return columns;
    line.remove_prefix(end + 1);
  }
}

std::string counted_columns(const std::vector<std::string_view>& columns) {
  return fmt::format("{} column{}", columns.size(), columns.size() == 1 ? "" : "s");
}

/// An id of CoNLL-U: 7, 7-8 or 7.1.
struct Id {
  char kind = 0;  // 0, '-' or '.'
  std::int64_t first = 0, second = 0;
};

std::optional<std::int64_t> whole_number(std::string_view digits) {
  std::int64_t number = 0;
  const char* const end = digits.data() + digits.size();
  const auto [stop, error] = std::from_chars(digits.data(), end, number);
  if (error != std::errc() || stop != end || number < 0 || digits.front() == '-' ||
      (digits.front() == '0' && digits.size() > 1))
    return std::nullopt;
  return number;
}

std::optional<Id> parse_id(std::string_view text) {
  const std::size_t at = text.find_first_of("-.");
  const auto first = whole_number(text.substr(0, at));
  if (!first) return std::nullopt;
  if (at == text.npos) return Id{0, *first, 0};
  const auto second = whole_number(text.substr(at + 1));
  if (!second) return std::nullopt;
  return Id{text[at], *first, *second};
}

}  // namespace

std::string to_string(TagColumn column) {
  switch (column) {
    case TagColumn::kUpos:
      return "upos";
    case TagColumn::kXpos:
      return "xpos";
  }
  throw std::invalid_argument(fmt::format("tag column {}, expected a known one", int(column)));
}

std::optional<TagColumn> tag_column_of(std::string_view name) {
  for (const TagColumn column : kTagColumns)
    if (to_string(column) == name) return column;
  return std::nullopt;
}

bool is_conllu(std::string_view beginning) {
  if (beginning.starts_with(kByteOrderMark)) beginning.remove_prefix(kByteOrderMark.size());
  while (!beginning.empty()) {
    const std::string_view line = beginning.substr(0, beginning.find('\n'));
    beginning.remove_prefix(std::min(line.size() + 1, beginning.size()));
    if (line.starts_with('#') || line.find_first_not_of(" \t\r") == line.npos) continue;
    const auto columns = columns_of(line);
    return columns.size() > 2 && parse_id(columns[0]).has_value();
  }
  return false;
}

std::string_view TaggedLines::form(std::int64_t word) const {
  const Word& at = words_[std::size_t(word)];
  return std::string_view(lines_[at.line]).substr(at.form, at.form_size);
}

std::string_view TaggedLines::tag(std::int64_t word) const {
  const Word& at = words_[std::size_t(word)];
  return std::string_view(lines_[at.line]).substr(at.tag, at.tag_size);
}

void TaggedLines::set_tag(std::int64_t word, std::string_view tag) {
  Word& at = words_[std::size_t(word)];
  lines_[at.line].replace(at.tag, at.tag_size, tag);
  at.tag_size = tag.size();
}

std::int64_t TaggedLines::line_of(std::int64_t word) const {
  return first_line_ + std::int64_t(words_[std::size_t(word)].line);
}

TaggedReader::TaggedReader(TextSource source, const Options& options)
    : lines_(std::move(source)), options_(options) {}

bool TaggedReader::next(TaggedLines& sentence) {
  sentence.lines_.clear();
  sentence.words_.clear();
  sentence.first_line_ = lines_.number() + 1;
  ids_ = {};
  bool begun = false;  // with a line that is not empty
  while (const auto line = lines_.next()) {
    sentence.lines_.emplace_back(lines_.raw());
    if (is_blank(*line)) {
      if (begun) break;
      continue;
    }
    begun = true;
    if (options_.format == TaggedFormat::kConllu)
      take_conllu(*line, sentence);
    else
      take_two_columns(*line, sentence);
  }
  if (ids_.range_end > ids_.word)
    throw lines_.error(fmt::format(
        "got the end of a sentence after word {}, expected the words up to {} of its range",
        ids_.word, ids_.range_end));
  return !sentence.lines_.empty();
}

void TaggedReader::take_conllu(std::string_view line, TaggedLines& sentence) {
  if (line.starts_with('#')) return;
  const auto columns = columns_of(line);
  if (columns.size() != kColumns)
    throw lines_.error(fmt::format("got {} in {}, expected {} columns with tabs between them",
                                   counted_columns(columns), in_quotes(line), kColumns));
  if (!take_id(columns[0])) return;
  const std::string_view tag = columns[options_.column == TagColumn::kUpos ? kUposAt : kXposAt];
  if (options_.tagged && tag == kNotGiven)
    throw lines_.error(fmt::format("got no tag for {}, expected one in the column {}",
                                   in_quotes(columns[kFormAt]), to_string(options_.column)));
  add_word(columns[kFormAt], tag, sentence);
}

/// Whether it is a word's.
bool TaggedReader::take_id(std::string_view text) {
  const auto id = parse_id(text);
  if (!id)
    throw lines_.error(fmt::format(
        "got the id {}, expected a word's (7), a range's (7-8) or an empty node's (7.1)",
        in_quotes(text)));
  const auto out_of_order = [&](const std::string& expected) {
    return lines_.error(
        fmt::format("got the id {} out of order, expected {}", in_quotes(text), expected));
  };
  if (id->kind == '.') {
    if (id->first != ids_.word || id->second != ids_.empty + 1)
      throw out_of_order(fmt::format("{}.{}", ids_.word, ids_.empty + 1));
    ++ids_.empty;
    return false;
  }
  if (id->first != ids_.word + 1) throw out_of_order(std::to_string(ids_.word + 1));
  if (id->kind == '-') {
    if (id->second < id->first)
      throw out_of_order(fmt::format("a range that ends with {} or later", id->first));
    if (ids_.range_end > ids_.word)
      throw out_of_order(fmt::format("no range before {}, where one ends", ids_.range_end));
    ids_.range_end = id->second;
    return false;
  }
  ids_ = {.word = id->first, .empty = 0, .range_end = ids_.range_end};
  return true;
}

void TaggedReader::take_two_columns(std::string_view line, TaggedLines& sentence) {
  std::vector<std::string_view> columns;
  if (line.find('\t') != line.npos) {
    columns = columns_of(line);
  } else {
    for (std::size_t at = line.find_first_not_of(' '); at != line.npos;
         at = line.find_first_not_of(' ', std::min(line.find(' ', at), line.size())))
      columns.push_back(line.substr(at, line.find(' ', at) - at));
  }
  if (columns.size() != 2)
    throw lines_.error(fmt::format("got {} in {}, expected word<TAB>tag", counted_columns(columns),
                                   in_quotes(line)));
  add_word(columns[0], columns[1], sentence);
}

void TaggedReader::add_word(std::string_view form, std::string_view tag, TaggedLines& sentence) {
  if (!is_label(form))
    throw lines_.error(
        fmt::format("got the word {}, expected text without white space, but blanks within it",
                    in_quotes(form)));
  if (!is_label(tag) || tag.find(' ') != tag.npos)
    throw lines_.error(
        fmt::format("got the tag {}, expected text without white space", in_quotes(tag)));
  if (sentence.size() == kMostSentenceWords)
    throw lines_.error(fmt::format(
        "got a sentence of more than {} words, expected an empty line after each sentence",
        kMostSentenceWords));
  const char* const begin = lines_.raw().data();
  sentence.words_.push_back({sentence.lines_.size() - 1, std::size_t(form.data() - begin),
                             form.size(), std::size_t(tag.data() - begin), tag.size()});
}

}  // namespace unroll
