#include "host/cli/classify_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "host/base/utf8.h"
#include "host/cli/score_table.h"

namespace unroll::cli {

ClassifyReport evaluation_report(const ClassifierEvaluation& evaluation, const ClassLabels& labels,
                                 const LabelledStatistics& texts) {
  const Evaluation& sums = evaluation.sums;
  const double macro_f1 = evaluation.confusion.macro_f1();
  ClassifyReport report;
  report.json = {{"texts", sums.count},  {"unknown", texts.unknown},
                 {"loss", sums.loss()},  {"accuracy", sums.accuracy()},
                 {"macro_f1", macro_f1}, {"classes", Json::array()}};
  report.lines = fmt::format(
      "| model | loss {:.4f} | accuracy {:.4f} | macro F1 {:.4f} | texts {} | unknown {}\n",
      sums.loss(), sums.accuracy(), macro_f1, sums.count, texts.unknown);
  std::vector<std::string> names;
  for (std::int32_t k = 0; k < labels.size(); ++k) names.push_back(labels.label(k));
  const ScoreTable table(evaluation.confusion, names,
                         {.one = "class", .member = "label", .items = "texts"});
  report.lines += table.heading() + "\n";
  for (std::int32_t k = 0; k < labels.size(); ++k) {
    report.lines += table.line(k) + "\n";
    report.json["classes"].push_back(table.json(k));
  }
  return report;
}

ClassifyReport prediction_report(const ClassPrediction& prediction, const ClassLabels& labels,
                                 std::int64_t top) {
  std::vector<std::int32_t> order(prediction.log_prob.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, [&](std::int32_t a, std::int32_t b) {
    return prediction.log_prob[std::size_t(a)] > prediction.log_prob[std::size_t(b)];
  });
  order.resize(std::size_t(std::min<std::int64_t>(std::int64_t(order.size()), top)));
  ClassifyReport report;
  report.json = {{"text", prediction.text},
                 {"label", labels.label(order.front())},
                 {"classes", Json::array()}};
  for (const std::int32_t one : order) {
    const double probability = std::exp(double(prediction.log_prob[std::size_t(one)]));
    report.json["classes"].push_back({{"label", labels.label(one)}, {"probability", probability}});
    report.lines += fmt::format("{:.6f}  {}\n", probability, printable(labels.label(one)));
  }
  return report;
}

}  // namespace unroll::cli
