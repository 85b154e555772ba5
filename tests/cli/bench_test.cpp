/// unroll bench, as a user calls it: on the CPU, on the emulated GPU, and with mistakes.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>

#include "host/bench/report/results.h"
#include "tests/support/program.h"

namespace unroll::test {
namespace {

using benchmark::Result;
using benchmark::Results;

bool has_line(const Results& results, const std::string& start) {
  return std::ranges::any_of(results.about, [&](const auto& l) { return l.starts_with(start); });
}

void expect_sound(const Result& row) {
  SCOPED_TRACE(row.of.shape + " " + row.program + " " + row.algorithm + " " + row.of.pass);
  EXPECT_EQ(row.of.task, "rnn");
  EXPECT_TRUE(row.floor && *row.floor > 0);
  if (row.status != "ok") {
    EXPECT_FALSE(row.median);
    return;
  }
  ASSERT_TRUE(row.median && row.least && row.most && row.tflops && row.peak);
  EXPECT_LE(*row.least, *row.median);
  EXPECT_LE(*row.median, *row.most);
  EXPECT_GT(*row.least, 0);
  EXPECT_EQ(row.samples, 2);
  EXPECT_TRUE(row.noise);
  EXPECT_TRUE(row.reserve_mib && *row.reserve_mib > 0);
  EXPECT_EQ(row.prepare.has_value(), row.of.pass == "forward" && row.program != "cudnn_bare");
}

TEST(BenchRnn, SaysFirstHowLongItTakes) {
  const Output run = run_unroll(
      "bench rnn --device cpu --threads 1 --quick --shapes 3,1,4,7,1 --algorithms stepwise");
  ASSERT_EQ(run.status, 0) << run.err;
  const std::size_t told = run.err.find("1 shapes: this takes about ");
  EXPECT_LT(told, run.err.find("1/1 3x1x4x7x1 lstm")) << run.err;
  EXPECT_TRUE(contains(run.out, "medians of 5 samples")) << run.out;
  EXPECT_TRUE(contains(run_unroll("bench rnn --help").out, "--quick "));
}

TEST(BenchRnn, RefusesAChoiceThatLeavesNothing) {
  const Output none = run_unroll("bench rnn --device cpu --shapes 3,1,4,7,1 --algorithms persist");
  EXPECT_EQ(none.status, 2);
  EXPECT_TRUE(contains(none.err,
                       "unroll: --algorithms: got persist, expected the beginnings of some of: "
                       "stepwise, onednn\n"))
      << none.err;
}

TEST(BenchFloor, SaysWhatItsNumbersAre) {
  const Output floor = run_unroll("bench floor --shapes wlm200");
  EXPECT_TRUE(contains(floor.out, "# microseconds per timestep of all layers; what binds: p prod"));
}

TEST(BenchRnn, MeasuresOnTheCpuAndSavesWhatItPrints) {
  const TempFolder folder;
  const Output run = run_script(
      "unroll bench rnn --device cpu --threads 2 --samples 2 --shapes 6,5,33,40,2 3,1,4,7,1 --cell "
      "lstm gru_before rnn_relu --csv a.csv --html a.html",
      folder.path());
  ASSERT_EQ(run.status, 0) << run.err;
  EXPECT_TRUE(contains(run.err, "saved: a.csv")) << run.err;
  EXPECT_TRUE(contains(run.out, "rnn 6x5x33x40x2: lstm, T 6, B 5, I 33, units 40/40, fp32"));
  const Results results = benchmark::read_csv(folder.path() / "a.csv");
  EXPECT_TRUE(has_line(results, "unroll ")) << "version and commit";
  EXPECT_TRUE(has_line(results, "device: "));
  EXPECT_TRUE(has_line(results, "oneDNN: "));
  EXPECT_TRUE(has_line(results, "fp32 here: large product "));
  std::set<std::string> ours;
  for (const Result& row : results.rows) {
    expect_sound(row);
    if (row.program == "unroll") ours.insert(row.of.shape + row.of.cell + row.of.pass);
  }
  EXPECT_EQ(ours.size(), 2U * 3 * 2);
  EXPECT_TRUE(contains(read_text(folder.path() / "a.html"), "6x5x33x40x2"));

  const Output same = run_script("unroll bench compare a.csv a.csv", folder.path());
  EXPECT_EQ(same.status, 0) << same.err;
}

TEST(BenchRnn, MeasuresTheDirectionAndTheAlgorithmsAskedFor) {
  const TempFolder folder;
  const Output run = run_script(
      "unroll bench rnn --device cpu --samples 2 --shapes 3,2,4,7,1 --direction bwd --algorithms "
      "stepwise --csv a.csv",
      folder.path());
  ASSERT_EQ(run.status, 0) << run.err;
  const Results results = benchmark::read_csv(folder.path() / "a.csv");
  ASSERT_EQ(results.rows.size(), 1U);
  EXPECT_EQ(results.rows[0].of.pass, "backward");
  expect_sound(results.rows[0]);
}

// cuDNN is emulated, too. A case that it does not support is a row that says why.
TEST(BenchRnn, MeasuresOnAGpu) {
  const TempFolder folder;
  const Output run = run_script(
      kEmulated +
          std::string("unroll bench rnn --device cuda --samples 2 --shapes 6,5,24,32,2 --cell lstm "
                      "gru_before --csv a.csv"),
      folder.path());
  ASSERT_EQ(run.status, 0) << run.err;
  const Results results = benchmark::read_csv(folder.path() / "a.csv");
  EXPECT_TRUE(has_line(results, "device: CUDA emulated on the CPU"));
  EXPECT_TRUE(has_line(results, "driver "));
  std::set<std::string> measured;
  for (const Result& row : results.rows) {
    expect_sound(row);
    if (row.status == "ok")
      measured.insert(row.of.cell + " " + row.of.precision + " " + row.algorithm + " " +
                      row.execution);
    if (row.of.cell == "gru_before" && row.algorithm != "stepwise" &&
        row.algorithm != "stepwise:4") {
      EXPECT_TRUE(contains(row.status, "stepwise")) << "names the alternative: " << row.status;
    }
  }
  for (const char* row :
       {"lstm fp32 stepwise graph", "lstm fp32 stepwise:4 graph", "lstm fp32 persistent graph",
        "lstm bf16 persistent graph", "lstm fp32 cudnn:standard graph",
        "lstm fp32 cudnn:standard stream", "lstm fp32 cudnn:standard:packed graph",
        "lstm fp32 cudnn:standard:bare graph", "lstm bf16 cudnn:standard:fp16:bare stream",
        "lstm tf32 cudnn:standard graph", "lstm bf16 stepwise graph",
        "lstm bf16 cudnn:standard:fp16 graph", "gru_before bf16 stepwise graph"})
    EXPECT_TRUE(measured.contains(row)) << row;
}

TEST(BenchRnn, SaysOfABaselineThatIsWrongThatItIs) {
  const TempFolder folder;
  const Output run = run_script(
      kEmulated +
          std::string("UNROLL_EMULATED_CUDNN_WRONG=1 unroll bench rnn --device cuda --samples 2 "
                      "--precision fp32 --shapes 6,5,24,32,1 --algorithms stepwise cudnn:standard "
                      "--csv a.csv"),
      folder.path());
  EXPECT_EQ(run.status, 1) << run.err;
  EXPECT_TRUE(contains(run.err,
                       "unroll: 6 of 8 rows are faults; the first: cudnn cudnn:standard, "
                       "6x5x24x32x1 fp32 forward: wrong: "))
      << run.err;
  const Results results = benchmark::read_csv(folder.path() / "a.csv");
  std::map<std::string, int> rows;
  for (const Result& row : results.rows) {
    EXPECT_EQ(row.status == "ok", row.program == "unroll") << row.status;
    EXPECT_EQ(row.median.has_value(), row.program == "unroll");
    ++rows[row.program];
  }
  EXPECT_EQ(rows, (std::map<std::string, int>{{"unroll", 2}, {"cudnn", 4}, {"cudnn_bare", 2}}));
}

/// How the statuses of an algorithm's rows begin.
std::string status_of(const Results& results, const std::string& algorithm) {
  std::set<std::string> all;
  for (const Result& row : results.rows)
    if (row.algorithm == algorithm) all.insert(row.status.substr(0, row.status.find(':')));
  std::string text;
  for (const std::string& one : all) text += (text.empty() ? "" : ", ") + one;
  return text;
}

// A fault of ours costs only its own rows. Only the persistent algorithm has kernels whose blocks
// wait for each other, so only it has a fault here.
TEST(BenchRnn, GoesOnAfterAFaultOfOurs) {
  const struct { const char *fault, *status; } cases[] = {{"skip", "wrong"}, {"refuse", "failed"}};
  for (const auto& c : cases) {
    SCOPED_TRACE(c.fault);
    const TempFolder folder;
    const Output run =
        run_script(kEmulated + std::string("UNROLL_EMULATED_COOPERATIVE=") + c.fault +
                       " unroll bench rnn --device cuda --samples 2 --precision fp32 bf16 --shapes "
                       "6,5,24,32,1 "
                       "4,3,8,16,1 --algorithms stepwise persistent cudnn:standard --csv a.csv",
                   folder.path());
    EXPECT_EQ(run.status, 1) << run.err;
    EXPECT_TRUE(contains(run.err, "unroll: 8 of ")) << run.err;
    EXPECT_TRUE(contains(run.err, " persistent, 6x5x24x32x1 fp32 forward: ")) << run.err;
    EXPECT_TRUE(contains(run.out, "4x3x8x16x1")) << "the table is printed";
    const Results results = benchmark::read_csv(folder.path() / "a.csv");
    EXPECT_EQ(status_of(results, "stepwise"), "ok");
    EXPECT_EQ(status_of(results, "persistent"), c.status);
    EXPECT_EQ(status_of(results, "cudnn:standard"), "ok");
    for (const Result& row : results.rows) EXPECT_EQ(row.median.has_value(), row.status == "ok");
  }
}

// If nothing works any more, the rest is not tried, and the rows so far are kept.
TEST(BenchRnn, StopsWhereTheDeviceIsLost) {
  const TempFolder folder;
  const Output run = run_script(
      kEmulated +
          std::string("UNROLL_EMULATED_COOPERATIVE=trap unroll bench rnn --device cuda --samples 2 "
                      "--precision fp32 bf16 --shapes 6,5,24,32,1 4,3,8,16,1 --algorithms stepwise "
                      "persistent --csv a.csv"),
      folder.path());
  EXPECT_EQ(run.status, 1);
  EXPECT_TRUE(contains(run.err,
                       "unroll: the device no longer works in this process, after unroll "
                       "persistent: "))
      << run.err;
  const Results results = benchmark::read_csv(folder.path() / "a.csv");
  EXPECT_TRUE(has_line(results, "ended early: the device no longer works in this process"));
  EXPECT_EQ(status_of(results, "persistent"), "failed");
  EXPECT_EQ(status_of(results, "stepwise"), "not measured");
  for (const Result& row : results.rows) EXPECT_EQ(row.of.shape, "6x5x24x32x1");
}

// The first graph that is launched measures a rate.
TEST(BenchRnn, SaysSoWhereRatesCannotBeMeasured) {
  const TempFolder folder;
  const Output run = run_script(
      kEmulated +
          std::string("UNROLL_EMULATED_FAILURE=1 unroll bench rnn --device cuda --samples 2 "
                      "--precision fp32 --shapes 6,5,24,32,1 --algorithms stepwise"),
      folder.path());
  EXPECT_EQ(run.status, 1);
  EXPECT_TRUE(contains(run.out, "# rates of fp32 not measured: CUDA device 0")) << run.out;
  EXPECT_TRUE(contains(run.err, "no longer works in this process, after rates of fp32: "));
}

TEST(BenchRnn, RefusesWhatItCannotMeasure) {
  struct Mistake {
    const char *flags, *got;
  };
  for (const Mistake& mistake :
       {Mistake{"rnn --shapes wlm20", "got 'wlm20'"}, Mistake{"rnn --shapes 1,2,3", "got '1,2,3'"},
        Mistake{"rnn --cell lstn", "got 'lstn'"}, Mistake{"rnn --precision fp64", "got 'fp64'"},
        Mistake{"rnn --device cpu --precision tf32", "got tf32"},
        Mistake{"rnn --direction up", "got 'up'"}, Mistake{"rnn --samples 0", "got 0"},
        Mistake{"rnn --samples many", "got 'many'"}, Mistake{"rnn --shape wlm200", "--shapes"},
        Mistake{"floor --shapes wlm20", "got 'wlm20'"}, Mistake{"rnm", "rnn"},
        Mistake{"compare one.csv", "AFTER"}}) {
    const Output run = run_unroll(std::string("bench ") + mistake.flags);
    EXPECT_EQ(run.status, 2) << mistake.flags;
    EXPECT_TRUE(contains(run.err, mistake.got)) << mistake.flags << ": " << run.err;
    EXPECT_EQ(std::ranges::count(run.err, '\n'), 1) << run.err;
    EXPECT_EQ(run.out, "");
  }
  for (const char* flags :
       {"compare none.csv none.csv",
        "rnn --device cpu --samples 1 --shapes 1,1,1,1,1 --csv /no/folder.csv"}) {
    const Output run = run_unroll(std::string("bench ") + flags);
    EXPECT_EQ(run.status, 1) << flags;
    EXPECT_FALSE(run.err.empty());
  }
}

TEST(BenchFloor, TheLastListOfShapesCounts) {
  const Output run = run_unroll("bench floor --shapes wlm200 wlm1500 --shapes wlm650");
  EXPECT_EQ(run.status, 0) << run.err;
  EXPECT_TRUE(contains(run.out, "wlm650"));
  EXPECT_FALSE(contains(run.out, "wlm200"));
  EXPECT_FALSE(contains(run.out, "wlm1500"));
}

// The rows measured so far are kept.
TEST(BenchRnn, StopsInGoodOrder) {
  const TempFolder folder;
  const Output run =
      run_script(UNROLL_PROGRAM
                 " bench rnn --device cpu --threads 1 --samples 1000000 --shapes 20,8,32,32,1 "
                 "--csv a.csv 2>err & "
                 "for k in $(seq 600); do grep -q checked err && break; sleep 0.1; done; "
                 "kill -TERM $!; wait $!; echo status $?; cat err >&2",
                 folder.path());
  EXPECT_TRUE(contains(run.out, "status 143")) << run.out << run.err;
  EXPECT_GE(benchmark::read_csv(folder.path() / "a.csv").rows.size(), 2U);
}

}  // namespace
}  // namespace unroll::test
