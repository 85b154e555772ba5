#include "host/bench/report/results.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <stdexcept>
#include <string_view>

#include "host/base/utf8.h"
#include "host/bench/report/summary.h"

namespace unroll::benchmark {
namespace {

/// Six digits, because even a good clock repeats only to 1e-5.
std::string printed(double value) {
  return std::isfinite(value) ? fmt::format("{:.6g}", value) : "";
}

std::optional<double> parsed(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) return {};
  return value;
}

/// The ratio of times as they are printed, so that reading them back gives the same text.
std::string ratio(std::optional<double> above, std::optional<double> below) {
  if (!above || !below) return "";
  above = parsed(printed(*above));
  below = parsed(printed(*below));
  return above && below && *below > 0 ? printed(*above / *below) : "";
}

struct Column {
  const char* name;
  bool required;
  /// `baseline`: the median of the case's best baseline.
  std::function<std::string(const Result&, std::optional<double> baseline)> text;
  /// Returns null, or the expected value if the text is wrong. Empty if the column is derived.
  std::function<const char*(Result&, const std::string&)> set;
};

template <typename Member>
Column name_column(const char* name, Member member) {
  return {name, true, [=](const Result& r, auto) { return member(r); },
          [=](Result& r, const std::string& text) {
            member(r) = text;
            return text.empty() ? "a name" : nullptr;
          }};
}

template <typename Member>
Column text_column(const char* name, bool required, Member member) {
  return {name, required, [=](const Result& r, auto) { return member(r); },
          [=](Result& r, const std::string& text) -> const char* {
            if (!text.empty()) member(r) = text;
            return nullptr;
          }};
}

template <typename Member>
Column count_column(const char* name, std::int64_t least, Member member) {
  return {name, least > 0, [=](const Result& r, auto) { return std::to_string(member(r)); },
          [=](Result& r, const std::string& text) -> const char* {
            if (text.empty() && least == 0) return nullptr;
            const char* end = text.data() + text.size();
            const auto [at, error] = std::from_chars(text.data(), end, member(r));
            if (error == std::errc() && at == end && member(r) >= least) return nullptr;
            return least > 0 ? "a whole number above 0" : "a whole number, not negative";
          }};
}

/// A number that is used as a divisor must be above 0.
template <typename Member>
Column number_column(const char* name, bool positive, Member member) {
  return {name, false,
          [=](const Result& r, auto) { return member(r) ? printed(*member(r)) : std::string(); },
          [=](Result& r, const std::string& text) -> const char* {
            if (text.empty()) return nullptr;
            member(r) = parsed(text);
            if (member(r) && (positive ? *member(r) > 0 : *member(r) >= 0)) return nullptr;
            return positive ? "a number above 0" : "a number, not negative";
          }};
}

const std::vector<Column>& columns() {
  static const std::vector<Column> list = {
      name_column(
          "task", [](auto& r) -> auto& { return r.of.task; }),
      name_column(
          "shape", [](auto& r) -> auto& { return r.of.shape; }),
      name_column(
          "cell", [](auto& r) -> auto& { return r.of.cell; }),
      count_column(
          "T", 1, [](auto& r) -> auto& { return r.of.steps; }),
      count_column(
          "B", 1, [](auto& r) -> auto& { return r.of.batch; }),
      count_column(
          "I", 1, [](auto& r) -> auto& { return r.of.input; }),
      name_column(
          "hidden", [](auto& r) -> auto& { return r.of.hidden; }),
      name_column(
          "precision", [](auto& r) -> auto& { return r.of.precision; }),
      name_column(
          "pass", [](auto& r) -> auto& { return r.of.pass; }),
      name_column(
          "program", [](auto& r) -> auto& { return r.program; }),
      text_column(
          "algorithm", true, [](auto& r) -> auto& { return r.algorithm; }),
      text_column(
          "execution", true, [](auto& r) -> auto& { return r.execution; }),
      text_column(
          "status", false, [](auto& r) -> auto& { return r.status; }),
      number_column(
          "us_per_step", true, [](auto& r) -> auto& { return r.median; }),
      number_column(
          "us_min", false, [](auto& r) -> auto& { return r.least; }),
      number_column(
          "us_max", false, [](auto& r) -> auto& { return r.most; }),
      count_column(
          "samples", 0, [](auto& r) -> auto& { return r.samples; }),
      number_column(
          "noise", false, [](auto& r) -> auto& { return r.noise; }),
      number_column(
          "prepare_us", false, [](auto& r) -> auto& { return r.prepare; }),
      {"speed",
       false,
       [](const Result& r, std::optional<double> baseline) { return ratio(baseline, r.median); },
       {}},
      number_column(
          "tflops", false, [](auto& r) -> auto& { return r.tflops; }),
      number_column(
          "peak_share", false, [](auto& r) -> auto& { return r.peak; }),
      number_column(
          "floor_us", true, [](auto& r) -> auto& { return r.floor; }),
      {"floor_ratio", false, [](const Result& r, auto) { return ratio(r.median, r.floor); }, {}},
      number_column(
          "reserve_mib", false, [](auto& r) -> auto& { return r.reserve_mib; }),
      number_column(
          "work_mib", false, [](auto& r) -> auto& { return r.work_mib; }),
  };
  return list;
}

/// A field that begins with # is also quoted, because it may be the first of its line.
std::string quoted(const std::string& field) {
  if (field.find_first_of(",\"\r\n") == field.npos && !field.starts_with('#')) return field;
  std::string text = "\"";
  for (const char c : field) text += c == '"' ? "\"\"" : std::string(1, c);
  return text + '"';
}

/// Reads lines with # and records (RFC 4180) one by one.
class Records {
 public:
  Records(std::filesystem::path file, std::string_view text)
      : file_(std::move(file)), rest_(text) {}

