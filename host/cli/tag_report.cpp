#include "host/cli/tag_report.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "host/base/utf8.h"
#include "host/cli/score_table.h"

namespace unroll::cli {
namespace {

struct Mistakes {
  std::int32_t given;
  std::int64_t tokens;
};

/// What words of a tag were given, the most frequent first.
std::vector<Mistakes> mistakes_of(const ConfusionTable& confusion, std::int32_t tag) {
  std::vector<Mistakes> mistakes;
  for (std::int32_t given = 0; given < confusion.classes(); ++given)
    if (const std::int64_t tokens = confusion.count(tag, given); given != tag && tokens > 0)
      mistakes.push_back({given, tokens});
  std::ranges::stable_sort(
      mistakes, [](const Mistakes& a, const Mistakes& b) { return a.tokens > b.tokens; });
  return mistakes;
}

}  // namespace

TagReport tag_report(const TaggerEvaluation& evaluation, const ClassLabels& tags) {
  const Evaluation& sums = evaluation.sums;
  const ConfusionTable& confusion = evaluation.confusion;
  std::vector<std::string> names;
  for (std::int32_t k = 0; k < tags.size(); ++k) names.push_back(tags.label(k));
  names.emplace_back("(unknown)");
  const bool has_unknown = confusion.score(tags.size()).texts > 0;
  const double macro_f1 = confusion.macro_f1();
  TagReport report;
  report.json = {{"sentences", evaluation.sentences},
                 {"tokens", sums.count},
                 {"unknown", evaluation.unknown.count},
                 {"loss", sums.loss()},
                 {"accuracy", sums.accuracy()},
                 {"accuracy_unknown", nullptr},
                 {"macro_f1", macro_f1},
                 {"tags", Json::array()}};
  std::string on_unknown = "none unknown";
  if (evaluation.unknown.count > 0) {
    report.json["accuracy_unknown"] = evaluation.unknown.accuracy();
    on_unknown = fmt::format("{:.4f} on {} unknown", evaluation.unknown.accuracy(),
                             evaluation.unknown.count);
  }
  report.lines = fmt::format(
      "| model | loss {:.4f} | accuracy {:.4f}, {} | macro F1 {:.4f} | tokens {} | sentences {}\n",
      sums.loss(), sums.accuracy(), on_unknown, macro_f1, sums.count, evaluation.sentences);

  const ScoreTable table(confusion, names, {.one = "tag", .member = "tag", .items = "tokens"});
  report.lines += table.heading() + "  taken for\n";
  for (std::int32_t k = 0; k < tags.size() + (has_unknown ? 1 : 0); ++k) {
    Json json = table.json(k), taken = Json::object();
    std::vector<std::string> shown;
    for (const auto& [given, tokens] : mistakes_of(confusion, k)) {
      taken[tags.label(given)] = tokens;
      shown.push_back(fmt::format("{} {}", printable(tags.label(given)), tokens));
    }
    report.lines +=
        fmt::format("{}{}{}\n", table.line(k), shown.empty() ? "" : "  ", fmt::join(shown, ", "));
    json["taken_for"] = std::move(taken);
    report.json["tags"].push_back(std::move(json));
  }
  return report;
}

}  // namespace unroll::cli
