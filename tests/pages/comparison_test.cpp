#include "host/pages/comparison.h"

#include <gtest/gtest.h>

#include <sstream>

#include "tests/support/temp_folder.h"

namespace unroll::test {
namespace {

RunHistory history(const std::string& lines) {
  std::istringstream text(lines);
  return read_run_history(text, "metrics");
}

ComparedRun run(const std::string& name, double loss, const nlohmann::json& config) {
  const std::string value = std::to_string(loss);
  return {name,
          history(R"({"event":"train","step":5,"epoch":1,"loss":4.0,"lr":0.1,"seconds":1})"
                  "\n"
                  R"({"event":"valid","step":10,"epoch":1,"loss":)" +
                  value +
                  R"(,"seconds":2})"
                  "\n"
                  R"({"event":"valid","step":20,"epoch":2,"loss":4.5,"seconds":65})"
                  "\n"),
          config};
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (std::size_t at = 0; (at = text.find(part, at)) != text.npos; ++at) ++found;
  return found;
}

TEST(Comparison, LaysCurvesOverEachOtherAndSaysWhatDiffers) {
  const nlohmann::json one = {{"training", {{"lr", 20}, {"clip", 0.25}, {"nhid", {3, 4}}}},
                              {"corpus", "ptb"},
                              {"metrics", {{"step", 1}}}};
  nlohmann::json other = one;
  other["training"]["lr"] = 0.5;
  other["training"]["crf"] = "<new>";
  other["metrics"]["step"] = 2;
  const std::string page = make_comparison({run("a & b", 3, one), run("c", 2, other)});
  EXPECT_TRUE(contains(page, "a &amp; b"));
  EXPECT_TRUE(contains(page, "<th>best validation perplexity</th><td>20.09</td><td>7.39</td>"));
  EXPECT_TRUE(contains(page, "<th>at step</th><td>10</td><td>10</td>"));
  EXPECT_TRUE(contains(page, "<th>time</th><td>1 min 5 s</td>"));
  EXPECT_TRUE(contains(page, "<th>training: lr</th><td>20</td><td>0.5</td>"));
  EXPECT_TRUE(contains(page, "<th>training: crf</th><td>–</td><td>&lt;new&gt;</td>"));
  for (const char* same : {"training: clip", "training: nhid", "corpus", "metrics: step"})
    EXPECT_EQ(page.find(std::string("<th>") + same), std::string::npos) << same;
  // Two charts, each for wide and for narrow screens.
  for (const char* style : {"line runa", "line runb"}) EXPECT_EQ(count(page, style), 4U) << style;
  EXPECT_EQ(count(page, "data-name=\"a &amp; b\""), 4U);
  for (const char* elsewhere : {"http:", "https:", "src=", "@import"})
    EXPECT_EQ(page.find(elsewhere), std::string::npos) << elsewhere;
}

TEST(Comparison, NeedsRunsOfOneKind) {
  ComparedRun texts = run("texts", 1, nullptr);
  texts.history.unit = "texts";
  EXPECT_TRUE(contains(error_of<std::runtime_error>([&] {
                         make_comparison({run("a", 1, nullptr), texts});
                       }),
                       "texts: got losses per texts, expected them per tokens as in a"));
  const std::vector<ComparedRun> many(kMostCompared + 1, texts);
  EXPECT_THROW(make_comparison(many), std::invalid_argument);
  EXPECT_THROW(make_comparison({}), std::invalid_argument);
  EXPECT_TRUE(contains(make_comparison({run("a", 1, nullptr), run("b", 1, nullptr)}),
                       "They are the same."));
  EXPECT_TRUE(contains(make_comparison({{"a", {}}, {"b", {}}}), "Nothing has been logged yet."));
}

}  // namespace
}  // namespace unroll::test
