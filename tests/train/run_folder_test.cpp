#include "host/train/run_folder.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <functional>
#include <limits>
#include <optional>
#include <set>
#include <thread>
#include <utility>
#include <vector>

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

/// Everything that may stand in a file's place and would lead the writing elsewhere, by name.
struct Planted {
  explicit Planted(const std::filesystem::path& place)
      : file(place), target(place.parent_path() / "of the user") {
    std::ofstream(target) << "not yours\n";
  }
  void make(const std::string& kind) const {
    std::filesystem::remove(file);
    if (kind == "a link") std::filesystem::create_symlink(target, file);
    if (kind == "a dangling link") std::filesystem::create_symlink("none", file);
    if (kind == "a pipe") ::mkfifo(file.c_str(), 0600);
    if (kind == "a folder") std::filesystem::create_directory(file);
  }
  void expect_untouched() const {
    EXPECT_EQ(read_text(target), "not yours\n");
    EXPECT_FALSE(std::filesystem::exists(file.parent_path() / "none"));
  }

  std::filesystem::path file, target;
};

constexpr std::pair<const char*, const char*> kPlanted[] = {
    {"a link", "is a link, expected a file of the run itself"},
    {"a dangling link", "is a link, expected a file of the run itself"},
    {"a pipe", "is not a regular file, expected one"},
    {"a folder", "cannot be opened to write: Is a directory"}};

TEST(RunLock, OpensNothingButAFileOfItsOwn) {
  const TempFolder folder;
  const Planted planted(folder.path() / ".lock");
  for (const auto& [kind, says] : kPlanted) {
    SCOPED_TRACE(kind);
    planted.make(kind);
    EXPECT_TRUE(
        contains(error_of<std::runtime_error>([&] { const RunLock lock(folder.path()); }), says));
    planted.expect_untouched();
  }
}

mode_t mode_of(const std::filesystem::path& file) {
  struct stat status {};
  return ::stat(file.c_str(), &status) == 0 ? status.st_mode & 0777 : 0;
}

// A reader that can open the lock can hold it.
TEST(RunLock, CanBeOpenedByThoseWhoMayWriteToTheFolder) {
  const TempFolder folder;
  const auto file = folder.path() / ".lock";
  for (const bool older : {false, true})
    for (const auto& [folder_mode, lock_mode] :
         {std::pair<mode_t, mode_t>{0755, 0600}, {0700, 0600}, {0775, 0660}, {0777, 0666}}) {
      std::filesystem::remove(file);
      if (older) {  // an older version made it readable
        std::ofstream(file) << "";
        ::chmod(file.c_str(), 0644);
      }
      ::chmod(folder.path().c_str(), folder_mode);
      const RunLock lock(folder.path());
      EXPECT_EQ(mode_of(file), lock_mode) << std::oct << folder_mode;
    }
}

// Backups by hard links give the lock a second name. A planted one is a file of the user's.
TEST(RunLock, LeavesTheModeOfALockOfTwoNames) {
  const TempFolder folder;
  const auto file = folder.path() / ".lock", other = folder.write("private", "mine\n");
  ::chmod(other.c_str(), 0600);
  ::chmod(folder.path().c_str(), 0777);
  std::filesystem::create_hard_link(other, file);
  const RunLock lock(folder.path());
  EXPECT_EQ(mode_of(other), 0600);
  EXPECT_EQ(read_text(other), "mine\n");
  EXPECT_TRUE(contains(error_of<std::runtime_error>([&] { const RunLock second(folder.path()); }),
                       "another run is writing to it"));
}

TEST(RunLock, IsMadeAnewWhereItWasRemoved) {
  const TempFolder folder;
  const auto run = folder.path() / "run", file = run / ".lock";
  RunLock lock(run);
  for (int k = 0; k < 3; ++k) {
    std::filesystem::remove(file);
    lock.require_held();
    EXPECT_TRUE(std::filesystem::exists(file));
    EXPECT_TRUE(contains(error_of<std::runtime_error>([&] { const RunLock second(run); }),
                         "another run is writing to it"));
  }
}

TEST(RunLock, NoticesThatAnotherHasMadeALock) {
  const TempFolder folder;
  for (const bool ended : {false, true}) {
    RunLock lock(folder.path());
    std::filesystem::remove(folder.path() / ".lock");
    std::optional<RunLock> other(folder.path());
    if (ended) other.reset();  // what it has written is there
    for (int k = 0; k < 2; ++k)
      EXPECT_TRUE(contains(error_of<std::runtime_error>([&] { lock.require_held(); }),
                           "or its .lock was replaced"));
    if (!ended) {
      EXPECT_EQ(error_of<std::runtime_error>([&] { other->require_held(); }), "no exception");
    }
  }
}

