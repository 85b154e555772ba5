#include "host/bench/report/summary.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>

#include "host/bench/report/text_table.h"

namespace unroll::benchmark {
namespace {

bool has_time(const Result& row) {
  return row.median && *row.median > 0 && std::isfinite(*row.median);
}

void keep_faster(std::optional<Result>& best, const Result& row) {
  if (!best || (has_time(row) && (!has_time(*best) || *row.median < *best->median))) best = row;
}

}  // namespace

std::optional<double> CaseSummary::speed() const {
  if (!ours || !has_time(*ours) || baselines.empty()) return {};
  return *baselines.front().median / *ours->median;
}

bool CaseSummary::lost() const {
  if (!ours || baselines.empty()) return false;
  const std::optional<double> ratio = speed();
  return !ratio || 1 / *ratio - 1 > noise.value_or(0);
}

bool CaseSummary::won() const {
  const std::optional<double> ratio = speed();
  return ratio && *ratio - 1 > noise.value_or(0);
}

std::vector<CaseSummary> summarize(const Results& results) {
  std::vector<CaseSummary> list;
  std::map<Case, std::size_t> place;
  std::vector<std::map<std::string, std::optional<Result>>> programs;
  for (const Result& row : results.rows) {
    const auto [at, is_new] = place.try_emplace(row.of, list.size());
    if (is_new) {
      list.push_back({.of = row.of});
      programs.emplace_back();
    }
    CaseSummary& summary = list[at->second];
    keep_faster(programs[at->second][row.program], row);
    if (row.noise && std::isfinite(*row.noise))
      summary.noise = std::max(*row.noise, summary.noise.value_or(0));
    if (row.floor && *row.floor > 0 && std::isfinite(*row.floor))
      summary.floor = std::min(*row.floor, summary.floor.value_or(*row.floor));
  }
  for (std::size_t k = 0; k < list.size(); ++k) {
    for (const auto& [program, best] : programs[k])
      if (program == "unroll")
        list[k].ours = best;
      else if (has_time(*best))
        list[k].baselines.push_back(*best);
    std::ranges::stable_sort(list[k].baselines, {}, [](const Result& r) { return *r.median; });
  }
  return list;
}

std::vector<CaseSummary> losses(const Results& results) {
  std::vector<CaseSummary> list = summarize(results);
  std::erase_if(list, [](const CaseSummary& summary) { return !summary.lost(); });
  std::ranges::stable_sort(list, {}, [](const CaseSummary& s) { return s.speed().value_or(0); });
  return list;
}

std::vector<Mean> means(const Results& results) {
  std::vector<CaseSummary> summarized = summarize(results);
  std::vector<Mean> list;
  for (CaseSummary& summary : summarized) {
    if (!summary.speed()) continue;
    std::ranges::sort(summary.baselines, {}, &Result::program);
    for (const Result& baseline : summary.baselines) {
      const Case& of = summary.of;
      const double speed = *baseline.median / *summary.ours->median;
      const auto same = [&](const Mean& m) {
        return std::tie(m.task, m.cell, m.precision, m.pass, m.baseline) ==
               std::tie(of.task, of.cell, of.precision, of.pass, baseline.program);
      };
      const auto found = std::ranges::find_if(list, same);
      if (found == list.end()) {
        list.push_back({of.task, of.cell, of.precision, of.pass, baseline.program, 1,
                        std::log(speed), speed, speed, of.shape, of.shape});
        continue;
      }
      ++found->cases;
      found->mean += std::log(speed);  // a sum of logarithms until all are added
      if (speed > found->best) std::tie(found->best, found->best_shape) = std::tie(speed, of.shape);
      if (speed < found->worst)
        std::tie(found->worst, found->worst_shape) = std::tie(speed, of.shape);
    }
  }
  for (Mean& mean : list) mean.mean = std::exp(mean.mean / mean.cases);
  return list;
}

std::string case_text(const CaseSummary& summary) {
  const Case& of = summary.of;
  std::string line =
      fmt::format("{} {}: {}, T {}, B {}, I {}, units {}, {}, {}", of.task, of.shape, of.cell,
                  of.steps, of.batch, of.input, of.hidden, of.precision, of.pass);
  if (summary.noise) line += ", noise " + percent_text(summary.noise);
  return line;
}

std::string range_text(const Result& row) {
  const std::string least = number_text(row.least), most = number_text(row.most);
  return least.empty() || most.empty() ? "" : fmt::format("[{}, {}]", least, most);
}

std::optional<double> quotient(std::optional<double> above, std::optional<double> below) {
  if (!above || !below || !(*below > 0) || !std::isfinite(*above / *below)) return {};
  return *above / *below;
}

std::string sizes_text(const Case& of) {
  return fmt::format("{}x{}x{}", of.steps, of.batch, of.input);
}

std::string units_text(const Case& of) {
  const std::string first = of.hidden.substr(0, of.hidden.find('/'));
  std::string equal = first;
  int layers = 1;
  for (; equal.size() < of.hidden.size(); ++layers) equal += "/" + first;
  return layers > 1 && equal == of.hidden ? fmt::format("{}x{}", layers, first) : of.hidden;
}

std::string pass_text(const Case& of) {
  return of.task == "rnn" ? of.pass : of.task + " " + of.pass;
}

std::string method_of(const Result& row) {
  std::string text = row.algorithm;
  if (text.starts_with(row.program + ":")) text.erase(0, row.program.size() + 1);
  return text + (text.empty() || row.execution.empty() ? "" : " ") + row.execution;
}

std::string refusal_text(const Result& row) {
  return row.status == "ok" || row.status.empty() ? "no time" : row.status;
}

}  // namespace unroll::benchmark
