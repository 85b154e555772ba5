/// Where a text is cut into the words that a byte-pair encoding works within: the patterns that
/// tokenizer.json files name, without a regular expression engine. Categories of characters are
/// those of utf8proc, so a letter is what Unicode calls one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace unroll {

enum class WordPattern : std::uint8_t {
  kGpt2,       // GPT-2's regular expression
  kDigits,     // Llama 3's, where a number is cut after three digits
  kDigit,      // Qwen 2's: the same with single digits
  kBlanks,     // a word begins at every U+2581, as SentencePiece writes a blank
  kBlankRuns,  // a word begins at every run of them
  kWhole,      // never cut
};

struct WordRule {
  WordPattern pattern = WordPattern::kGpt2;
  bool lone_newlines = false;  // also cut before and after every run of newlines; not for regexes
};

inline constexpr std::string_view kBlankMark = "\xE2\x96\x81";  // U+2581

/// The length of the first word, in bytes, of a text that is not empty. `ends`: nothing follows the
/// text; else nullopt if the word depends on what does.
std::optional<std::size_t> first_word(std::string_view text, const WordRule& rule, bool ends);

}  // namespace unroll
