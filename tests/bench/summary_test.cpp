#include "host/bench/report/summary.h"

#include <gtest/gtest.h>

#include <sstream>

#include "host/bench/report/text_table.h"
#include "tests/support/results.h"
#include "tests/support/temp_folder.h"

namespace unroll::test {
namespace {

using benchmark::Case;
using benchmark::CaseSummary;
using benchmark::Mean;
using benchmark::Result;
using benchmark::Results;

Result with_noise(Result row, double noise) {
  row.noise = noise;
  return row;
}

/// Ours, a slower algorithm of ours, and two baselines.
std::vector<Result> rows_of(const Case& of, double ours, double cudnn, double pytorch) {
  return {with_noise(timed(of, "unroll", "stepwise", 2 * ours), 0.01),
          timed(of, "unroll", "stepwise:8", ours), timed(of, "pytorch", "eager", pytorch),
          timed(of, "cudnn", "cudnn:standard", 3 * cudnn),
          timed(of, "cudnn", "cudnn:persist", cudnn)};
}

Results joined(const std::vector<std::vector<Result>>& parts) {
  Results results;
  for (const std::vector<Result>& part : parts)
    results.rows.insert(results.rows.end(), part.begin(), part.end());
  return results;
}

std::vector<std::string> shapes(const std::vector<CaseSummary>& list) {
  std::vector<std::string> names;
  for (const CaseSummary& summary : list) names.push_back(summary.of.shape);
  return names;
}

TEST(Summary, TakesTheFastestOfEachProgram) {
  const std::vector<CaseSummary> list =
      summarize(joined({rows_of(case_of("a"), 8, 10, 9), rows_of(case_of("b"), 8, 4, 40)}));
  ASSERT_EQ(shapes(list), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(list[0].ours.value().algorithm, "stepwise:8");
  ASSERT_EQ(list[0].baselines.size(), 2U);
  EXPECT_EQ(list[0].baselines[0].program, "pytorch");
  EXPECT_EQ(list[0].baselines[1].algorithm, "cudnn:persist");
  EXPECT_EQ(list[0].speed(), 9.0 / 8);
  EXPECT_EQ(list[0].noise, 0.01);
  EXPECT_EQ(list[1].baselines[0].program, "cudnn");
  EXPECT_EQ(list[1].speed(), 0.5);
}

TEST(Summary, KnowsCasesThatDifferInOneThing) {
  std::vector<Case> cases(5, case_of("a"));
  cases[1].pass = "backward";
  cases[2].precision = "bf16";
  cases[3].batch = 21;
  cases[4].hidden = "200";
  Results results;
  for (const Case& of : cases) results.rows.push_back(timed(of, "unroll", "x", 1));
  EXPECT_EQ(summarize(results).size(), 5U);
}

TEST(Losses, BeginWithTheWorst) {
  const std::vector<CaseSummary> list = losses(joined({
      rows_of(case_of("won"), 1, 2, 3),
      rows_of(case_of("slightly"), 1.1, 1, 3),
      rows_of(case_of("badly"), 4, 1, 3),
      // The noise of rows_of is 1 %: 1.009 is within it, 1.011 is not.
      rows_of(case_of("within"), 1.009, 1, 3),
      rows_of(case_of("beyond"), 1.011, 1, 3),
      {refused(case_of("never"), "unroll", "stepwise", "out of memory"),
       timed(case_of("never"), "cudnn", "cudnn:standard", 5)},
      {timed(case_of("alone"), "unroll", "stepwise", 5),
       refused(case_of("alone"), "cudnn", "cudnn:standard", "not supported")},
      {timed(case_of("not ours"), "cudnn", "cudnn:standard", 5)},
  }));
  EXPECT_EQ(shapes(list), (std::vector<std::string>{"never", "badly", "slightly", "beyond"}));
  EXPECT_FALSE(list.at(0).speed());
  EXPECT_EQ(list.at(1).speed(), 0.25);
}

TEST(Losses, WithinNoiseIsNeitherWonNorLost) {
  for (const auto& [cudnn, won, lost] :
       std::vector<std::tuple<double, bool, bool>>{{1.02, true, false},
                                                   {1.005, false, false},
                                                   {0.995, false, false},
                                                   {0.98, false, true}}) {
    const CaseSummary summary = summarize(joined({rows_of(case_of("a"), 1, cudnn, 3)})).at(0);
    EXPECT_EQ(summary.won(), won) << cudnn;
    EXPECT_EQ(summary.lost(), lost) << cudnn;
  }
}

TEST(Means, AreGeometric) {
  Case other = case_of("d");
  other.precision = "bf16";
  const std::vector<Mean> list = means(joined({
      rows_of(case_of("a"), 1, 8, 2),      // cudnn 8, pytorch 2
      rows_of(case_of("b"), 4, 2, 8),      // 0.5, 2
      rows_of(case_of("c"), 10, 20, 160),  // 2, 16
      rows_of(other, 1, 3, 4),             // 3, 4
      {timed(case_of("alone"), "unroll", "stepwise", 5)},
      {refused(case_of("never"), "unroll", "stepwise", "why"),
       timed(case_of("never"), "cudnn", "x", 1)},
  }));
  ASSERT_EQ(list.size(), 4U);
  const auto check = [&](std::size_t k, const char* baseline, const char* precision, int cases,
                         double mean, const char* best, const char* worst) {
    EXPECT_EQ(list[k].baseline, baseline);
    EXPECT_EQ(list[k].precision, precision);
    EXPECT_EQ(list[k].cases, cases);
    EXPECT_NEAR(list[k].mean, mean, 1e-14 * mean) << "a few roundings of logarithms below 3";
    EXPECT_EQ(list[k].best_shape, best);
    EXPECT_EQ(list[k].worst_shape, worst);
  };
  check(0, "cudnn", "fp32", 3, 2, "a", "b");    // the cube root of 8 x 0.5 x 2
  check(1, "pytorch", "fp32", 3, 4, "c", "a");  // the cube root of 2 x 2 x 16
  check(2, "cudnn", "bf16", 1, 3, "d", "d");
  check(3, "pytorch", "bf16", 1, 4, "d", "d");
  EXPECT_EQ(list[0].best, 8);
  EXPECT_EQ(list[0].worst, 0.5);
}

/// The line that contains `part`, its words separated by one space.
std::string line_with(const std::string& text, const std::string& part) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.find(part) == line.npos) continue;
    std::istringstream words(line);
    std::string result;
    for (std::string word; words >> word;) result += (result.empty() ? "" : " ") + word;
    return result;
  }
  return "no line with " + part;
}

