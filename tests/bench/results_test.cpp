#include "host/bench/report/results.h"

#include <gtest/gtest.h>

#include <limits>

#include "tests/support/results.h"
#include "tests/support/temp_folder.h"

namespace unroll::test {
namespace {

using benchmark::Result;
using benchmark::Results;
using benchmark::to_csv;

constexpr const char* kHeader =
    "task,shape,cell,T,B,I,hidden,precision,pass,program,algorithm,execution,status,us_per_step,"
    "us_min,us_max,samples,noise,prepare_us,speed,tflops,peak_share,floor_us,floor_ratio,"
    "reserve_mib,work_mib";

Results read(const std::string& text) {
  const TempFolder folder;
  return benchmark::read_csv(folder.write("r.csv", text));
}

/// The error of read_csv, without the folder.
std::string error(const std::string& text) {
  const std::string all = error_of<std::runtime_error>([&] { read(text); });
  const std::size_t at = all.find("r.csv");
  return at == all.npos ? all : all.substr(at);
}

/// A row with a value in every member, and a baseline's row with only a time.
Results example() {
  Result ours = timed(case_of("wlm200"), "unroll", "stepwise:8", 12.5);
  ours.least = 12.25;
  ours.most = 14;
  ours.samples = 20;
  ours.noise = 0.0125;
  ours.prepare = 1.5;
  ours.tflops = 3.25;
  ours.peak = 0.5;
  ours.floor = 5;
  ours.reserve_mib = 4.25;
  ours.work_mib = 0.5;
  return {.about = {"a device", "clocks"},
          .rows = {ours, timed(case_of("wlm200"), "cudnn", "cudnn:standard", 10)}};
}

TEST(ResultsCsv, HasTheColumnsInTheirOrder) {
  EXPECT_EQ(benchmark::csv_header(), kHeader);
  EXPECT_EQ(to_csv(example()),
            "# a device\n# clocks\n" + std::string(kHeader) +
                "\nrnn,wlm200,lstm,35,20,200,200/200,fp32,forward,unroll,stepwise:8,graph,ok,12.5,"
                "12.25,14,20,0.0125,1.5,0.8,3.25,0.5,5,2.5,4.25,0.5\n"
                "rnn,wlm200,lstm,35,20,200,200/200,fp32,forward,cudnn,cudnn:standard,graph,ok,10,,,"
                "0,,,1,,,,,,\n");
}

TEST(ResultsCsv, IsReadBackAsItWas) {
  const Results before = example(), after = read(to_csv(before));
  EXPECT_EQ(after.about, before.about);
  ASSERT_EQ(after.rows.size(), 2U);
  for (std::size_t k = 0; k < 2; ++k) {
    const Result &a = before.rows[k], &b = after.rows[k];
    EXPECT_EQ(a.of, b.of);
    EXPECT_EQ(a.program, b.program);
    EXPECT_EQ(a.algorithm, b.algorithm);
    EXPECT_EQ(a.execution, b.execution);
    EXPECT_EQ(a.status, b.status);
    EXPECT_EQ(a.median, b.median);
    EXPECT_EQ(a.least, b.least);
    EXPECT_EQ(a.most, b.most);
    EXPECT_EQ(a.samples, b.samples);
    EXPECT_EQ(a.noise, b.noise);
    EXPECT_EQ(a.prepare, b.prepare);
    EXPECT_EQ(a.tflops, b.tflops);
    EXPECT_EQ(a.peak, b.peak);
    EXPECT_EQ(a.floor, b.floor);
    EXPECT_EQ(a.reserve_mib, b.reserve_mib);
    EXPECT_EQ(a.work_mib, b.work_mib);
  }
}

TEST(ResultsCsv, GivesTheSameTextAgain) {
  Results results = example();
  results.about = {"", "two\nlines", "# twice"};
  results.rows[0].of.shape = "#a, \"b\"\r\nc";
  results.rows[0].status = "\"";
  results.rows[0].median = 1.0 / 3;  // more digits than the CSV has
  results.rows[0].floor = 2e-7 / 3;
  results.rows[1].of = results.rows[0].of;
  results.rows[1].median = 1e10 / 3;
  const std::string text = to_csv(results);
  const Results after = read(text);
  EXPECT_EQ(to_csv(after), text);
  EXPECT_EQ(after.rows.at(0).of.shape, results.rows[0].of.shape);
  EXPECT_EQ(after.rows.at(0).status, "\"");
  // Six digits: half a unit of the sixth digit of a value that begins with 3.
  EXPECT_NEAR(after.rows.at(0).median.value_or(0), 1.0 / 3, 5.1e-7);
}

TEST(ResultsCsv, LeavesOutWhatIsNotANumber) {
  Results results = example();
  results.rows[0].tflops = std::numeric_limits<double>::quiet_NaN();
  results.rows[0].peak = std::numeric_limits<double>::infinity();
  results.rows[1].median.reset();
  results.rows[1].status = "refused";
  const Results after = read(to_csv(results));
  EXPECT_FALSE(after.rows.at(0).tflops);
  EXPECT_FALSE(after.rows.at(0).peak);
  EXPECT_FALSE(after.rows.at(1).median);
}

TEST(ResultsCsv, ReadsFilesThatFollowEachOther) {
  const std::string one = to_csv(example());
  const std::string other =
      "# clocks\n# PyTorch\nprogram,algorithm,execution,us_per_step,pass,precision,hidden,I,B,T,"
      "cell,shape,task,remark\npytorch,eager,,2e1,step,bf16,200,10,9,8,gru,\"a,b\",lm,passed "
      "over\n";
  const Results both = read(one + other + "\n\n" + one);
  EXPECT_EQ(both.about, (std::vector<std::string>{"a device", "clocks", "PyTorch"}));
  ASSERT_EQ(both.rows.size(), 5U);
  const Result& row = both.rows[2];
  EXPECT_EQ(row.of, (benchmark::Case{"lm", "a,b", "gru", 8, 9, 10, "200", "bf16", "step"}));
  EXPECT_EQ(row.program, "pytorch");
  EXPECT_EQ(row.median, 20);
  EXPECT_EQ(row.status, "ok");
  EXPECT_EQ(both.rows[4].algorithm, "cudnn:standard");
}

TEST(ResultsCsv, ReadsOtherLineEnds) {
  const std::string text = to_csv(example());
  std::string windows;
  for (const char c : text) windows += c == '\n' ? std::string("\r\n") : std::string(1, c);
  EXPECT_EQ(to_csv(read(windows)), text);
  EXPECT_EQ(to_csv(read("# a device\r\r\n" + text)), text);
  EXPECT_EQ(to_csv(read(text.substr(0, text.size() - 1))), text);
  EXPECT_EQ(to_csv(read(windows.substr(0, windows.size() - 1))), text);
  EXPECT_EQ(read(std::string(kHeader) + "\n").rows.size(), 0U) << "a run that was cut short";
}

/// Names the line, what was got and what was expected.
TEST(ResultsCsv, SaysWhatIsWrong) {
  const std::string head = std::string("# about\n") + kHeader + "\n";
  const auto row = [](const std::string& from, const std::string& to) {
    std::string text =
        "rnn,s,lstm,35,20,200,200,fp32,forward,unroll,stepwise,graph,ok,12,11,13,20,.01,1,9,3,.5,5,"
        "9,4,2\n";
    if (!from.empty()) text.replace(text.find(from), from.size(), to);
    return text;
  };
  ASSERT_EQ(error(head + row("", "")), "no exception");
  EXPECT_EQ(error(""), "r.csv:1: got no header, expected " + std::string(kHeader));
  EXPECT_TRUE(contains(error("# about\n"), "got no header"));
  EXPECT_TRUE(contains(error(row("", "")), "r.csv:1: got a header without task, expected task,sh"));
  EXPECT_TRUE(
      contains(error("task," + std::string(kHeader)), "r.csv:1: got the column 'task' twice"));
  EXPECT_TRUE(contains(error("x,x," + std::string(kHeader) + "\n"), "the column 'x' twice"));
  EXPECT_EQ(error(head + "\n" + row(",2\n", "\n")), "r.csv:4: got 25 fields, expected 26");
  EXPECT_EQ(error(head + row(",2\n", ",2,\n")), "r.csv:3: got 27 fields, expected 26");
  EXPECT_EQ(error(head + "\"a\nb\",\n"), "r.csv:3: got 2 fields, expected 26");
  EXPECT_EQ(error(head + row("rnn", "\"r\nn\"") + "x\n"), "r.csv:5: got 1 fields, expected 26");
  EXPECT_EQ(error(head + row("rnn", "")), "r.csv:3: task: got '', expected a name");
  const std::string count = ", expected a whole number above 0";
  for (const char* bad : {"0", "-1", "x", "", "3.5", "1e3", " 3", "99999999999999999999"})
    EXPECT_EQ(error(head + row(",35,", std::string(",") + bad + ",")),
              "r.csv:3: T: got '" + std::string(bad) + "'" + count);
  for (const char* bad : {"0", "-1", "nan", "inf", "-inf", "1e999", "0x1p3", "1,", "1 ", "+1"})
    EXPECT_TRUE(contains(
        error(head + row(",12,", std::string(",\"") + bad + "\",")),
        "r.csv:3: us_per_step: got '" + std::string(bad) + "', expected a number above 0"));
  EXPECT_TRUE(
      contains(error(head + row(".01", "-.01")), "noise: got '-.01', expected a number, n"));
  EXPECT_TRUE(
      contains(error(head + row(",20,.", ",-20,.")), "samples: got '-20', expected a whole"));
  EXPECT_TRUE(contains(error(head + row("rnn", "r\"n\"")), "r.csv:3: got a quote inside 'r'"));
  EXPECT_TRUE(
      contains(error(head + row("rnn", "\"rnn\"x")), "got more after the quoted field 'rn"));
  EXPECT_TRUE(contains(error(head + row("rnn", "\"rnn")), "r.csv:3: a quoted field does not end"));
  EXPECT_EQ(error(head + row(",9,3", ",not read,3")), "no exception") << "speed is derived";
}

TEST(ResultsCsv, NamesAFileThatCannotBeRead) {
  const TempFolder folder;
  for (const std::filesystem::path& file : {folder.path(), folder.path() / "none.csv"})
    EXPECT_EQ(error_of<std::runtime_error>([&] { benchmark::read_csv(file); }),
              file.string() + ": cannot be read, expected a CSV");
}

}  // namespace
}  // namespace unroll::test
