/// comparison_text of summary.h: the differences between two sets of results.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <set>
#include <stdexcept>
#include <tuple>

#include "host/bench/report/summary.h"
#include "host/bench/report/text_table.h"

namespace unroll::benchmark {
namespace {

constexpr const char* kMustAgree[] = {"device: ", "driver ", "oneDNN: ", "PyTorch ", "times: "};
constexpr std::size_t kListed = 20;  // how many rows that only one set has are listed

struct Key {
  Case of;
  std::string program, algorithm, execution;

  auto operator<=>(const Key&) const = default;
};

std::map<Key, Result> rows_of(const Results& results) {
  std::map<Key, Result> rows;
  for (const Result& row : results.rows) {
    const auto [at, is_new] =
        rows.try_emplace({row.of, row.program, row.algorithm, row.execution}, row);
    if (!is_new && row.median && (!at->second.median || *row.median < *at->second.median))
      at->second = row;
  }
  return rows;
}

struct Pair {
  Key key;
  Result before, after;

  double ratio() const { return *after.median / *before.median; }
  /// nullopt if there is nothing to compare a difference with.
  std::optional<double> bound() const {
    std::optional<double> bound;
    for (const Result* row : {&before, &after}) {
      if (row->noise) bound = std::max(bound.value_or(0), *row->noise);
      if (row->least) bound = std::max(bound.value_or(0), 1 - *row->least / *row->median);
    }
    return bound;
  }
};

std::string name_of(const Key& key) {
  const Case& of = key.of;
  return fmt::format("{} {} {} {} {} {} {}", of.task, of.shape, of.cell, sizes_text(of), of.hidden,
                     of.precision, of.pass);
}

std::string program_of(const Key& key) {
  return key.program + " " + key.algorithm + " " + key.execution;
}

std::string moved_text(const std::string& title, std::vector<Pair> pairs) {
  if (pairs.empty()) return "";
  std::ranges::stable_sort(pairs, std::greater<>(),
                           [](const Pair& pair) { return std::abs(std::log(pair.ratio())); });
  TextTable table({{"case", false, true},
                   {"program", false, true},
                   {"us/step\nbefore"},
                   {"\nafter"},
                   {"after /\nbefore"},
                   {"\nnoise"}});
  for (const Pair& pair : pairs)
    table.row({name_of(pair.key), program_of(pair.key), number_text(pair.before.median),
               number_text(pair.after.median), fmt::format("{:.3f}", pair.ratio()),
               percent_text(pair.bound())});
  return "\n" + title + ":\n\n" + table.text();
}

/// Rows with a time in only one set, and why the other has none.
std::string refused_text(const std::vector<Pair>& pairs) {
  if (pairs.empty()) return "";
  TextTable table(
      {{"case", false, true}, {"program", false, true}, {"us/step\nbefore"}, {"\nafter"}, {""}});
  for (const Pair& pair : pairs) {
    const Result& refused = pair.before.median ? pair.after : pair.before;
    const auto time = [](const Result& row) {
      return row.median ? number_text(row.median) : std::string("none");
    };
    table.row({name_of(pair.key), program_of(pair.key), time(pair.before),
               time(pair.after) + ":  " + refusal_text(refused)});
  }
  return "\nA time in only one of them:\n\n" + table.text();
}

std::string only_text(const char* where, const std::map<Key, Result>& rows,
                      const std::map<Key, Result>& others) {
  std::string text;
  std::size_t count = 0;
  for (const auto& [key, row] : rows)
    if (!others.contains(key) && ++count <= kListed)
      text += "  " + shortened(name_of(key) + "  " + program_of(key), kTerminalColumns - 2) + "\n";
  if (count == 0) return "";
  if (count > kListed) text += fmt::format("  and {} more\n", count - kListed);
  return fmt::format("\nOnly {}, {} row{}:\n{}", where, count, count == 1 ? "" : "s", text);
}

/// Whether a line must be equal for a fair comparison. The commits may differ, and measured
/// rates never agree to the last digit.
bool must_agree(const std::string& line) {
  return std::ranges::any_of(kMustAgree,
                             [&](const char* start) { return line.starts_with(start); });
}

std::string about_text(const Results& before, const Results& after) {
  std::string text;
  const auto list = [&](const Results& from, const Results& other, const char* sign) {
    std::set<std::string> said;
    for (const std::string& line : from.about)
      if (must_agree(line) && std::ranges::count(other.about, line) == 0 &&
          said.insert(line).second)
        text += sign + shortened(line, kTerminalColumns - 10) + "\n";
  };
  list(before, after, "  before: ");
  list(after, before, "  after:  ");
  return text.empty() ? "" : "\nWarning: what the times depend on is not the same:\n" + text;
}

}  // namespace

std::string comparison_text(const Results& before, const Results& after) {
  const std::map<Key, Result> old_rows = rows_of(before), new_rows = rows_of(after);
  std::vector<Pair> slower, faster, refused;
  int common = 0, still = 0, unknown = 0, timeless = 0;
  for (const auto& [key, row] : old_rows) {
    const auto at = new_rows.find(key);
    if (at == new_rows.end()) continue;
    ++common;
    const Pair pair{key, row, at->second};
    if (!row.median && !at->second.median)
      ++timeless;
    else if (!row.median || !at->second.median)
      refused.push_back(pair);
    else if (!pair.bound())
      ++unknown;
    else if (std::abs(pair.ratio() - 1) > *pair.bound())
      (pair.ratio() > 1 ? slower : faster).push_back(pair);
    else
      ++still;
  }
  if (common == 0)
    throw std::runtime_error(fmt::format(
        "nothing to compare: {} rows before and {} after, expected some with the same case, "
        "program, algorithm and execution",
        before.rows.size(), after.rows.size()));
  std::string text = fmt::format("{} rows in both: {} slower, {} faster, {} within noise", common,
                                 slower.size(), faster.size(), still);
  if (unknown > 0) text += fmt::format(", {} without noise or minimum to judge by", unknown);
  if (timeless > 0) text += fmt::format(", {} without times", timeless);
  text += ".\n" + about_text(before, after);
  text += moved_text("Slower, beyond noise", slower) + moved_text("Faster, beyond noise", faster);
  text += refused_text(refused);
  return text + only_text("before", old_rows, new_rows) + only_text("after", new_rows, old_rows);
}

}  // namespace unroll::benchmark