void expect_fits(const std::string& text) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    EXPECT_LE(benchmark::width_of(line), benchmark::kTerminalColumns) << line;
    EXPECT_FALSE(line.ends_with(' ')) << line;
    for (const char c : line) EXPECT_GE(static_cast<unsigned char>(c), 0x20) << line;
  }
}

TEST(SummaryText, HasTheNumbers) {
  Results results = joined({rows_of(case_of("a"), 4, 2, 8), rows_of(case_of("b"), 1, 3, 4)});
  Result& ours = results.rows[1];
  ours.least = 3.5;
  ours.most = 1234.4;
  ours.tflops = 0.5;
  ours.peak = 0.25;
  ours.floor = 2;
  ours.prepare = 0.25;
  ours.reserve_mib = 12;
  ours.work_mib = 345.67;
  const std::string losses = losses_text(results), means = means_text(results);
  EXPECT_TRUE(
      contains(losses, "2 cases with a baseline: 1 faster than the best, 0 within noise, 1 sl"));
  EXPECT_EQ(
      line_with(losses, "persist"),
      "a lstm 2x200 fp32 forward cudnn persist graph 2.000 stepwise:8 graph 4.000 0.50 1.0 %");
  EXPECT_EQ(line_with(means, "cudnn"), "rnn lstm fp32 forward cudnn 2 1.22 3.00 b 0.50 a");
  const std::string table = table_text(results);
  EXPECT_EQ(line_with(table, "rnn a"),
            "rnn a: lstm, T 35, B 20, I 200, units 200/200, fp32, forward, noise 1.0 %");
  EXPECT_EQ(line_with(table, "[3.500"),
            "unroll stepwise:8 graph 4.000 [3.500, 1234] 0.50 0.500 25 % 2.000 2.00 0.250 12.00 "
            "345.7");
  for (const std::string& text : {losses, means, table}) expect_fits(text);
  EXPECT_EQ(losses_text(joined({rows_of(case_of("b"), 1, 3, 4)})),
            "1 cases with a baseline: 1 faster than the best, 0 within noise, 0 slower.\n");
  EXPECT_TRUE(contains(benchmark::losses_text({}), "No case has both"));
  EXPECT_EQ(benchmark::means_text({}), "");
}

TEST(SummaryText, FitsWhateverTheNames) {
  const std::string words = "\x1b[31mlång: \n";
  std::string name;
  while (name.size() < 300) name += words;
  Case of = case_of(name);
  of.hidden = "1024/1024/512/1024/1024/512/1024/1024/1024";
  Results results = joined({rows_of(of, 4, 2, 8), {refused(of, "cudnn", name, name)}});
  results.rows[1].algorithm = name;
  for (const std::string& text : {losses_text(results), means_text(results), table_text(results)})
    expect_fits(text);
  EXPECT_TRUE(contains(table_text(results), "…"));
}

TEST(SummaryText, ShowsNamesThatATerminalWouldObey) {
  const Case of = case_of("a\n\x1b[2J\xC2\x9B\xFFz");
  const std::string shown = "a\\x0a\\x1b[2J\\u009b\\xffz";
  const Results results = joined({rows_of(of, 4, 2, 8)});
  for (const std::string& text :
       {losses_text(results), table_text(results), benchmark::comparison_text(results, results)})
    EXPECT_EQ(text.find_first_of("\x1b\xC2\xFF"), std::string::npos) << text;
  EXPECT_TRUE(contains(table_text(results), shown)) << table_text(results);
}

