/// How ranks and shards are asked for. tests/faults/ranks_test.py trains with them.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "tests/support/program.h"

namespace unroll::test {
namespace {

using nlohmann::json;

void expect_refused(const std::string& script, int status, const std::string& line) {
  const TempFolder folder;
  const Output result = run_script(script, folder.path());
  EXPECT_EQ(result.status, status) << result.err;
  EXPECT_TRUE(contains(result.err, "unroll: " + line)) << result.err;
  EXPECT_FALSE(std::filesystem::exists(folder.path() / "runs"));
}

TEST(RanksOnTheCommandLine, MistakesAreUsageErrors) {
  expect_refused("unroll train --shards 30 --batch-size 20", 2,
                 "--shards: got 30, expected at most the 20 of --batch-size");
  expect_refused("unroll train --ranks -1", 2, "--ranks: got -1");
  expect_refused("unroll train --ranks 3 --shards 2 --threads 1 --device cpu", 2,
                 "--ranks: got 3 with --shards 2 and --batch-size 64, expected at most as many");
}

TEST(RanksOnTheCommandLine, WrongVariablesOfALauncherAreNamed) {
  const std::string rank = "export RANK=2 WORLD_SIZE=2 MASTER_ADDR=127.0.0.1 MASTER_PORT=29500; ";
  expect_refused(rank + "unroll train", 1, "RANK: got '2', expected a number from 0 to 1");
  expect_refused(
      "export RANK=1 WORLD_SIZE=4 MASTER_ADDR=127.0.0.1 MASTER_PORT=29500; "
      "unroll train --ranks 3",
      2, "--ranks: got 3, expected the 4 of torchrun, or no flag");
}

TEST(RanksOnTheCommandLine, TheDoctorSaysWhatItSees) {
  EXPECT_TRUE(contains(run_unroll("doctor").out, "\nlauncher       none: one rank"));
  EXPECT_TRUE(json::parse(run_unroll("doctor --json").out)["launcher"]["name"].is_null());
  const std::string variables =
      "export OMPI_COMM_WORLD_RANK=3 OMPI_COMM_WORLD_SIZE=4 OMPI_COMM_WORLD_LOCAL_RANK=1 "
      "MASTER_ADDR=node-a MASTER_PORT=7001; ";
  EXPECT_TRUE(contains(
      run_script(variables + "unroll doctor").out,
      "\nlauncher       mpirun: rank 3 of 4, 1 on this machine, which meet at node-a:7001\n"));
  const json report = json::parse(run_script(variables + "unroll doctor --json").out)["launcher"];
  EXPECT_EQ(report["name"], "mpirun");
  EXPECT_EQ(report["rank"], 3);
  EXPECT_EQ(report["ranks"], 4);
  const Output wrong = run_script("export RANK=x WORLD_SIZE=2; unroll doctor");
  EXPECT_EQ(wrong.status, 0);
  EXPECT_TRUE(contains(wrong.out, "\nlauncher       RANK: got 'x', expected a number from 0 to 1"));
}

}  // namespace
}  // namespace unroll::test
