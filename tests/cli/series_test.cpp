/// unroll train --task series and what follows from end to end, and bad tables.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "tests/support/bad_input.h"

namespace unroll::test {
namespace {

/// Months of two waves, of which the second is a quarter behind, and a note.
std::string wave_table(int rows) {
  std::ostringstream text;
  text << "month,\"load, kW\",other,note\r\n";
  for (int k = 0; k < rows; ++k)
    text << 1990 + k / 12 << '-' << k % 12 + 1 << ',' << 50 + 20 * std::sin(k * 0.5236) << ','
         << std::cos(k * 0.5236) << ",\"a \"\"note\"\", " << k << "\"\r\n";
  return text.str();
}

struct TimeSeries : ::testing::Test {
  TimeSeries() { folder.write("waves.csv", wave_table(120)); }
  Output script(const std::string& text) const { return run_script(text, folder.path()); }
  Output train(const std::string& flags = "") const {
    return script(
        "unroll train --task series --data waves.csv --target 'load, kW' --save run --device cpu "
        "--threads 1 --bptt 12 --horizon 6 --nhid 12 --epochs 40 " +
        flags);
  }

  TempFolder folder;
};

TEST_F(TimeSeries, TrainsEvaluatesForecastsAndReports) {
  const Output trained = train("--json");
  ASSERT_EQ(trained.status, 0) << trained.err;
  EXPECT_TRUE(contains(trained.err, "series: waves.csv, 120 rows"));
  EXPECT_TRUE(contains(trained.err, "target 'load, kW': mean 50"));
  EXPECT_TRUE(contains(trained.err, "| valid mse "));
  EXPECT_FALSE(contains(trained.err, "ppl"));
  const auto result = nlohmann::json::parse(trained.out);
  EXPECT_LT(result.at("test_mse"), 20);  // of a variance of 200

  const Output measured = script("unroll eval --checkpoint run --season 12 --json");
  ASSERT_EQ(measured.status, 0) << measured.err;
  const auto evaluation = nlohmann::json::parse(measured.out);
  EXPECT_EQ(evaluation.at("first_row"), 103);
  EXPECT_EQ(evaluation.at("last_row"), 120);
  EXPECT_EQ(evaluation.at("forecasts"), 13);
  EXPECT_LT(evaluation.at("model").at("mse"), evaluation.at("naive").at("mse"));
  EXPECT_LT(evaluation.at("seasonal_naive").at("mse"), 1e-3);  // the waves have 12 rows
  EXPECT_FALSE(evaluation.contains("coverage"));
  const Output table = script("unroll eval --checkpoint run");
  EXPECT_TRUE(contains(table.out, "| load, kW | rows 103 to 120 | 13 forecasts of 6 rows\n"));
  EXPECT_FALSE(contains(table.out, "rows ago"));

  const Output forecast = script("unroll forecast --checkpoint run --steps 30 --csv");
  ASSERT_EQ(forecast.status, 0) << forecast.err;
  std::istringstream lines(forecast.out);
  std::string line;
  std::getline(lines, line);
  EXPECT_EQ(line, "step,\"load, kW\"");
  int steps = 0;
  for (; std::getline(lines, line); ++steps) {
    EXPECT_EQ(line.substr(0, line.find(',')), std::to_string(steps + 1));
    const double expected = 50 + 20 * std::sin((120 + steps) * 0.5236);
    if (steps < 6) {
      EXPECT_NEAR(std::stod(line.substr(line.find(',') + 1)), expected, 12) << line;
    }
  }
  EXPECT_EQ(steps, 30);
  EXPECT_EQ(script("unroll forecast --checkpoint run --steps 30 --csv").out, forecast.out);
  EXPECT_TRUE(contains(script("unroll forecast --checkpoint run").out, "     6 "));
  EXPECT_FALSE(contains(script("unroll forecast --checkpoint run").out, "     7 "));

  ASSERT_EQ(script("unroll report run").status, 0);
  const std::string page = read_text(folder.path() / "run/report.html");
  EXPECT_TRUE(contains(page, "Validation mean squared error"));
  EXPECT_TRUE(contains(page, "Windows per second"));
  EXPECT_FALSE(contains(page, "perplexity"));
  EXPECT_FALSE(contains(page, "nats"));
}

TEST_F(TimeSeries, OnlyTheLastRowsDecideAForecast) {
  ASSERT_EQ(train().status, 0);
  const std::string all = wave_table(120);
  std::size_t at = all.find('\n') + 1;
  const std::string header = all.substr(0, at);
  for (int k = 0; k < 120 - 12; ++k) at = all.find('\n', at) + 1;
  folder.write("last.csv", header + all.substr(at));
  const std::string whole = script("unroll forecast --checkpoint run --steps 9").out;
  EXPECT_EQ(script("unroll forecast --checkpoint run --steps 9 --data last.csv").out, whole);
  folder.write("more.csv", wave_table(123));
  EXPECT_NE(script("unroll forecast --checkpoint run --steps 9 --data more.csv").out, whole);
}

// A file that goes on with the series of the training is measured where it is new.
TEST_F(TimeSeries, OnlyUnseenRowsAreMeasured) {
  ASSERT_EQ(train().status, 0);
  const auto rows = [&](const std::string& flags) {
    return nlohmann::json::parse(script("unroll eval --checkpoint run --json " + flags).out);
  };
  folder.write("more.csv", wave_table(140));
  EXPECT_EQ(rows("--data more.csv").at("first_row"), 103);
  EXPECT_EQ(rows("--data more.csv").at("last_row"), 140);
  std::string other = wave_table(60);
  other.replace(other.find("1990-1,50"), 9, "1990-1,51");
  folder.write("other.csv", other);
  EXPECT_EQ(rows("--data other.csv").at("first_row"), 13);
  const std::string warning =
      "warning: other.csv does not begin with the rows that the model has learned from: if they "
      "are among those that are forecast, the errors are too small\n";
  EXPECT_TRUE(contains(script("unroll eval --checkpoint run --data other.csv").err, warning));
  EXPECT_FALSE(contains(script("unroll eval --checkpoint run --data more.csv").err, "warning"));
  EXPECT_EQ(rows("--data other.csv --season 24").at("first_row"), 25);
}

TEST_F(TimeSeries, QuantilesAreLearnedWithTheirCoverage) {
  const Output trained = train("--quantiles 0.1,0.5,0.9 --inputs other --json");
  ASSERT_EQ(trained.status, 0) << trained.err;
  EXPECT_TRUE(contains(trained.err, "| valid pinball "));
  EXPECT_TRUE(contains(trained.err, "input  'other': mean "));
  EXPECT_TRUE(contains(trained.err, "loss   of all 2 columns in training, else of the target"));
  EXPECT_TRUE(nlohmann::json::parse(trained.out).contains("test_pinball"));
  const auto evaluation =
      nlohmann::json::parse(script("unroll eval --checkpoint run --season 12 --json").out);
  EXPECT_LT(evaluation.at("model").at("pinball"), evaluation.at("naive").at("pinball"));
  ASSERT_EQ(evaluation.at("coverage").size(), 3U);
  EXPECT_EQ(evaluation.at("coverage")[2].at("quantile"), 0.9);
  EXPECT_LE(evaluation.at("coverage")[0].at("at_or_below"),
            evaluation.at("coverage")[2].at("at_or_below"));
  EXPECT_TRUE(contains(script("unroll eval --checkpoint run").out, "at or below quantile 0.9: "));
  const Output forecast = script("unroll forecast --checkpoint run --steps 8 --csv");
  EXPECT_TRUE(contains(forecast.out, "step,\"load, kW\",q0.1,q0.5,q0.9\n1,"));
  EXPECT_TRUE(contains(forecast.out, "\n8,"));
}

TEST_F(TimeSeries, ResumesWithTheSameData) {
  ASSERT_EQ(train("--inputs other").status, 0);
  const Output more = script("unroll train --save run --resume --epochs 41");
  ASSERT_EQ(more.status, 0) << more.err;
  EXPECT_TRUE(contains(more.out, "| end of epoch  41 |"));
  const Output target = script("unroll train --save run --resume --target other");
  EXPECT_EQ(target.status, 2);
  EXPECT_TRUE(contains(target.err, "--target: got other, expected load, kW"));
  EXPECT_EQ(script("unroll train --save run --resume --inputs other,other2").status, 2);
  EXPECT_EQ(script("unroll train --save run --resume --quantiles 0.5").status, 2);
  folder.write("waves.csv", wave_table(121));
  const Output other = script("unroll train --save run --resume --epochs 42");
  EXPECT_EQ(other.status, 1);
  EXPECT_TRUE(contains(other.err, "is not the series that the run was begun with"));
}

TEST_F(TimeSeries, HelpShowsItsFlags) {
  const std::string help = run_unroll("train --task series --help").out;
  for (const char* flag : {"--target", "--inputs", "--horizon", "--quantiles", "--bptt"})
    EXPECT_TRUE(contains(help, flag)) << flag;
  for (const char* flag : {"--tied", "--tokenizer", "--emsize", "--pooling", "--vocab-size"})
    EXPECT_FALSE(contains(help, flag)) << flag;
  EXPECT_FALSE(contains(run_unroll("train --help").out, "--quantiles"));
}

/// With series.csv and a run that was trained on it.
class BadSeries : public BadInputs {
 protected:
  static void SetUpTestSuite() {
    BadInputs::SetUpTestSuite();
    std::string table = "t,a,b\n";
    for (int k = 0; k < 60; ++k)
      table += std::to_string(k) + "," + std::to_string(k % 7) + "," + std::to_string(k % 5) + "\n";
    std::ofstream(path("series.csv")) << table;
    const Output trained = script(forecaster("series.csv", "--save forecaster"));
    ASSERT_EQ(trained.status, 0) << trained.err;
  }
  static std::string forecaster(const std::string& data, const std::string& flags = "") {
    return "unroll train --task series --save new --threads 1 --nhid 3 --epochs 1 --bptt 4 "
           "--horizon 3 --target a --data " +
           data + " " + flags;
  }
};

TEST_F(BadSeries, Tables) {
  const std::string t = forecaster("bad.csv");
  const auto with = [](const std::string& change) {
    return "sed '" + change + "' series.csv > bad.csv";
  };
  check({
      {"empty file", ": > bad.csv", t, 1, "bad.csv: is empty, expected a line with the names"},
      {"only a header", "head -1 series.csv > bad.csv", t, 1,
       "bad.csv: got only a line with names"},
      {"no such file", "", forecaster("none.csv"), 1, "none.csv"},
      {"a folder", "", forecaster("data"), 1, "data"},
      {"ragged row", with("9s/.*/7,0/"), t, 1,
       "bad.csv: line 9: got 2 cells, expected 3 as in line"},
      {"more cells", with("9s/$/,1/"), t, 1, "bad.csv: line 9: got 4 cells, expected 3"},
      {"empty cell", with("9s/.*/7,,2/"), t, 1,
       "bad.csv: line 9: column 'a': is empty, expected a"},
      {"words", with("9s/.*/7,seven,2/"), t, 1,
       "line 9: column 'a': got 'seven', expected a number"},
      {"not a number", with("9s/.*/7,nan,2/"), t, 1,
       "line 9: column 'a': got 'nan', expected a fin"},
      {"infinite", with("9s/.*/7,inf,2/"), t, 1,
       "line 9: column 'a': got 'inf', expected a finite"},
      {"huge", with("9s/.*/7,1e300,2/"), t, 1,
       "line 9: column 'a': got '1e300', expected 0 or a nu"},
      {"huge in the test part", with("60s/.*/7,1e30,2/"), t, 1,
       "line 60: column 'a': got 1e+30, expected a number within 1e+06 deviations"},
      {"constant", with("2,$s/,[0-9]*,/,4,/"), t, 1,
       "bad.csv: column 'a': got the same number in all 42 rows of the training part"},
      {"short for a window", "head -6 series.csv > bad.csv", t, 1,
       "there: a window and what is learned after it (--bptt, --horizon)"},
      {"short for a test", "head -13 series.csv > bad.csv", t, 1,
       "the test part has 2, expected at least 3 there: a forecast (--horizon, --test-fraction)"},
      {"names twice", with("1s/b/a/"), t, 1, "line 1: got the column 'a' twice, expected it once"},
      {"semicolons", with("s/,/;/g"), t, 1, "line 1: got no comma in 't;a;b', expected commas"},
      {"compressed", "gzip -c series.csv > bad.csv", t, 1, "bad.csv"},
      {"no such target", "", forecaster("series.csv", "--target aa"), 1,
       "line 1: got no column 'aa', expected one of 't', 'a', 'b'; did you mean a?"},
      {"no such input", "", forecaster("series.csv", "--inputs b,zebra"), 1, "no column 'zebra'"},
      {"not learned", with("1s/a/x/"), "unroll eval --checkpoint forecaster --data bad.csv", 1,
       "bad.csv: line 1: got no column 'a', expected one of 't', 'x', 'b'"},
      {"nothing new", "head -52 series.csv > bad.csv",
       "unroll eval --checkpoint forecaster --data bad.csv", 1,
       "got 0 rows after the 51 that the model has learned from, expected at least 3 to forecast"},
      {"too little", "sed -n '1p;5,9p' series.csv > bad.csv",
       "unroll eval --checkpoint forecaster --data bad.csv", 1,
       "got 1 rows after a window of 4, expected at least 3 to forecast"},
      {"no history", "sed -n '1,4p' series.csv > bad.csv",
       "unroll forecast --checkpoint forecaster --data bad.csv", 1,
       "bad.csv: got 3 rows, expected at least a window of 4"},
      {"bad history", with("9s/.*/7,x,2/"),
       "unroll forecast --checkpoint forecaster --data bad.csv", 1, "bad.csv: line 9: column 'a'"},
  });
}

TEST_F(BadSeries, FlagsAndTasks) {
  const auto flags = [](const std::string& more) { return forecaster("series.csv", more); };
  check({
      {"no data", "", "unroll train --task series --save new --target a", 2,
       "--data: got none with --task series, expected a CSV file"},
      {"no target", "", "unroll train --task series --save new --data series.csv", 2,
       "--target: got none with --task series, expected the name of a column"},
      {"input twice", "", flags("--inputs b,b"), 2, "--inputs: got 'b' twice"},
      {"no horizon", "", flags("--horizon 0"), 2,
       "--horizon: got 0, expected a number of at least"},
      {"no window", "", flags("--bptt 0"), 2, "--bptt: got 0"},
      {"quantile 0", "", flags("--quantiles 0,0.5"), 2, "--quantiles: got 0,0.5, expected at most"},
      {"quantile 1", "", flags("--quantiles 0.5,1"), 2, "--quantiles: got 0.5,1, expected at most"},
      {"unsorted quantiles", "", flags("--quantiles 0.9,0.1"), 2, "--quantiles: got 0.9,0.1"},
      {"equal quantiles", "", flags("--quantiles 0.5,0.5"), 2, "--quantiles: got 0.5,0.5"},
      {"quantile in words", "", flags("--quantiles half"), 2, "--quantiles: got 'half', expected"},
      {"quantile nan", "", flags("--quantiles nan"), 2, "--quantiles: got nan"},
      {"all for tests", "", flags("--test-fraction 0.9"), 2, "expected less than 1 together"},
      {"another's flag", "", flags("--tokenizer word"), 2,
       "--tokenizer: got --task series, expected --task language_model or classify"},
      {"flag of a series", "", "unroll train --save new --horizon 3", 2,
       "--horizon: got --task language_model, expected --task series: no other"},
      {"not a forecaster", "", "unroll forecast --checkpoint run", 1,
       "got a model of the task language_model, expected series"},
      {"no language model", "", "unroll generate --checkpoint forecaster", 1,
       "got a model of the task series, expected language_model"},
      {"no predictor", "", "unroll predict --checkpoint forecaster --text a", 1,
       "got a model of the task series, expected language_model"},
      {"season of a text", "", "unroll eval --checkpoint run --season 4 --data data/test.txt", 2,
       "--season: got one for a model of the task language_model, expected series"},
      {"long season", "", "unroll eval --checkpoint forecaster --season 58", 1,
       "series.csv: got 60 rows, expected at least 61: --season 58 and a forecast of 3"},
      {"a cache", "", flags("--cache-dir $CACHE"), 2,
       "--cache-dir: got --task series, expected --task language_model: no other has a cache"},
      {"a cache of a resumed run", "",
       "unroll train --save forecaster --resume --epochs 2 --cache-dir $CACHE", 2,
       "--cache-dir: got --task series"},
      {"negative season", "", "unroll eval --checkpoint forecaster --season -1", 2,
       "--season: got -1"},
      {"no steps", "", "unroll forecast --checkpoint forecaster --steps 0", 2, "--steps: got 0"},
      {"no checkpoint", "", "unroll forecast", 2, "--checkpoint"},
  });
}

}  // namespace
}  // namespace unroll::test
