#include <gtest/gtest.h>
#include <sched.h>

#include <limits>

#include "tests/support/temp_folder.h"
#include "unroll/cpu_limits.h"

namespace unroll::test {
namespace {

/// A root folder with the system files that a process in a container sees.
class FakeRoot {
 public:
  FakeRoot(const std::string& cgroup, const std::string& mountinfo) {
    write("proc/self/cgroup", cgroup);
    write("proc/self/mountinfo", mountinfo);
    write("proc/meminfo", "MemTotal:       65814540 kB\nMemAvailable:   20000000 kB\n");
  }
  void write(const std::string& name, const std::string& text) {
    std::filesystem::create_directories((folder_.path() / name).parent_path());
    folder_.write(name, text);
  }
  std::filesystem::path path() const { return folder_.path(); }
  std::string file(const std::string& name) const { return (folder_.path() / name).string(); }

 private:
  TempFolder folder_;
};

constexpr const char* kMountOfTwo =
    "25 30 0:23 / /proc rw,nosuid shared:14 - proc proc rw\n"
    "29 22 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
constexpr const char* kMountsOfOne =
    "33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
    "34 31 0:31 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"
    "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";
constexpr const char* kPathsOfOne = "9:memory:/a/b\n8:cpuset:/\n4:cpu,cpuacct:/a/b\n0::/\n";

constexpr std::size_t kMachine = std::size_t(20000000) * 1024;

TEST(MemoryLimits, AreTheMachinesWithoutGroups) {
  FakeRoot root("", "");
  EXPECT_EQ(memory_limit(root.path()).available, kMachine);
  EXPECT_EQ(memory_limit(root.path()).file, root.file("proc/meminfo"));
  root.write("proc/meminfo", "MemTotal: 5 kB\nMemAvailable: many kB\n");
  EXPECT_EQ(memory_limit(root.path()).available, std::numeric_limits<std::size_t>::max());
  EXPECT_EQ(memory_limit(root.path()).file, "");
}

TEST(MemoryLimits, OfVersionTwoAreTheNarrowestAround) {
  FakeRoot root("0::/kube/pod/box\n", kMountOfTwo);
  const std::string top = "sys/fs/cgroup/", pod = top + "kube/pod/";
  root.write(pod + "box/memory.max", "max\n");
  root.write(pod + "box/memory.current", "900\n");
  EXPECT_EQ(memory_limit(root.path()).available, kMachine);

  root.write(pod + "memory.max", "200000000\n");
  root.write(pod + "memory.current", "50000000\n");
  root.write(pod + "memory.stat", "anon 1\ninactive_file 10000000\nactive_file 4000000\nfile 9\n");
  MemoryLimit limit = memory_limit(root.path());
  EXPECT_EQ(limit.available, 164000000U);
  EXPECT_EQ(limit.group_bytes, 200000000U);
  EXPECT_EQ(limit.file, root.file(pod + "memory.max"));

  root.write(top + "kube/memory.high", "100000000\n");  // without a file for the used memory
  EXPECT_EQ(memory_limit(root.path()).available, 100000000U);
  root.write(pod + "box/memory.max", "1000\n");
  EXPECT_EQ(memory_limit(root.path()).available, 100U);
  root.write(pod + "box/memory.current", "1001\n");
  limit = memory_limit(root.path());
  EXPECT_EQ(limit.available, 0U);
  EXPECT_EQ(limit.file, root.file(pod + "box/memory.max"));
}

TEST(MemoryLimits, OfVersionOneCountWhatGroupsWithinUse) {
  FakeRoot root(kPathsOfOne, kMountsOfOne);
  const std::string a = "sys/fs/cgroup/memory/a/";
  root.write(a + "b/memory.limit_in_bytes", "9223372036854771712\n");  // means "none"
  EXPECT_EQ(memory_limit(root.path()).available, kMachine);
  root.write(a + "memory.limit_in_bytes", "200000000\n");
  root.write(a + "memory.usage_in_bytes", "50000000\n");
  root.write(a + "memory.stat", "inactive_file 7\ntotal_inactive_file 10000000\n");
  const MemoryLimit limit = memory_limit(root.path());
  EXPECT_EQ(limit.available, 160000000U);
  EXPECT_EQ(limit.file, root.file(a + "memory.limit_in_bytes"));
}

/// Docker with version 1: the path belongs to the whole tree, but only the group is mounted.
TEST(MemoryLimits, AreFoundWhereOnlyTheGroupIsMounted) {
  for (const char* cgroup : {"9:memory:/docker/c1\n", "9:memory:/docker/c1/inner\n",
                             "9:memory:/elsewhere\n", "9:memory:/../up\n"}) {
    SCOPED_TRACE(cgroup);
    FakeRoot root(cgroup, "35 31 0:32 /docker/c1 /sys/fs/cgroup/memory ro - cgroup c rw,memory\n");
    root.write("sys/fs/cgroup/memory/memory.limit_in_bytes", "4096\n");
    EXPECT_EQ(memory_limit(root.path()).available, 4096U);
    root.write("sys/fs/cgroup/memory/inner/memory.limit_in_bytes", "1024\n");
    EXPECT_EQ(memory_limit(root.path()).available,
              std::string(cgroup).find("inner") == std::string::npos ? 4096U : 1024U);
  }
}

TEST(ProcessorLimits, AreTheAffinityMaskWithoutGroups) {
  const FakeRoot root("", "");
  cpu_set_t set;
  ASSERT_EQ(sched_getaffinity(0, sizeof(set), &set), 0);
  EXPECT_EQ(processor_limit(root.path()).processors, CPU_COUNT(&set));
  EXPECT_EQ(processor_limit(root.path()).file, "");
}

TEST(ProcessorLimits, OfVersionTwoAreTheNarrowestAround) {
  FakeRoot root("0::/pod/box\n", kMountOfTwo);
  const std::string pod = "sys/fs/cgroup/pod/";
  const int all = processor_limit(root.path()).processors;
  root.write(pod + "box/cpu.max", "max 100000\n");
  EXPECT_EQ(processor_limit(root.path()).processors, all);
  root.write(pod + "box/cpu.max", "100000000 100000\n");  // more processors than there are
  EXPECT_EQ(processor_limit(root.path()).processors, all);
  root.write(pod + "cpu.max", "25000 50000\n");
  const ProcessorLimit limit = processor_limit(root.path());
  EXPECT_EQ(limit.processors, 1);
  EXPECT_EQ(limit.group_share, 0.5);
  EXPECT_EQ(limit.file, root.file(pod + "cpu.max"));
  for (const char* damaged : {"", "\n", "0 0\n", "5\n", "1 0\n", "-1 100000\n", "a b\n"}) {
    root.write(pod + "cpu.max", damaged);
    EXPECT_EQ(processor_limit(root.path()).processors, all) << damaged;
  }
}

TEST(ProcessorLimits, AreRoundedUp) {
  FakeRoot root("0::/\n", kMountOfTwo);
  const int all = processor_limit(root.path()).processors;
  root.write("sys/fs/cgroup/cpu.max", "110000 100000\n");
  EXPECT_EQ(processor_limit(root.path()).processors, all == 1 ? 1 : 2);
}

TEST(ProcessorLimits, OfVersionOne) {
  FakeRoot root(kPathsOfOne, kMountsOfOne);
  const std::string a = "sys/fs/cgroup/cpu,cpuacct/a/";
  root.write(a + "b/cpu.cfs_quota_us", "-1\n");
  root.write(a + "b/cpu.cfs_period_us", "100000\n");
  root.write(a + "cpu.cfs_quota_us", "30000\n");
  root.write(a + "cpu.cfs_period_us", "100000\n");
  const ProcessorLimit limit = processor_limit(root.path());
  EXPECT_EQ(limit.processors, 1);
  EXPECT_NEAR(limit.group_share, 0.3, 1e-12);
  EXPECT_EQ(limit.file, root.file(a + "cpu.cfs_quota_us"));
}

}  // namespace
}  // namespace unroll::test