  std::vector<std::string> fields;  // the fields of a record
  std::string comment;              // or the text after #
  bool is_comment = false;

  /// Skips blank lines; returns false at the end.
  bool next() {
    while (take_line_end()) {
    }
    if (rest_.empty()) return false;
    line_ = next_line_;
    is_comment = rest_.front() == '#';
    if (is_comment) {
      comment = rest_.substr(1, rest_.find('\n') - 1);
      rest_.remove_prefix(comment.size() + 1);
      while (comment.ends_with('\r')) comment.pop_back();  // when written, one would end the line
      if (comment.starts_with(' ')) comment.erase(0, 1);
      return true;
    }
    fields.clear();
    do fields.push_back(rest_.starts_with('"') ? quoted_field() : plain_field());
    while (take(','));
    return true;
  }

  [[noreturn]] void fail(const std::string& what) const {
    throw std::runtime_error(fmt::format("{}:{}: {}", file_.string(), line_, what));
  }

 private:
  bool take(char c) {
    if (!rest_.starts_with(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }
  bool at_line_end() const {
    return rest_.empty() || rest_.starts_with('\n') || rest_.starts_with("\r\n") || rest_ == "\r";
  }
  bool take_line_end() {
    if (rest_.empty() || !at_line_end()) return false;
    rest_.remove_prefix(std::min(rest_.size(), rest_.starts_with('\r') ? 2UL : 1UL));
    ++next_line_;
    return true;
  }
  std::string plain_field() {
    std::string field;
    while (!at_line_end() && !rest_.starts_with(',')) {
      if (rest_.starts_with('"'))
        fail("got a quote inside " + in_quotes(field) + ", expected the whole field in quotes");
      field += rest_.front();
      rest_.remove_prefix(1);
    }
    return field;
  }
  std::string quoted_field() {
    std::string field;
    take('"');
    while (!take('"') || rest_.starts_with('"')) {
      if (rest_.empty()) fail("a quoted field does not end: " + in_quotes(field));
      next_line_ += rest_.front() == '\n' ? 1 : 0;
      field += rest_.front();
      rest_.remove_prefix(1);
    }
    if (!at_line_end() && !rest_.starts_with(','))
      fail("got more after the quoted field " + in_quotes(field) + ", expected a comma");
    return field;
  }

  std::filesystem::path file_;
  std::string_view rest_;
  int line_ = 1, next_line_ = 1;
};

bool is_header(const std::vector<std::string>& fields) {
  return std::ranges::count(fields, "task") > 0 && std::ranges::count(fields, "program") > 0;
}

/// The column of each field; null for one that is ignored.
std::vector<const Column*> read_header(const Records& records) {
  for (const Column& column : columns())
    if (column.required && std::ranges::count(records.fields, column.name) == 0)
      records.fail(fmt::format("got a header without {}, expected {}", column.name, csv_header()));
  std::vector<const Column*> header;
  for (const std::string& name : records.fields) {
    if (std::ranges::count(records.fields, name) > 1)
      records.fail("got the column " + in_quotes(name) + " twice, expected it once");
    const auto column = std::ranges::find(columns(), name, &Column::name);
    header.push_back(column != columns().end() && column->set ? &*column : nullptr);
  }
  return header;
}

Result read_row(const Records& records, const std::vector<const Column*>& header) {
  if (records.fields.size() != header.size())
    records.fail(fmt::format("got {} fields, expected {}", records.fields.size(), header.size()));
  Result row;
  for (std::size_t k = 0; k < header.size(); ++k)
    if (header[k])
      if (const char* expected = header[k]->set(row, records.fields[k]))
        records.fail(fmt::format("{}: got {}, expected {}", header[k]->name,
                                 in_quotes(records.fields[k]), expected));
  return row;
}

}  // namespace

std::string csv_header() {
  std::string text;
  for (const Column& column : columns())
    text += (text.empty() ? "" : ",") + std::string(column.name);
  return text;
}

std::string to_csv(const Results& results) {
  std::string text;
  for (std::string line : results.about) {
    for (std::size_t at = 0; (at = line.find('\n', at)) != line.npos; at += 3)
      line.replace(at, 1, "\n# ");
    text += (line.empty() ? "#" : "# " + line) + "\n";
  }
  text += csv_header() + "\n";
  std::map<Case, std::optional<double>> baselines;
  for (const CaseSummary& summary : summarize(results))
    if (!summary.baselines.empty()) baselines[summary.of] = summary.baselines.front().median;
  for (const Result& row : results.rows) {
    std::string line;
    for (const Column& column : columns())
      line += (line.empty() ? "" : ",") + quoted(column.text(row, baselines[row.of]));
    text += line + "\n";
  }
  return text;
}

Results read_csv(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  in.peek();  // opening a folder succeeds, reading it fails
  if (!in.is_open() || in.bad())
    throw std::runtime_error(file.string() + ": cannot be read, expected a CSV");
  return read_csv({std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()}, file);
}

Results read_csv(const std::string& text, const std::filesystem::path& name) {
  Results results;
  Records records(name, text);
  std::vector<const Column*> header;
  while (records.next()) {
    if (records.is_comment) {  // if files are concatenated, common lines are kept once
      if (std::ranges::count(results.about, records.comment) == 0)
        results.about.push_back(records.comment);
    } else if (header.empty() || is_header(records.fields)) {
      header = read_header(records);
    } else {
      results.rows.push_back(read_row(records, header));
    }
  }
  if (header.empty()) records.fail("got no header, expected " + csv_header());
  return results;
}

}  // namespace unroll::benchmark
