#include "host/data/char_vocabulary.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <stdexcept>
#include <utility>

#include "host/base/utf8.h"

namespace unroll {
namespace {

constexpr char32_t kUnknown = 0x110000;  // behind the last code point
constexpr std::array<std::pair<char, char>, 4> kEscapes{
    {{'\n', 'n'}, {'\r', 'r'}, {'\t', 't'}, {'\\', '\\'}}};

/// A line of the file as the character it stands for; empty if it is none.
std::string unescape(std::string_view line) {
  if (line.size() == 2 && line[0] == '\\')
    for (const auto& [raw, name] : kEscapes)
      if (line[1] == name) return {raw};
  if (line.empty() || line[0] == '\\' || line.find('\0') != line.npos) return "";
  if (find_invalid_utf8(line) != line.size()) return "";
  std::string_view rest = line;
  take_code_point(rest);
  // A return or a tab as it is would be a second way to write it.
  return rest.empty() && escape(line) == line ? std::string(line) : "";
}

}  // namespace

std::string escape(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto* const at = std::find_if(kEscapes.begin(), kEscapes.end(),
                                        [&](const auto& pair) { return pair.first == c; });
    if (at == kEscapes.end())
      out += c;
    else
      out.append({'\\', at->second});
  }
  return out;
}

CharVocabulary CharVocabulary::build(TextSource text, const Vocabulary::Limits& limits) {
  limits.check();
  std::vector<std::int64_t> counts;  // by code point
  TextReader reader(std::move(text));
  for (std::string_view block = reader.next_block(); !block.empty(); block = reader.next_block())
    while (!block.empty()) {
      const auto code = static_cast<std::size_t>(take_code_point(block));
      if (code >= counts.size()) counts.resize(code + 1);
      ++counts[code];
    }
  if (reader.statistics().lines == 0)
    throw std::runtime_error(reader.name() +
                             ": is empty, expected text to build a vocabulary from");

  const auto by_count = [](const auto& a, const auto& b) { return a.second > b.second; };
  std::vector<std::pair<char32_t, std::int64_t>> entries;
  const std::int64_t newlines = counts.size() > U'\n' ? std::exchange(counts[U'\n'], 0) : 0;
  for (std::size_t code = 0; code < counts.size(); ++code)
    if (counts[code] > 0) entries.emplace_back(code, counts[code]);
  std::stable_sort(entries.begin(), entries.end(), by_count);
  std::size_t kept = entries.size();
  if (limits.max_size > 0) kept = std::min(kept, static_cast<std::size_t>(limits.max_size) - 2);
  while (kept > 0 && entries[kept - 1].second < limits.min_count) --kept;
  std::int64_t unknown = 0;
  for (std::size_t k = kept; k < entries.size(); ++k) unknown += entries[k].second;
  entries.resize(kept);
  entries.emplace_back(U'\n', newlines);
  entries.emplace_back(kUnknown, unknown);
  std::stable_sort(entries.begin(), entries.end(), by_count);

  std::vector<std::string> texts;
  for (const auto& [code, count] : entries)
    texts.push_back(code == kUnknown ? std::string(Vocabulary::kUnk) : utf8_of(code));
  return {std::move(texts), reader.name()};
}

CharVocabulary CharVocabulary::parse(std::string_view text, const std::string& name) {
  if (text.empty()) throw std::runtime_error(name + ": is empty, expected one character per line");
  std::vector<std::string> texts;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    texts.push_back(line == Vocabulary::kUnk ? std::string(line) : unescape(line));
    if (texts.back().empty())
      throw std::runtime_error(
          fmt::format("{}: line {}: got {} bytes that are not one, expected a character, an escape "
                      "of \\n \\r \\t \\\\, or <unk>",
                      name, texts.size(), line.size()));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return {std::move(texts), name};
}

CharVocabulary::CharVocabulary(std::vector<std::string> texts, const std::string& name)
    : texts_(std::move(texts)) {
  for (std::int32_t id = 0; id < size(); ++id) {
    std::string_view text = texts_[static_cast<std::size_t>(id)];
    std::int32_t* place = &unk_;
    if (text != Vocabulary::kUnk) {
      const auto code = static_cast<std::size_t>(take_code_point(text));
      if (code >= ids_.size()) ids_.resize(code + 1, -1);
      place = &ids_[code];
    }
    if (*place >= 0)
      throw std::runtime_error(
          fmt::format("{}: line {}: the character of line {} again", name, id + 1, *place + 1));
    *place = id;
  }
  if (unk_ < 0 || newline() < 0)
    throw std::runtime_error(fmt::format("{}: has no line '{}', expected one", name,
                                         unk_ < 0 ? Vocabulary::kUnk : "\\n"));
}

std::string CharVocabulary::to_text() const {
  std::string text;
  for (const std::string& character : texts_) text.append(escape(character)).push_back('\n');
  return text;
}

const std::string& CharVocabulary::text(std::int32_t id) const {
  if (id < 0 || id >= size())
    throw std::invalid_argument(fmt::format("token id {}, expected one in [0, {})", id, size()));
  return texts_[static_cast<std::size_t>(id)];
}

}  // namespace unroll