TEST(RunLock, NoticesThatItsFolderIsAnother) {
  namespace fs = std::filesystem;
  const auto error = [](const std::function<void(const fs::path&)>& change) {
    const TempFolder folder;
    const auto run = folder.path() / "run";
    RunLock lock(run);
    lock.require_held();
    change(run);
    return error_of<std::runtime_error>([&] { lock.require_held(); });
  };
  const auto away = [](const fs::path& run) { fs::rename(run, run.parent_path() / "moved"); };
  EXPECT_TRUE(contains(error(away), "run: was moved, removed or replaced"));
  EXPECT_TRUE(contains(error([](const fs::path& run) { fs::remove_all(run); }), "was moved"));
  EXPECT_TRUE(contains(error([&](const fs::path& run) {
                         away(run);
                         fs::create_directory(run);  // without a lock in it
                       }),
                       "was moved"));
  EXPECT_TRUE(contains(error([&](const fs::path& run) {
                         away(run);
                         const RunLock other(run);
                         std::ofstream(run / "theirs") << "";
                       }),
                       "was moved"));
  // Moved away and linked to, it is the same.
  EXPECT_EQ(error([&](const fs::path& run) {
              away(run);
              fs::create_symlink("moved", run);
            }),
            "no exception");
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

// As backups by hard links make it.
TEST(MetricsLog, LeavesWhatTheOtherNamesOfItsFileHave) {
  namespace fs = std::filesystem;
  const TempFolder folder;
  const auto file = folder.path() / "metrics.jsonl";
  std::string lines;
  for (int k = 0; lines.size() < 3'000'000; ++k) lines += "{\"step\":" + std::to_string(k) + "}\n";
  const auto backup = folder.write("backup", lines);
  ::chmod(backup.c_str(), 0640);
  fs::create_hard_link(backup, file);
  folder.write(".tmp-metrics.jsonl", "left by a killed run");
  const std::size_t kept = lines.find('\n', 2'500'000) + 1;
  MetricsLog log(folder.path(), std::int64_t(kept), no_warning);
  log.write({{"step", -1}});
  EXPECT_EQ(log.sync(), fs::file_size(file));
  EXPECT_TRUE(read_text(file) == lines.substr(0, kept) + "{\"step\":-1}\n");
  EXPECT_TRUE(read_text(backup) == lines);
  EXPECT_EQ(fs::hard_link_count(file), 1U);
  EXPECT_EQ(mode_of(file), 0640);
  EXPECT_FALSE(fs::exists(folder.path() / ".tmp-metrics.jsonl"));
}

TEST(MetricsLog, OpensNothingButAFileOfItsOwn) {
  const TempFolder folder;
  const Planted planted(folder.path() / "metrics.jsonl");
  for (const auto& [kind, says] : kPlanted) {
    SCOPED_TRACE(kind);
    planted.make(kind);
    EXPECT_TRUE(contains(
        error_of<std::runtime_error>([&] { MetricsLog log(folder.path(), 0, no_warning); }), says));
    planted.expect_untouched();
  }
}

TEST(NewRunFolder, IsNeverGivenTwice) {
  const TempFolder folder;
  constexpr int kThreads = 8, kEach = 20;
  std::vector<std::vector<std::string>> made(kThreads);
  std::vector<std::thread> threads;
  for (int k = 0; k < kThreads; ++k)
    threads.emplace_back([&, k] {
      for (int n = 0; n < kEach; ++n)
        made[std::size_t(k)].push_back(make_new_run_folder(folder.path() / "runs", "ptb").string());
    });
  for (std::thread& thread : threads) thread.join();
  std::set<std::string> all;
  for (const auto& names : made) all.insert(names.begin(), names.end());
  EXPECT_EQ(all.size(), std::size_t(kThreads * kEach));
  for (const std::string& name : all) EXPECT_TRUE(std::filesystem::is_directory(name));
}

TEST(NewRunFolder, ComesAfterThoseThatAreThere) {
  const TempFolder folder;
  const auto next = [&](const std::string& name) {
    return make_new_run_folder(folder.path(), name).filename().string();
  };
  EXPECT_EQ(next("a"), "a-1");
  EXPECT_EQ(next("a"), "a-2");
  std::filesystem::remove(folder.path() / "a-1");
  folder.write("a-9", "a file");
  folder.write("a-b-70", "");
  folder.write("a-99999999999999999999", "");
  EXPECT_EQ(next("a"), "a-10");
  EXPECT_EQ(next("b"), "b-1");
  EXPECT_TRUE(contains(
      error_of<std::runtime_error>([&] { make_new_run_folder(folder.path() / "a-9", "a"); }),
      "cannot be made"));
}

TEST(NewRunFolder, IsRemovedIfNothingComesIntoIt) {
  const TempFolder folder;
  const auto run = make_new_run_folder(folder.path(), "a");
  { const RunLock lock(run, /*is_new=*/true); }
  EXPECT_FALSE(std::filesystem::exists(run));
  std::filesystem::create_directory(run);
  { const RunLock lock(run); }
  EXPECT_TRUE(std::filesystem::exists(run)) << "it was there before";
}

}  // namespace
}  // namespace unroll::test
