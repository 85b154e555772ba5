#include "host/data/bpe_words.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>

#include "host/base/utf8.h"

namespace unroll {
namespace {

enum class CharacterClass : std::uint8_t { kLetter, kNumber, kBlank, kOther };

CharacterClass look_up_class(char32_t code) {
  // Unicode's White_Space; its categories leave out control characters.
  if ((code >= 0x09 && code <= 0x0D) || code == 0x85) return CharacterClass::kBlank;
  const utf8proc_category_t category = utf8proc_category(static_cast<utf8proc_int32_t>(code));
  if (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO)
    return CharacterClass::kLetter;
  if (category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO)
    return CharacterClass::kNumber;
  if (category >= UTF8PROC_CATEGORY_ZS && category <= UTF8PROC_CATEGORY_ZP)
    return CharacterClass::kBlank;
  return CharacterClass::kOther;
}

CharacterClass class_of(char32_t code) {
  static const std::array<CharacterClass, 0x80> ascii = [] {
    std::array<CharacterClass, 0x80> classes{};
    for (char32_t c = 0; c < classes.size(); ++c) classes[c] = look_up_class(c);
    return classes;
  }();
  return code < ascii.size() ? ascii[code] : look_up_class(code);
}

/// A text from its first byte on. Positions are bytes.
class WordScanner {
 public:
  WordScanner(std::string_view text, bool ends) : text_(text), ends_(ends) {}

  std::optional<std::size_t> gpt2() const {
    if (text_[0] == '\'') {
      if (!sees(3)) return std::nullopt;
      if (const std::size_t size = contraction(false); size > 0) return size;
    }
    const std::size_t begin = text_[0] == ' ' ? 1 : 0;
    if (!sees(begin + 1)) return std::nullopt;
    if (begin < text_.size())
      if (const CharacterClass first = at(begin).first; first != CharacterClass::kBlank)
        return determined(run(begin, first));
    return blanks(false);
  }

  /// `most_digits`: of a word that is a number.
  std::optional<std::size_t> llama(int most_digits) const {
    if (text_[0] == '\'') {
      if (!sees(3)) return std::nullopt;
      if (const std::size_t size = contraction(true); size > 0) return size;
    }
    const auto [first, size] = at(0);
    if (first == CharacterClass::kLetter) return determined(run(0, first));
    if (first == CharacterClass::kNumber) return number(most_digits);
    if (text_[0] != '\r' && text_[0] != '\n') {
      if (!sees(size + 1)) return std::nullopt;
      if (size < text_.size() && at(size).first == CharacterClass::kLetter)
        return determined(run(size, CharacterClass::kLetter));
    }
    const std::size_t begin = text_[0] == ' ' ? 1 : 0;
    if (begin < text_.size() && at(begin).first == CharacterClass::kOther) {
      const std::size_t end = run(begin, CharacterClass::kOther);
      return determined(std::min(text_.find_first_not_of("\r\n", end), text_.size()));
    }
    return blanks(true);
  }

  std::optional<std::size_t> marked(const WordRule& rule) const {
    if (rule.lone_newlines && text_[0] == '\n')
      return determined(std::min(text_.find_first_not_of('\n'), text_.size()));
    std::size_t begin = 0;
    const std::size_t most = rule.pattern == WordPattern::kBlankRuns ? text_.size() : 1;
    while (begin < most && text_.substr(begin).starts_with(kBlankMark)) begin += kBlankMark.size();
    std::size_t end = text_.size();
    if (rule.pattern != WordPattern::kWhole) end = std::min(end, text_.find(kBlankMark, begin));
    if (rule.lone_newlines) end = std::min(end, text_.substr(0, end).find('\n', begin));
    return determined(end);
  }

 private:
  bool sees(std::size_t size) const { return ends_ || text_.size() >= size; }
  std::optional<std::size_t> determined(std::size_t end) const {
    return end < text_.size() || ends_ ? std::optional(end) : std::nullopt;
  }

  /// The class of a character and where the next one begins.
  std::pair<CharacterClass, std::size_t> at(std::size_t k) const {
    if (static_cast<unsigned char>(text_[k]) < 0x80) return {class_of(char32_t(text_[k])), k + 1};
    std::string_view rest = text_.substr(k);
    const char32_t code = take_code_point(rest);
    return {class_of(code), text_.size() - rest.size()};
  }

  std::size_t run(std::size_t begin, CharacterClass wanted) const {
    while (begin < text_.size()) {
      const auto [found, next] = at(begin);
      if (found != wanted) break;
      begin = next;
    }
    return begin;
  }

  /// The size of 's, 't, 're, 've, 'm, 'll or 'd; 0 if the text begins with none.
  std::size_t contraction(bool any_case) const {
    // To a regular expression that ignores case, U+017F is an s too.
    if (any_case && text_.substr(1).starts_with("\xC5\xBF")) return 3;
    const auto letter = [&](std::size_t k) {
      const char c = k < text_.size() ? text_[k] : '\0';
      return any_case && c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c;
    };
    const char first = letter(1), second = letter(2);
    if (first == 's' || first == 't' || first == 'm' || first == 'd') return 2;
    const bool two = (first == 'r' && second == 'e') || (first == 'v' && second == 'e') ||
                     (first == 'l' && second == 'l');
    return two ? 3 : 0;
  }

  std::optional<std::size_t> number(int most_digits) const {
    std::size_t end = 0;
    for (int digits = 0; digits < most_digits; ++digits) {
      if (!sees(end + 1)) return std::nullopt;
      if (end == text_.size() || at(end).first != CharacterClass::kNumber) break;
      end = at(end).second;
    }
    return end;
  }

  /// White space without the last character if something follows, which that character goes with.
  /// `newlines`: as far as the last newline, if there is one.
  std::optional<std::size_t> blanks(bool newlines) const {
    std::size_t end = 0, last = 0, after_newline = 0;
    while (end < text_.size()) {
      const auto [found, next] = at(end);
      if (found != CharacterClass::kBlank) break;
      last = end;
      if (text_[end] == '\r' || text_[end] == '\n') after_newline = next;
      end = next;
    }
    if (!sees(end + 1)) return std::nullopt;
    if (newlines && after_newline > 0) return after_newline;
    return end == text_.size() || last == 0 ? end : last;
  }

  std::string_view text_;
  bool ends_;
};

}  // namespace

std::optional<std::size_t> first_word(std::string_view text, const WordRule& rule, bool ends) {
  const WordScanner scanner(text, ends);
  switch (rule.pattern) {
    case WordPattern::kGpt2:
      return scanner.gpt2();
    case WordPattern::kDigits:
      return scanner.llama(3);
    case WordPattern::kDigit:
      return scanner.llama(1);
    default:
      return scanner.marked(rule);
  }
}

}  // namespace unroll
