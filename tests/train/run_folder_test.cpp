#include "host/train/run_folder.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <limits>

#include "tests/support/temp_folder.h"

namespace unroll::test {
namespace {

const auto no_warning = [](const std::string& line) { FAIL() << line; };

TEST(RunLock, RefusesASecondRunAndIsFreeAgainHoweverTheFirstEnds) {
  const TempFolder folder;
  const auto run = folder.path() / "new" / "run";
  {
    const RunLock lock(run);
    const std::string error = error_of<std::runtime_error>([&] { const RunLock second(run); });
    EXPECT_TRUE(contains(error, run.string()));
    EXPECT_TRUE(contains(error, "another run"));
  }
  const pid_t child = ::fork();
  if (child == 0) {
    const RunLock lock(run);
    ::kill(::getpid(), SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  const RunLock lock(run);
}

TEST(RunLock, LeavesNoFolderBehindThatNobodyUsed) {
  const TempFolder folder;
  const auto run = folder.path() / "run";
  { const RunLock lock(run); }
  EXPECT_FALSE(std::filesystem::exists(run));
  {
    const RunLock lock(run);
    folder.write("run/something", "");
  }
  EXPECT_TRUE(std::filesystem::exists(run / "something"));
}

TEST(RunLock, SaysWhatIsWrongWithTheFolder) {
  const TempFolder folder;
  const auto file = folder.write("file", "");
  EXPECT_TRUE(contains(error_of<std::runtime_error>([&] { const RunLock lock(file); }),
                       "is a file, expected a run folder"));
}

TEST(RequireRoom, SaysWhatIsFreeAndWhatIsNeeded) {
  const TempFolder folder;
  require_room(folder.path(), 1);
  const std::string error = error_of<std::runtime_error>(
      [&] { require_room(folder.path(), std::numeric_limits<std::int64_t>::max()); });
  EXPECT_TRUE(contains(error, "MB are free there, expected 9223372036854.8 MB for a checkpoint"));
}

TEST(MetricsLog, AppendsAndCutsToWhereACheckpointWas) {
  const TempFolder folder;
  std::int64_t bytes = 0;
  {
    MetricsLog log(folder.path(), 0, no_warning);
    log.write({{"step", 1}});
    bytes = log.sync();
    log.write({{"step", 2}, {"loss", std::numeric_limits<double>::quiet_NaN()}});
    EXPECT_GT(log.sync(), bytes);
  }
  const auto file = folder.path() / "metrics.jsonl";
  EXPECT_EQ(read_text(file), "{\"step\":1}\n{\"step\":2,\"loss\":null}\n");
  MetricsLog log(folder.path(), bytes, no_warning);
  log.write({{"step", 3}});
  EXPECT_EQ(read_text(file), "{\"step\":1}\n{\"step\":3}\n");
}

TEST(MetricsLog, WarnsOfLinesThatAreGone) {
  const TempFolder folder;
  folder.write("metrics.jsonl", "{}\n");
  std::string warning;
  MetricsLog log(folder.path(), 100, [&](const std::string& line) { warning = line; });
  EXPECT_TRUE(contains(warning, "got 3 bytes, expected at least 100"));
  EXPECT_EQ(log.sync(), 3);
}

TEST(MetricsLog, DoesNotGoOnInTheMiddleOfALine) {
  const TempFolder folder;
  folder.write("metrics.jsonl", "{\"step\":1}\n{\"ste");
  MetricsLog log(folder.path(), 100, [](const std::string&) {});
  log.write({{"step", 3}});
  EXPECT_EQ(read_text(folder.path() / "metrics.jsonl"), "{\"step\":1}\n{\"step\":3}\n");
}

}  // namespace
}  // namespace unroll::test
