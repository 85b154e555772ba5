#include "host/infer/line_scores.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <stdexcept>

#include "host/base/utf8.h"
#include "host/infer/n_best.h"

namespace unroll {
namespace {

void require_text(std::string_view line) {
  const std::size_t bad = find_non_text(line);
  if (bad >= line.size()) return;
  throw std::runtime_error(fmt::format(
      "byte {}: got 0x{:02X}, expected UTF-8 text without NUL (the tokenizer byte takes "
      "any bytes)",
      bad + 1, static_cast<unsigned char>(line[bad])));
}

}  // namespace

LineText line_text(const Tokenizer& tokenizer, std::string_view line, bool ended) {
  const bool of_words = tokenizer.kind() == TokenizerKind::kWord;
  if (tokenizer.kind() != TokenizerKind::kByte) require_text(line);
  LineText text;
  std::string with_end(line);
  if (ended || of_words) with_end += '\n';
  text.ids = tokenizer.encode(with_end, [&](std::string_view token) {
    if (text.first_unknown.empty()) text.first_unknown = token;
  });
  const std::vector<std::string_view> words = words_of(line);
  if (!text.first_unknown.empty())
    for (std::size_t k = 0; k < text.ids.size(); ++k) {
      const bool written = of_words && k < words.size() && words[k] == tokenizer.text(text.ids[k]);
      if (text.ids[k] == *tokenizer.unk() && !written) text.unknown.push_back(k);
    }
  text.words = std::ssize(words) + 1;
  text.bytes = std::ssize(line) + (ended ? 1 : 0);
  text.characters =
      std::ranges::count_if(line, [](char c) { return (std::uint8_t(c) & 0xC0U) != 0x80; }) +
      (ended ? 1 : 0);
  return text;
}

void ScoreSums::add(const LineText& line, std::span<const float> log_probs) {
  ++lines;
  tokens += std::ssize(line.ids);
  unknown += std::ssize(line.unknown);
  words += line.words;
  characters += line.characters;
  bytes += line.bytes;
  for (const float p : log_probs) log_prob += double(p);
  for (const std::size_t k : line.unknown) unknown_log_prob += double(log_probs[k]);
}

double ScoreSums::perplexity() const {
  return std::exp(loss());
}

double ScoreSums::known_perplexity() const {
  return std::exp(-(log_prob - unknown_log_prob) / double(tokens - unknown));
}

double ScoreSums::bits_per_byte() const {
  return -log_prob / std::numbers::ln2 / double(bytes);
}

}  // namespace unroll
