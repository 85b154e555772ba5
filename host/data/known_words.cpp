#include "host/data/known_words.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "host/base/utf8.h"
#include "host/data/class_labels.h"
#include "host/data/lower_case.h"

namespace unroll {
namespace {

constexpr std::string_view kBlank = " ";  // a character of words such as "New York"

}  // namespace

KnownWords::KnownWords() {
  table_.add(kUnknownText);
}

KnownWords KnownWords::parse(std::string_view text, const std::string& name) {
  KnownWords known;
  for (std::int32_t line = 0; line == 0 || !text.empty(); ++line) {
    const std::string_view word = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(word.size() + 1, text.size()));
    const auto fail = [&](std::string_view expected) {
      return std::runtime_error(fmt::format("{}: line {}: got {}, expected {}", name, line + 1,
                                            in_quotes(word), expected));
    };
    if (line == 0 && word != kUnknownText) throw fail(kUnknownText);
    if (word != kBlank && !is_label(word))
      throw fail("UTF-8 without white space, but blanks within it");
    if (known.add(word) != line) throw fail("each word once");
  }
  return known;
}

std::string KnownWords::to_text() const {
  std::string text;
  for (const std::string& word : words()) text.append(word).push_back('\n');
  return text;
}

std::int32_t KnownWords::find(std::string_view word) const {
  return std::max(table_.find(word), kUnknown);
}

std::int32_t KnownWords::find_in_any_case(std::string_view word) const {
  const std::int32_t id = find(word);
  return id != kUnknown ? id : find(lower_case(word));
}

}  // namespace unroll
