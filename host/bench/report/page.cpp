#include "host/bench/report/page.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>

#include "host/bench/report/bar_chart.h"
#include "host/bench/report/bench_style.h"
#include "host/bench/report/summary.h"
#include "host/bench/report/text_table.h"
#include "host/pages/chart.h"
#include "host/pages/html_page.h"

namespace unroll::benchmark {
namespace {

constexpr double kSheet = 780;  // a chart of this height fits on a sheet of paper, with headings

using Summaries = std::vector<CaseSummary>;

/// Splits a list into lists whose elements have the same key, in the order of first appearance.
template <typename Key>
std::vector<Summaries> grouped_by(const Summaries& list, Key key) {
  std::vector<Summaries> groups;
  for (const CaseSummary& summary : list) {
    const auto found = std::ranges::find_if(
        groups, [&](const Summaries& group) { return key(group.front().of) == key(summary.of); });
    (found == groups.end() ? groups.emplace_back() : *found).push_back(summary);
  }
  return groups;
}

std::string kind_of(const std::string& program) {
  for (const char* known : {"unroll", "cudnn", "onednn", "pytorch"})
    if (program == known) return known;
  return "other";
}

std::string name_of(const std::string& program) {
  if (program == "cudnn") return "cuDNN";
  if (program == kBareCudnn) return "cuDNN, bare";
  if (program == "onednn") return "oneDNN";
  if (program == "pytorch") return "PyTorch";
  return program;
}

std::string dimensions(const Case& of) {
  std::string units = units_text(of);
  if (const std::size_t at = units.find('x'); at != units.npos) units.replace(at, 1, "×");
  return fmt::format("{}×{}×{}, {}", of.steps, of.batch, of.input, units);
}

// ---- tables

std::string cell(const std::string& text, const char* kind = "") {
  return fmt::format("<td{}>{}</td>", kind, escape_html(text));
}
constexpr const char* kText = " class=\"t\"";

/// Heads of columns; heads of text columns begin with a space.
std::string table_head(const std::vector<std::string>& names) {
  std::string html = "<thead><tr>";
  for (const std::string& name : names)
    html += name.starts_with(' ') ? fmt::format("<th>{}</th>", name.substr(1))
                                  : fmt::format("<th class=\"n\">{}</th>", name);
  return html + "</tr></thead>\n";
}

/// A number or a name with small text below it, which may break after an _.
std::string double_cell(const std::string& text, const std::string& below, const char* kind = "") {
  std::string small = escape_html(below);
  for (std::size_t at = 0; (at = small.find('_', at)) != small.npos; ++at)
    small.insert(at + 1, "<wbr/>");
  return fmt::format("<td{}>{}<small>{}</small></td>", kind, escape_html(text), small);
}

std::string losses_section(const Results& results, const Summaries& summaries) {
  std::string html = "<h2>Where a baseline is faster by more than the noise</h2>\n";
  const Summaries lost = losses(results);
  const bool met = std::ranges::any_of(
      summaries, [](const CaseSummary& summary) { return !summary.baselines.empty(); });
  if (!met)
    return html + "<p class=\"note\">No baseline has a time: there is nothing to compare.</p>\n";
  if (lost.empty()) return html + "<p class=\"note\">Nowhere.</p>\n";
  html += "<div class=\"scroll\"><table class=\"losses\">\n" +
          table_head({" shape", " pass", "baseline / ours<small>noise</small>",
                      "baseline<small>µs/step</small>", "unroll<small>µs/step</small>"});
  for (const CaseSummary& summary : lost) {
    const Case& of = summary.of;
    const Result &baseline = summary.baselines.front(), &ours = *summary.ours;
    html += "<tr>" + double_cell(of.shape, of.cell + " " + dimensions(of), " class=\"t wrap\"") +
            double_cell(pass_text(of), of.precision, kText);
    html += fmt::format("<td><b>{}</b><small>{}</small></td>", ratio_text(summary.speed()),
                        percent_text(summary.noise));
    html += double_cell(number_text(baseline.median),
                        name_of(baseline.program) + " " + method_of(baseline));
    html += summary.speed() ? double_cell(number_text(ours.median), method_of(ours))
                            : cell(refusal_text(ours), " class=\"why\"");
    html += "</tr>\n";
  }
  return html + "</table></div>\n";
}

std::string means_section(const Results& results) {
  const std::vector<Mean> list = means(results);
  if (list.empty()) return "";
  std::string html =
      "<h2>Geometric means of a baseline's time / ours</h2>\n"
      "<p class=\"note\">Above 1 unroll is faster. Only the fastest algorithm of each program "
      "counts.</p>\n<div class=\"scroll\"><table class=\"means\">\n" +
      table_head({" cell", " baseline", "mean", "cases", "best", "worst"});
  for (const Mean& mean : list)
    html += "<tr>" +
            double_cell(mean.cell + " " + mean.precision,
                        pass_text({.task = mean.task, .pass = mean.pass}), kText) +
            cell(name_of(mean.baseline), kText) + "<td><b>" + ratio_text(mean.mean) + "</b></td>" +
            cell(std::to_string(mean.cases)) +
            double_cell(ratio_text(mean.best), mean.best_shape, " class=\"wrap\"") +
            double_cell(ratio_text(mean.worst), mean.worst_shape, " class=\"wrap\"") + "</tr>\n";
  return html + "</table></div>\n";
}

std::string row_cells(const Result& row, const CaseSummary& summary) {
  std::string html =
      cell(name_of(row.program), kText) + cell(row.algorithm, kText) + cell(row.execution, kText);
  if (number_text(row.median).empty())
    return html + cell(refusal_text(row), " class=\"why\" colspan=\"10\"");
  std::optional<double> baseline;
  if (!summary.baselines.empty()) baseline = summary.baselines.front().median;
  return html + cell(number_text(row.median)) + cell(range_text(row)) +
         cell(ratio_text(quotient(baseline, row.median))) + cell(number_text(row.tflops)) +
         cell(percent_text(row.peak)) + cell(number_text(row.floor)) +
         cell(ratio_text(quotient(row.median, row.floor))) + cell(number_text(row.prepare)) +
         cell(number_text(row.reserve_mib)) + cell(number_text(row.work_mib));
}

std::string table_section(const Results& results, const Summaries& summaries) {
  std::map<Case, std::vector<const Result*>> rows;
  for (const Result& row : results.rows) rows[row.of].push_back(&row);
  std::string html =
      fmt::format("<details>\n<summary>All {} rows</summary>\n",
                  grouped(std::int64_t(results.rows.size()))) +
      "<p class=\"note\">Microseconds per timestep of all layers. Best baseline: its time / the "
      "row's. Prepare: the part of the time that follows a change of weights.</p>\n"
      "<div class=\"scroll\"><table class=\"rows\">\n" +
      table_head({" program", " algorithm", " execution", "µs/step", "[min, max]", "best baseline",
                  "TFLOP/s", "of peak", "floor µs", "×&#160;floor", "prepare µs", "reserve MiB",
                  "work MiB"});
  for (const CaseSummary& summary : summaries) {
    html +=
        fmt::format("<tbody>\n<tr class=\"case\"><th class=\"case\" colspan=\"13\">{}</th></tr>\n",
                    escape_html(case_text(summary)));
    for (const Result* row : rows[summary.of])
      html += "<tr>" + row_cells(*row, summary) + "</tr>\n";
    html += "</tbody>\n";
  }
  return html + "</table></div>\n</details>\n";
}

// ---- charts

/// The unit of the bars: the floor, or without one the fastest time.
std::optional<double> base_of(const CaseSummary& summary) {
  if (summary.floor) return summary.floor;
  std::optional<double> fastest;
  if (summary.ours) fastest = summary.ours->median;
  if (!summary.baselines.empty() && (!fastest || *summary.baselines.front().median < *fastest))
    fastest = summary.baselines.front().median;
  return fastest;
}

std::string bar_text(const Result& row, const CaseSummary& summary) {
  const Case& of = summary.of;
  std::string text = fmt::format("{}, {}, {}, {}: {} {}", of.shape, of.cell, of.precision, of.pass,
                                 name_of(row.program), method_of(row));
  if (number_text(row.median).empty()) return text + ": " + refusal_text(row);
  text += ": " + number_text(row.median) + " µs per timestep";
  if (const std::string range = range_text(row); !range.empty()) text += " " + range;
  if (row.samples > 0) text += fmt::format(", {} samples", row.samples);
  if (summary.floor)
    text += fmt::format(", ×{} the floor of {} µs", ratio_text(quotient(row.median, summary.floor)),
                        number_text(summary.floor));
  if (row.tflops) text += ", " + number_text(row.tflops) + " TFLOP/s";
  if (row.peak) text += ", " + percent_text(row.peak) + " of peak";
  return text;
}

BarGroup group_of(const CaseSummary& summary) {
  const Case& of = summary.of;
  BarGroup group{.name = of.shape,
                 .note = dimensions(of) + (summary.floor ? ", floor " + number_text(summary.floor)
                                                         : ", no floor: × the fastest"),
                 .floor = summary.floor.has_value()};
  std::vector<Result> baselines = summary.baselines;
  std::ranges::sort(baselines, {}, &Result::program);  // the same order in all groups
  const auto add = [&](const Result& row) {
    const bool is_ours = row.program == "unroll";
    const std::optional<double> of_ours =
        is_ours || !summary.ours ? std::nullopt : quotient(row.median, summary.ours->median);
    const std::string time = number_text(row.median);
    group.bars.push_back({.kind = kind_of(row.program),
                          .length = quotient(row.median, base_of(summary)),
                          .label = time.empty()
                                       ? name_of(row.program) + ": " + refusal_text(row)
                                       : time + (of_ours ? " ×" + ratio_text(of_ours) : ""),
                          .text = bar_text(row, summary),
                          .strong = of_ours && 1 / *of_ours - 1 > summary.noise.value_or(0)});
  };
  if (summary.ours) add(*summary.ours);
  for (const Result& baseline : baselines) add(baseline);
  return group;
}

/// The charts of one task, cell and precision: one per pass, and more if there are many shapes.
std::string charts(const Summaries& list) {
  std::vector<std::vector<BarGroup>> passes;
  std::vector<std::string> names;
  std::vector<double> lengths;
  for (const Summaries& pass : grouped_by(list, [](const Case& of) { return of.pass; })) {
    names.push_back(pass.front().of.pass);
    passes.emplace_back();
    for (const CaseSummary& summary : pass) {
      passes.back().push_back(group_of(summary));
      for (const Bar& bar : passes.back().back().bars)
        if (bar.length) lengths.push_back(*bar.length);
    }
  }
  const double limit = bar_limit(lengths);
  std::size_t longest = 0, bars = 1;
  for (const std::vector<BarGroup>& pass : passes) {
    longest = std::max(longest, pass.size());
    for (const BarGroup& group : pass) bars = std::max(bars, group.bars.size());
  }
  const auto room = std::max<std::size_t>(1, std::size_t(kSheet / bar_group_height(bars)));
  const std::size_t sheets = (longest + room - 1) / room, each = (longest + sheets - 1) / sheets;
  std::string html;
  for (std::size_t from = 0; from < longest; from += each) {
    html += "<div class=\"passes\">\n";
    for (std::size_t k = 0; k < passes.size(); ++k) {
      const auto begin = passes[k].begin() + std::ptrdiff_t(std::min(from, passes[k].size()));
      const auto end = passes[k].begin() + std::ptrdiff_t(std::min(from + each, passes[k].size()));
      if (begin == end) continue;
      const Case& of = list.front().of;
      html += fmt::format("<figure><figcaption><b>{}</b></figcaption>\n{}</figure>\n",
                          escape_html(names[k]),
                          draw_bars({.title = fmt::format("{} {} {}, {}: times over their floors",
                                                          of.task, of.cell, of.precision, names[k]),
                                     .unit = "× floor",
                                     .groups = {begin, end},
                                     .limit = limit}));
    }
    html += "</div>\n";
  }
  return html;
}

std::string legend(const Summaries& list) {
  std::vector<std::string> programs;
  bool floor = false;
  const auto add = [&](const std::string& program) {
    if (std::ranges::count(programs, program) == 0) programs.push_back(program);
  };
  for (const CaseSummary& summary : list) {
    if (summary.ours) add(summary.ours->program);
    for (const Result& baseline : summary.baselines) add(baseline.program);
    floor |= summary.floor.has_value();
  }
  std::ranges::sort(programs, {}, [](const std::string& p) { return std::pair(p != "unroll", p); });
  std::string html = "<p class=\"legend\">";
  for (const std::string& program : programs)
    html += fmt::format("<span><i class=\"key {}\"></i>{}</span>", kind_of(program),
                        escape_html(name_of(program)));
  if (floor) html += "<span><i class=\"key floor\"></i>floor</span>";
  return html + "</p>\n";
}

std::string charts_section(const Summaries& summaries) {
  std::string html;
  for (const Summaries& cell :
       grouped_by(summaries, [](const Case& of) { return std::tie(of.task, of.cell); })) {
    const Case& of = cell.front().of;
    html += "<h2>" + escape_html(of.task == "rnn" ? of.cell : of.task + " " + of.cell) + "</h2>\n";
    html += legend(cell);
    for (const Summaries& precision :
         grouped_by(cell, [](const Case& of_) { return std::tie(of_.precision); }))
      html += fmt::format("<h3>{}</h3>\n", escape_html(precision.front().of.precision)) +
              charts(precision);
  }
  if (html.empty()) return "";
  return "<h2>The fastest algorithm of each program</h2>\n<p class=\"note\">Bars: time / floor; "
         "no schedule can be faster than the floor, and shorter is better. At their ends: "
         "microseconds per timestep of all layers, and how many times ours; bold where a baseline "
         "is "
         "faster by more than the noise. Beside a shape's name: T×B×I, layers × units.</p>\n" +
         html;
}

std::string tiles(const Results& results, const Summaries& summaries) {
  std::int64_t met = 0, won = 0, lost = 0;
  for (const CaseSummary& summary : summaries) {
    met += summary.ours && !summary.baselines.empty() ? 1 : 0;
    won += summary.won() ? 1 : 0;
    lost += summary.lost() ? 1 : 0;
  }
  return "<dl class=\"summary\">\n" +
         summary_item("Cases", grouped(std::int64_t(summaries.size())),
                      grouped(std::int64_t(results.rows.size())) + " rows") +
         summary_item("Faster than every baseline", grouped(won),
                      "of " + grouped(met) + " with one") +
         summary_item("Within the noise", grouped(met - won - lost), "of the best baseline") +
         summary_item("A baseline is faster", grouped(lost), "by more than the noise") + "</dl>\n";
}

}  // namespace

std::string make_page(const Results& results) {
  const Summaries summaries = summarize(results);
  std::string html = page_head("Benchmark of recurrent networks", kBenchStyle);
  html += "<h1>Benchmark of recurrent networks</h1>\n<ul class=\"about\">\n";
  for (const std::string& line : results.about)
    html += fmt::format("<li>{}</li>\n", escape_html(line));
  html += "</ul>\n" + tiles(results, summaries) + losses_section(results, summaries) +
          means_section(results) + charts_section(summaries) + table_section(results, summaries);
  return html + "</body>\n</html>\n";
}

}  // namespace unroll::benchmark
