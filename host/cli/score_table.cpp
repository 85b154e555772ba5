#include "host/cli/score_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "host/base/utf8.h"

namespace unroll::cli {

ScoreTable::ScoreTable(const ConfusionTable& confusion, const std::vector<std::string>& names,
                       const Words& words)
    : confusion_(confusion),
      names_(names),
      words_(words),
      width_(std::string_view(words.one).size()) {
  for (const std::string& name : names) width_ = std::max(width_, printable(name).size());
}

std::string ScoreTable::heading() const {
  return fmt::format("{:<{}}  precision  recall      F1  {}", words_.one, width_, words_.items);
}

std::string ScoreTable::line(std::int32_t one) const {
  const ClassScore& score = confusion_.score(one);
  return fmt::format("{:<{}}  {:9.4f}  {:.4f}  {:.4f}  {:{}}",
                     printable(names_.at(std::size_t(one))), width_, score.precision(),
                     score.recall(), score.f1(), score.texts,
                     std::string_view(words_.items).size());
}

Json ScoreTable::json(std::int32_t one) const {
  const ClassScore& score = confusion_.score(one);
  return {{words_.member, names_.at(std::size_t(one))},
          {"precision", score.precision()},
          {"recall", score.recall()},
          {"f1", score.f1()},
          {words_.items, score.texts}};
}

}  // namespace unroll::cli
