#include "host/data/word_splitter.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>

#include "host/base/utf8.h"
#include "host/data/lower_case.h"

namespace unroll {
namespace {

using namespace std::string_view_literals;

constexpr std::array kClitics{"n't"sv, "'s"sv, "'re"sv, "'ve"sv, "'ll"sv, "'d"sv, "'m"sv};
constexpr std::array kInnerMarks{"-"sv, "/"sv, "\u2013"sv};
constexpr std::size_t kMostKnownBytes = 1'024, kMostMarkRun = 16;
constexpr std::string_view kCurlyApostrophe = "\u2019";

bool is_space(char32_t code) {
  return code == ' ' || (code >= '\t' && code <= '\r') || code == 0x85 || code == 0xA0 ||
         code == 0x1680 || (code >= 0x2000 && code <= 0x200A) || code == 0x2028 || code == 0x2029 ||
         code == 0x202F || code == 0x205F || code == 0x3000;
}

/// What may stand before or after a word: ASCII's marks but those that names begin with (@ # _),
/// and general punctuation, quotes and currencies of Unicode.
bool is_punctuation(char32_t code) {
  if (code < 0x80)
    return "!\"$%&'()*+,-./:;<=>?[\\]^`{|}~"sv.find(char(code)) != std::string_view::npos;
  return (code >= 0xA1 && code <= 0xBF && code != 0xAA && code != 0xB5 && code != 0xBA) ||
         (code >= 0x2010 && code <= 0x2027) || (code >= 0x2030 && code <= 0x205E) ||
         (code >= 0x20A0 && code <= 0x20BF) || (code >= 0x3001 && code <= 0x301F);
}

/// The first character of a text that is not empty.
std::string_view first_character(std::string_view text) {
  std::string_view rest = text;
  take_code_point(rest);
  return text.substr(0, text.size() - rest.size());
}

std::string_view last_character(std::string_view text) {
  std::size_t at = text.size() - 1;
  while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) --at;
  return text.substr(at);
}

bool is_mark(std::string_view character) {
  return is_punctuation(take_code_point(character));
}

std::string straight(std::string_view text) {
  std::string straightened(text);
  for (std::size_t at = 0; (at = straightened.find(kCurlyApostrophe)) != straightened.npos;)
    straightened.replace(at, kCurlyApostrophe.size(), "'");
  return straightened;
}

/// "U.S." and the like: single letters, each with a full stop.
bool is_abbreviation(std::string_view text) {
  if (text.size() < 4 || text.size() > kMostKnownBytes) return false;
  while (!text.empty()) {
    if (is_mark(first_character(text))) return false;
    take_code_point(text);
    if (!text.starts_with('.')) return false;
    text.remove_prefix(1);
  }
  return true;
}

class WordSplitter {
 public:
  WordSplitter(const TaggingVocabulary& vocabulary, std::vector<TypedWord>& words)
      : vocabulary_(vocabulary), words_(words) {}

  /// Splits text without white space.
  void split(std::string_view text) {
    while (!stays(text) && is_mark(first_character(text))) {
      const std::string_view run = mark_run(text, first_character(text), true);
      add(run);
      text.remove_prefix(run.size());
    }
    std::vector<std::string_view> behind;  // the last first
    while (!stays(text)) {
      std::size_t size = clitic_of(text);
      if (size == 0 && is_mark(last_character(text)))
        size = mark_run(text, last_character(text), false).size();
      if (size == 0) break;
      behind.push_back(text.substr(text.size() - size));
      text.remove_suffix(size);
    }
    if (!text.empty()) split_within(text);
    std::for_each(behind.rbegin(), behind.rend(), [&](std::string_view end) { add(end); });
    words_.back().space_after = true;
  }

 private:
  void add(std::string_view text) { words_.push_back({text, false}); }

  /// Longer texts are never known, so that a long line takes time in proportion to its length.
  bool known(std::string_view text) const {
    return text.size() <= kMostKnownBytes &&
           (vocabulary_.in_training(text) || vocabulary_.in_training(lower_case(text)));
  }
  bool stays(std::string_view text) const {
    return text.empty() || known(text) || is_abbreviation(text);
  }

  /// The marks at an end of the text: all equal ones if they are a word, like "...", or one.
  std::string_view mark_run(std::string_view text, std::string_view mark, bool front) const {
    std::size_t size = mark.size();
    const auto more = [&] {
      return size < kMostMarkRun * mark.size() && size + mark.size() <= text.size() &&
             text.substr(front ? size : text.size() - size - mark.size(), mark.size()) == mark;
    };
    while (more()) size += mark.size();
    const std::string_view run = front ? text.substr(0, size) : text.substr(text.size() - size);
    return known(run) ? run : mark;
  }

  /// The bytes of the clitic that the text ends with, or 0.
  std::size_t clitic_of(std::string_view text) const {
    for (const std::string_view clitic : kClitics)
      for (const bool curly : {false, true}) {
        const std::size_t size = clitic.size() + (curly ? kCurlyApostrophe.size() - 1 : 0);
        if (text.size() <= size) continue;
        const std::string_view end = text.substr(text.size() - size);
        if (find_invalid_utf8(end) != end.size() || lower_case(straight(end)) != clitic) continue;
        if (known(end) || known(clitic)) return size;
      }
    return 0;
  }

  void split_within(std::string_view text) {
    const std::vector<std::string_view> parts = parts_of(text);
    if (stays(text) ||
        !std::ranges::all_of(parts, [&](std::string_view part) { return known(part); }))
      return add(text);
    for (const std::string_view part : parts) add(part);
  }

  /// What lies between hyphens and slashes, and these.
  static std::vector<std::string_view> parts_of(std::string_view text) {
    std::vector<std::string_view> parts;
    std::size_t begin = 0;
    for (std::size_t at = 0; at < text.size();) {
      const std::string_view mark = first_character(text.substr(at));
      if (std::ranges::find(kInnerMarks, mark) != kInnerMarks.end()) {
        if (at > begin) parts.push_back(text.substr(begin, at - begin));
        parts.push_back(mark);
        begin = at + mark.size();
      }
      at += mark.size();
    }
    if (begin < text.size()) parts.push_back(text.substr(begin));
    return parts;
  }

  const TaggingVocabulary& vocabulary_;
  std::vector<TypedWord>& words_;
};

}  // namespace

std::vector<TypedWord> split_words(std::string_view line, const TaggingVocabulary& vocabulary) {
  std::vector<TypedWord> words;
  WordSplitter splitter(vocabulary, words);
  std::size_t begin = 0;  // of what no white space has ended
  for (std::string_view rest = line; !rest.empty();) {
    const std::size_t at = line.size() - rest.size();
    if (!is_space(take_code_point(rest))) continue;
    if (at > begin) splitter.split(line.substr(begin, at - begin));
    begin = line.size() - rest.size();
  }
  if (begin < line.size()) splitter.split(line.substr(begin));
  return words;
}

}  // namespace unroll
