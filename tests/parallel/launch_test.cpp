#include "host/parallel/launch.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

#include "tests/support/temp_folder.h"

namespace unroll::test {
namespace {

using LaunchVariables = std::map<std::string, std::string>;

std::optional<Launch> launch_by(const LaunchVariables& variables) {
  return launch_of([&](const char* name) -> const char* {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  });
}

void expect_launch(const LaunchVariables& variables, const Launch& expected) {
  const std::optional<Launch> got = launch_by(variables);
  ASSERT_TRUE(got);
  EXPECT_EQ(got->launcher, expected.launcher);
  EXPECT_EQ(got->rank, expected.rank);
  EXPECT_EQ(got->ranks, expected.ranks);
  EXPECT_EQ(got->local_rank, expected.local_rank);
  EXPECT_EQ(got->first.host, expected.first.host);
  if (expected.first.port != 0) {
    EXPECT_EQ(got->first.port, expected.first.port);
  }
  EXPECT_GT(got->first.port, 1024);
}

const LaunchVariables kTorchrun = {{"RANK", "5"},
                                   {"WORLD_SIZE", "8"},
                                   {"LOCAL_RANK", "1"},
                                   {"MASTER_ADDR", "node-a"},
                                   {"MASTER_PORT", "29500"}};
const LaunchVariables kMpirun = {
    {"OMPI_COMM_WORLD_RANK", "3"},
    {"OMPI_COMM_WORLD_SIZE", "4"},
    {"OMPI_COMM_WORLD_LOCAL_RANK", "1"},
    {"OMPI_COMM_WORLD_LOCAL_SIZE", "2"},
    {"OMPI_MCA_orte_hnp_uri", "2390556672.0;tcp://10.0.0.1,172.17.0.2:49163"}};
const LaunchVariables kSrun = {{"SLURM_PROCID", "2"},
                               {"SLURM_LOCALID", "0"},
                               {"SLURM_NTASKS", "4"},
                               {"SLURM_STEP_NUM_TASKS", "4"},
                               {"SLURM_JOB_ID", "771"},
                               {"SLURM_STEP_ID", "0"},
                               {"SLURM_STEP_NODELIST", "n[03-05,9],login"}};

LaunchVariables with_variables(LaunchVariables variables, const LaunchVariables& others) {
  for (const auto& [name, value] : others) variables[name] = value;
  return variables;
}
LaunchVariables without_variable(LaunchVariables variables, const std::string& name) {
  variables.erase(name);
  return variables;
}

TEST(Launch, ReadsWhatLaunchersSet) {
  expect_launch(kTorchrun, {"torchrun", 5, 8, 1, {"node-a", 29500}});
  expect_launch(with_variables(kTorchrun, {{"TORCHELASTIC_RUN_ID", "x"}}),
                {"torchrun", 5, 8, 1, {"node-a", 29501}});
  expect_launch(kMpirun, {"mpirun", 3, 4, 1, {"10.0.0.1", 0}});
  expect_launch(with_variables(kMpirun, {{"OMPI_COMM_WORLD_LOCAL_SIZE", "4"}}),
                {"mpirun", 3, 4, 1, {"127.0.0.1", 0}});
  expect_launch(with_variables(kMpirun, {{"MASTER_ADDR", "b"}, {"MASTER_PORT", "7001"}}),
                {"mpirun", 3, 4, 1, {"b", 7001}});
  expect_launch(kSrun, {"srun", 2, 4, 0, {"n03", 0}});
}

// Ranks of a job must find the same port, and two jobs on a machine should not.
TEST(Launch, ThePortFollowsFromTheJob) {
  const int port = launch_by(kMpirun)->first.port;
  EXPECT_EQ(launch_by(with_variables(kMpirun, {{"OMPI_COMM_WORLD_RANK", "0"}}))->first.port, port);
  EXPECT_NE(launch_by(with_variables(kMpirun, {{"OMPI_MCA_orte_hnp_uri", "7.0;tcp://10.0.0.1:1"}}))
                ->first.port,
            port);
  EXPECT_NE(launch_by(kSrun)->first.port,
            launch_by(with_variables(kSrun, {{"SLURM_STEP_ID", "1"}}))->first.port);
}

TEST(Launch, OneProcessIsNoLaunch) {
  EXPECT_FALSE(launch_by({}));
  EXPECT_FALSE(launch_by({{"RANK", "0"}}));
  EXPECT_FALSE(launch_by(with_variables(kTorchrun, {{"RANK", "0"}, {"WORLD_SIZE", "1"}})));
  // A batch script has the variables of the job, but is no step of it.
  EXPECT_FALSE(launch_by(without_variable(kSrun, "SLURM_STEP_NUM_TASKS")));
}

TEST(Launch, SaysWhichVariableIsWrong) {
  const auto error = [](const LaunchVariables& variables) {
    return error_of<std::runtime_error>([&] { launch_by(variables); });
  };
  EXPECT_TRUE(error(with_variables(kTorchrun, {{"RANK", "8"}}))
                  .starts_with("RANK: got '8', expected a number from 0 to 7"));
  EXPECT_TRUE(error(with_variables(kTorchrun, {{"WORLD_SIZE", "four"}}))
                  .starts_with("WORLD_SIZE: got 'four', expected a number from 1 to"));
  EXPECT_TRUE(
      error(with_variables(kTorchrun, {{"WORLD_SIZE", "2x"}})).starts_with("WORLD_SIZE: got '2x'"));
  EXPECT_TRUE(
      error(without_variable(kTorchrun, "MASTER_ADDR")).starts_with("MASTER_ADDR: got none"));
  EXPECT_TRUE(
      error(without_variable(kTorchrun, "MASTER_PORT")).starts_with("MASTER_PORT: got none"));
  EXPECT_TRUE(error(without_variable(kMpirun, "OMPI_MCA_orte_hnp_uri"))
                  .starts_with("MASTER_ADDR: got none"));
  EXPECT_TRUE(error(without_variable(kSrun, "SLURM_STEP_NODELIST"))
                  .starts_with("SLURM_STEP_NODELIST: got"));
}

TEST(Launch, FindsTheFirstHostOfALine) {
  EXPECT_EQ(first_host("login"), "login");
  EXPECT_EQ(first_host("a1,b2"), "a1");
  EXPECT_EQ(first_host("n[03-05,9],login"), "n03");
  EXPECT_EQ(first_host("rack[2,4]-node[10-12]-ib"), "rack2-node10-ib");
  EXPECT_EQ(first_host("n[3"), "");
  EXPECT_EQ(first_host(""), "");
}

}  // namespace
}  // namespace unroll::test
