#include "host/pages/comparison.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <stdexcept>
#include <type_traits>

#include "host/pages/chart.h"
#include "host/pages/html_page.h"
#include "host/pages/report_parts.h"
#include "host/pages/report_style.h"

namespace unroll {
namespace {

constexpr const char* kNothing = "–";

std::string style_of(std::size_t run) {
  // Classes of the style sheet have letters only.
  return std::string("run") + char('a' + int(run));
}

/// "model: hidden" and its value for each setting of a run.
std::map<std::string, std::string> settings_of(const nlohmann::json& config) {
  std::map<std::string, std::string> settings;
  if (!config.is_object()) return settings;
  for (const auto& [section, members] : config.items()) {
    if (section == "metrics") continue;  // results, not settings
    if (!members.is_object()) {
      settings[section] = value_text(members);
      continue;
    }
    for (const auto& [name, value] : members.items())
      settings[section + ": " + name] = value.is_null() ? kNothing : value_text(value);
  }
  return settings;
}

std::string row(const std::string& name, const std::vector<std::string>& cells) {
  std::string html = "<tr><th>" + escape_html(name) + "</th>";
  for (const std::string& cell : cells) html += "<td>" + escape_html(cell) + "</td>";
  return html + "</tr>\n";
}

std::string head(const std::vector<ComparedRun>& runs) {
  std::string html = "<tr><th></th>";
  for (std::size_t k = 0; k < runs.size(); ++k)
    html +=
        fmt::format("<th><i class=\"key {}\"></i>{}</th>", style_of(k), escape_html(runs[k].name));
  return html + "</tr>\n";
}

template <typename Cell>
std::string row_of(const std::string& name, const std::vector<ComparedRun>& runs, Cell&& cell) {
  std::vector<std::string> cells;
  for (const ComparedRun& run : runs) cells.push_back(cell(run.history));
  return row(name, cells);
}

std::string results(const std::vector<ComparedRun>& runs) {
  const std::string measure = Measurement{runs.front().history}.name();
  std::string html = "<h2>Results</h2>\n<table class=\"compared\">\n" + head(runs);
  html += row_of("best validation " + measure, runs, [](const RunHistory& h) {
    const EvaluationRecord* const best = h.best();
    return best ? Measurement{h}.of(*best) : kNothing;
  });
  html += row_of("at step", runs, [](const RunHistory& h) {
    const EvaluationRecord* const best = h.best();
    return best ? grouped(best->step) : kNothing;
  });
  html += row_of("test " + measure, runs, [](const RunHistory& h) {
    return h.test ? Measurement{h}.of(*h.test) : kNothing;
  });
  html += row_of("steps", runs, [](const RunHistory& h) { return grouped(h.steps); });
  html += row_of("epochs", runs, [](const RunHistory& h) { return grouped(h.epochs); });
  html += row_of("time", runs, [](const RunHistory& h) { return duration(h.seconds); });
  return html + "</table>\n";
}

std::string differences(const std::vector<ComparedRun>& runs) {
  std::vector<std::map<std::string, std::string>> settings;
  std::map<std::string, std::string> all;
  for (const ComparedRun& run : runs) {
    settings.push_back(settings_of(run.config));
    all.insert(settings.back().begin(), settings.back().end());
  }
  std::string rows;
  for (const auto& [name, first] : all) {
    std::vector<std::string> cells;
    for (const auto& own : settings) {
      const auto found = own.find(name);
      cells.push_back(found == own.end() ? kNothing : found->second);
    }
    if (std::ranges::any_of(cells, [&](const std::string& cell) { return cell != cells.front(); }))
      rows += row(name, cells);
  }
  if (rows.empty()) return "<h2>Settings</h2>\n<p class=\"note\">They are the same.</p>\n";
  return "<h2>Settings that differ</h2>\n<table class=\"compared\">\n" + head(runs) + rows +
         "</table>\n";
}

template <typename Record>
std::string figure(const std::string& title, const std::vector<ComparedRun>& runs,
                   std::vector<Record> RunHistory::*records) {
  const Measurement measurement{runs.front().history};
  Chart chart{.title = title + " loss by step",
              .unit = measurement.loss_unit(),
              .from_zero = false,
              .perplexity = measurement.is_perplexity()};
  std::string keys;
  for (std::size_t k = 0; k < runs.size(); ++k) {
    keys += fmt::format("<span><i class=\"key {}\"></i>{}</span>", style_of(k),
                        escape_html(runs[k].name));
    if ((runs[k].history.*records).empty()) continue;
    chart.series.push_back(series_of(runs[k].name, runs[k].history.*records, &Record::loss));
    chart.series.back().style = style_of(k);
    chart.series.back().dots = std::is_same_v<Record, EvaluationRecord>;
  }
  std::string html = "<h2>" + title + " loss</h2>\n";
  if (chart.series.empty()) return html + "<p class=\"note\">Nothing has been logged yet.</p>\n";
  html += "<figure><figcaption>" + keys + "<output></output></figcaption>\n";
  chart.width = 960;
  chart.height = 380;
  html += "<div class=\"wide\">\n" + draw_svg(chart) + "</div>\n";
  chart.width = 370;
  chart.height = 300;
  return html + "<div class=\"narrow\">\n" + draw_svg(chart) + "</div>\n</figure>\n";
}

}  // namespace

std::string make_comparison(const std::vector<ComparedRun>& runs) {
  if (runs.empty() || runs.size() > kMostCompared)
    throw std::invalid_argument(
        fmt::format("runs: got {}, expected 1 to {}", runs.size(), kMostCompared));
  for (const ComparedRun& run : runs)
    if (run.history.unit != runs.front().history.unit)
      throw std::runtime_error(fmt::format("{}: got losses per {}, expected them per {} as in {}",
                                           run.name, run.history.unit, runs.front().history.unit,
                                           runs.front().name));
  std::string html = page_head(fmt::format("{} training runs", runs.size()),
                               (std::string(kReportStyle) + kComparisonStyle).c_str());
  html += fmt::format("<h1>{} training runs</h1>\n", runs.size());
  html += results(runs);
  html += figure("Validation", runs, &RunHistory::valid);
  html += figure("Training", runs, &RunHistory::train);
  html += differences(runs);
  return html + "<script>" + kReportScript + "</script>\n</body>\n</html>\n";
}

}  // namespace unroll
