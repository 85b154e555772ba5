/// The texts of summary.h about one set of results.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "host/bench/report/summary.h"
#include "host/bench/report/text_table.h"

namespace unroll::benchmark {
std::string losses_text(const Results& results) {
  int met = 0, won = 0;
  for (const CaseSummary& summary : summarize(results)) {
    met += summary.ours && !summary.baselines.empty() ? 1 : 0;
    won += summary.won() ? 1 : 0;
  }
  if (met == 0) return "No case has both a row of unroll and a baseline's time.\n";
  const std::vector<CaseSummary> lost = losses(results);
  const std::string counts =
      fmt::format("{} cases with a baseline: {} faster than the best, {} within noise, {} slower",
                  met, won, met - won - int(lost.size()), lost.size());
  if (lost.empty()) return counts + ".\n";
  TextTable table({{"shape", false, true},
                   {"cell", false},
                   {"units", false, true},
                   {"", false},
                   {"pass", false},
                   {"fastest baseline", false, true},
                   {"us/step"},
                   {"unroll", false, true},
                   {"us/step"},
                   {"baseline\n/ ours"},
                   {"noise"}});
  for (const CaseSummary& summary : lost) {
    const Case& of = summary.of;
    const Result &baseline = summary.baselines.front(), &ours = *summary.ours;
    std::vector<std::string> cells = {of.shape,
                                      of.cell,
                                      units_text(of),
                                      of.precision,
                                      pass_text(of),
                                      baseline.program + " " + method_of(baseline),
                                      number_text(baseline.median)};
    if (summary.speed())
      cells.insert(cells.end(), {method_of(ours), number_text(ours.median),
                                 ratio_text(summary.speed()), percent_text(summary.noise)});
    else
      cells.push_back(refusal_text(ours));
    table.row(cells);
  }
  return counts + ":\n\n" + table.text();
}

std::string means_text(const Results& results) {
  const std::vector<Mean> list = means(results);
  if (list.empty()) return "";
  TextTable table({{"task", false},
                   {"cell", false},
                   {"precision", false},
                   {"pass", false},
                   {"baseline", false},
                   {"cases"},
                   {"mean"},
                   {"best"},
                   {"in", false, true},
                   {"worst"},
                   {"in", false, true}});
  for (const Mean& mean : list)
    table.row({mean.task, mean.cell, mean.precision, mean.pass, mean.baseline,
               std::to_string(mean.cases), ratio_text(mean.mean), ratio_text(mean.best),
               mean.best_shape, ratio_text(mean.worst), mean.worst_shape});
  return "Geometric means of a baseline's time / ours, the fastest of each program (above 1: "
         "unroll "
         "is "
         "faster):\n\n" +
         table.text();
}

std::string table_text(const Results& results) {
  std::map<Case, std::vector<const Result*>> rows;
  for (const Result& row : results.rows) rows[row.of].push_back(&row);
  TextTable table({{"\n  program", false, true},
                   {"\nalgorithm", false, true},
                   {"\nexecution", false},
                   {"us/step\nmedian"},
                   {"\n[min, max]", false},
                   {"x best\nbaseline"},
                   {"\nTFLOP/s"},
                   {"% of\npeak"},
                   {"floor\nus"},
                   {"x\nfloor"},
                   {"prepare\nus"},
                   {"reserve\nMiB"},
                   {"work\nMiB"}});
  for (const CaseSummary& summary : summarize(results)) {
    table.line(case_text(summary));
    std::optional<double> baseline;
    if (!summary.baselines.empty()) baseline = summary.baselines.front().median;
    for (const Result* row : rows[summary.of]) {
      std::vector<std::string> cells = {"  " + row->program, row->algorithm, row->execution};
      if (row->median)
        cells.insert(cells.end(),
                     {number_text(row->median), range_text(*row),
                      ratio_text(quotient(baseline, row->median)), number_text(row->tflops),
                      percent_text(row->peak), number_text(row->floor),
                      ratio_text(quotient(row->median, row->floor)), number_text(row->prepare),
                      number_text(row->reserve_mib), number_text(row->work_mib)});
      else
        cells.push_back(refusal_text(*row));
      table.row(cells);
    }
  }
  return table.text();
}

}  // namespace unroll::benchmark
