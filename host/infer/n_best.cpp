#include "host/infer/n_best.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <stdexcept>
#include <system_error>
#include <utility>

#include "host/base/utf8.h"

namespace unroll {
namespace {

constexpr std::string_view kBlanks = " \t\r\v\f";
constexpr std::string_view kSeparator = "|||";
constexpr std::size_t kScoreColumn = 3;  // of id ||| text ||| features ||| score

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(kBlanks);
  if (begin == text.npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

std::vector<std::string_view> columns_of(std::string_view line) {
  std::vector<std::string_view> columns;
  for (std::size_t end = 0; (end = line.find(kSeparator)) != line.npos;
       line.remove_prefix(end + kSeparator.size()))
    columns.push_back(trimmed(line.substr(0, end)));
  columns.push_back(trimmed(line));
  return columns;
}

[[noreturn]] void fail_columns(std::size_t got, const std::string& expected) {
  throw std::runtime_error(
      fmt::format("got {} column{}, expected {}: id ||| text ||| features ||| score", got,
                  got == 1 ? "" : "s", expected));
}

double number(std::string_view text) {
  double value = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end || !std::isfinite(value))
    throw std::runtime_error(
        fmt::format("score: got {}, expected a finite number", in_quotes(text)));
  return value;
}

Hypothesis parse_moses(std::string_view line) {
  const std::vector<std::string_view> columns = columns_of(line);
  if (columns.size() <= kScoreColumn) fail_columns(columns.size(), "4 or more");
  if (columns[0].empty()) throw std::runtime_error("id: got nothing, expected the list's");
  Hypothesis hypothesis{.id = std::string(columns[0]),
                        .text = std::string(columns[1]),
                        .score = number(columns[kScoreColumn]),
                        .features = std::string(columns[2])};
  hypothesis.more.assign(columns.begin() + kScoreColumn + 1, columns.end());
  return hypothesis;
}

/// Where -N begins in the id; the end if there is none.
std::size_t rank_of_id(std::string_view id) {
  const std::size_t digits = id.find_last_not_of("0123456789");
  const bool found = digits != id.npos && digits > 0 && id[digits] == '-' && digits + 1 < id.size();
  return found ? digits : id.size();
}

Hypothesis parse_kaldi(std::string_view line) {
  line = trimmed(line);
  const std::size_t end = std::min(line.find_first_of(kBlanks), line.size());
  const std::string_view id = line.substr(0, end);
  if (rank_of_id(id) == id.size())
    throw std::runtime_error(fmt::format(
        "id: got {}, expected an utterance, a hyphen and a number, as utt-1", in_quotes(id)));
  return {.id = std::string(id), .text = std::string(trimmed(line.substr(end)))};
}

}  // namespace

std::vector<std::string_view> words_of(std::string_view text) {
  std::vector<std::string_view> words;
  while (true) {
    const std::size_t begin = text.find_first_not_of(kBlanks);
    if (begin == text.npos) return words;
    const std::size_t end = std::min(text.find_first_of(kBlanks, begin), text.size());
    words.push_back(text.substr(begin, end - begin));
    text.remove_prefix(end);
  }
}

Hypothesis parse_hypothesis(NBestFormat format, std::string_view line) {
  return format == NBestFormat::kMoses ? parse_moses(line) : parse_kaldi(line);
}

std::string to_line(NBestFormat format, const Hypothesis& hypothesis) {
  if (format == NBestFormat::kKaldi)
    return hypothesis.id + (hypothesis.text.empty() ? "" : " ") + hypothesis.text;
  std::string line = fmt::format("{} ||| {} ||| {} ||| {}", hypothesis.id, hypothesis.text,
                                 hypothesis.features, hypothesis.score);
  for (const std::string& column : hypothesis.more) line += " ||| " + column;
  return line;
}

std::string list_id(NBestFormat format, const Hypothesis& hypothesis) {
  return format == NBestFormat::kMoses ? hypothesis.id
                                       : hypothesis.id.substr(0, rank_of_id(hypothesis.id));
}

std::optional<NBestList> NBestReader::add(std::string_view line) {
  Hypothesis hypothesis = parse_hypothesis(format_, line);
  const std::size_t columns = kScoreColumn + 1 + hypothesis.more.size();
  if (columns_ == 0) columns_ = columns;
  if (columns != columns_) fail_columns(columns, fmt::format("{} as in the first line", columns_));
  std::string id = list_id(format_, hypothesis);
  std::optional<NBestList> before;
  if (id != list_.id) before = end();
  list_.id = std::move(id);
  list_.hypotheses.push_back(std::move(hypothesis));
  return before;
}

std::optional<NBestList> NBestReader::end() {
  NBestList list = std::exchange(list_, {});
  return list.hypotheses.empty() ? std::nullopt : std::optional(std::move(list));
}

}  // namespace unroll