std::string compared(const std::vector<Result>& before, const std::vector<Result>& after) {
  const std::string text = benchmark::comparison_text({{}, before}, {{}, after});
  expect_fits(text);
  return text;
}

Result measured(double median, double least, double noise) {
  Result row = with_noise(timed(case_of("a"), "unroll", "stepwise", median), noise);
  row.least = least;
  row.most = 10 * median;  // an interruption, which must hide no difference
  return row;
}

TEST(Comparison, HoldsADifferenceAgainstTheNoise) {
  const auto verdict = [](const Result& before, const Result& after) {
    const std::string text = compared({before}, {after});
    return text.substr(0, text.find('.'));
  };
  const std::string slower = "1 rows in both: 1 slower, 0 faster, 0 within noise";
  const std::string faster = "1 rows in both: 0 slower, 1 faster, 0 within noise";
  const std::string still = "1 rows in both: 0 slower, 0 faster, 1 within noise";
  EXPECT_EQ(verdict(measured(100, 100, 0.02), measured(103, 103, 0.01)), slower);
  EXPECT_EQ(verdict(measured(100, 100, 0.02), measured(97, 97, 0.01)), faster);
  EXPECT_EQ(verdict(measured(100, 100, 0.02), measured(101.9, 101.9, 0.01)), still);
  EXPECT_EQ(verdict(measured(100, 100, 0.01), measured(101.9, 101.9, 0.02)), still);
  EXPECT_EQ(verdict(measured(100, 100, 0.01), measured(101.9, 101.9, 0.01)), slower);
  EXPECT_EQ(verdict(measured(100, 97, 0.01), measured(102.9, 102.9, 0.01)), still)
      << "the minimum lies 3 % below";
  EXPECT_EQ(verdict(measured(100, 97, 0.01), measured(103.1, 103.1, 0.01)), slower);
  Result unknown = timed(case_of("a"), "unroll", "stepwise", 100);
  EXPECT_TRUE(contains(verdict(unknown, timed(case_of("a"), "unroll", "stepwise", 200)),
                       "1 without noise or minimum to judge by"));
}

TEST(Comparison, ListsWhatMovedByItsSize) {
  const auto row = [](const char* shape, double median) {
    return with_noise(timed(case_of(shape), "unroll", "stepwise:8", median), 0.01);
  };
  const std::string text =
      compared({row("a", 100), row("b", 100), row("c", 100), row("d", 100), row("gone", 1),
                row("stops", 7), refused(case_of("never"), "unroll", "x", "why")},
               {row("d", 100.5), row("c", 50), row("b", 150), row("a", 110), row("new", 1),
                refused(case_of("stops"), "unroll", "stepwise:8", "out of memory"),
                refused(case_of("never"), "unroll", "x", "why")});
  EXPECT_TRUE(
      contains(text, "6 rows in both: 2 slower, 1 faster, 1 within noise, 1 without times."));
  EXPECT_EQ(line_with(text, "rnn b"),
            "rnn b lstm 35x20x200 200/200 fp32 forward unroll stepwise:8 graph 100.0 150.0 1.500 "
            "1.0 %");
  EXPECT_LT(text.find("rnn b"), text.find("rnn a")) << "the larger first";
  EXPECT_LT(text.find("Slower"), text.find("rnn b"));
  EXPECT_LT(text.find("rnn a"), text.find("Faster"));
  EXPECT_LT(text.find("Faster"), text.find("rnn c"));
  EXPECT_TRUE(contains(line_with(text, "rnn stops"), "7.000 none: out of memory"));
  EXPECT_LT(text.find("Only before, 1 row:"), text.find("rnn gone"));
  EXPECT_LT(text.find("Only after, 1 row:"), text.find("rnn new"));
  EXPECT_FALSE(contains(text, "rnn d"));
  EXPECT_FALSE(contains(text, "Warning"));
}

TEST(Comparison, SaysWhatElseDiffers) {
  const std::vector<Result> rows = {measured(1, 1, 0)};
  const std::string text =
      benchmark::comparison_text({{"driver 1", "the same", "unroll 0, commit a"}, rows},
                                 {{"the same", "driver 2", "unroll 0, commit b"}, rows});
  EXPECT_TRUE(contains(text,
                       "Warning: what the times depend on is not the same:\n"
                       "  before: driver 1\n  after:  driver 2\n"));
  EXPECT_FALSE(contains(text, ": the same"));
}

TEST(Comparison, NeedsSomethingInCommon) {
  const std::vector<Result> rows = {measured(1, 1, 0)};
  for (int k = 0; k < 4; ++k) {
    std::vector<Result> others = rows;
    if (k == 0) others[0].of.pass = "backward";
    if (k == 1) others[0].program = "cudnn";
    if (k == 2) others[0].algorithm = "other";
    if (k == 3) others[0].execution = "stream";
    EXPECT_TRUE(contains(error_of<std::runtime_error>([&] { compared(rows, others); }),
                         "nothing to compare: 1 rows before and 1 after"));
  }
}

}  // namespace
}  // namespace unroll::test
