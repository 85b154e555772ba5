/// The memory and the processors that this process may use, by its control groups.
/// Source: Linux's cgroup-v2.rst, cgroup-v1/memory.rst, scheduler/sched-bwc.rst, and proc(5) for
/// /proc/self/cgroup and /proc/self/mountinfo.
#include <sched.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <fstream>
#include <limits>
#include <optional>
#include <sstream>
#include <string_view>
#include <thread>
#include <vector>

#include "unroll/cpu_limits.h"

namespace unroll {
namespace {

namespace fs = std::filesystem;

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() ? std::optional(value)
                                                                  : std::nullopt;
}

std::vector<std::string> words_of(const std::string& line) {
  std::istringstream in(line);
  std::vector<std::string> words;
  for (std::string word; in >> word;) words.push_back(word);
  return words;
}

/// The words of the first line of a file; none if it does not exist.
std::vector<std::string> words_in(const fs::path& file) {
  std::ifstream in(file);
  std::string line;
  std::getline(in, line);
  return words_of(line);
}

/// The number in the file. nullopt, which means no limit, for "max", -1 or no file.
std::optional<std::uint64_t> number_in(const fs::path& file) {
  const std::vector<std::string> words = words_in(file);
  return words.empty() ? std::nullopt : number(words[0]);
}

/// The number after `name` in a file of lines "name number", such as memory.stat; 0 if missing.
std::uint64_t entry_of(const fs::path& file, std::string_view name) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);)
    if (const std::vector<std::string> words = words_of(line);
        words.size() >= 2 && words[0] == name)
      return number(words[1]).value_or(0);
  return 0;
}

bool lists(std::string_view list, std::string_view name) {
  while (!list.empty()) {
    const std::size_t end = std::min(list.find(','), list.size());
    if (list.substr(0, end) == name) return true;
    list.remove_prefix(std::min(end + 1, list.size()));
  }
  return false;
}

/// The path of this process in the group tree of `controller`, or in the single tree of version 2
/// if that is empty: the third part of a line "4:cpu,cpuacct:/a/b" or "0::/a/b".
std::string group_path(const fs::path& root, std::string_view controller) {
  std::ifstream in(root / "proc/self/cgroup");
  for (std::string line; std::getline(in, line);) {
    const std::size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == line.npos) continue;
    const std::string_view names = std::string_view(line).substr(first + 1, second - first - 1);
    if (controller.empty() ? names.empty() : lists(names, controller))
      return line.substr(second + 1);
  }
  return "";
}

struct Group {
  fs::path folder;
  bool version2;
};

/// The group of this process and its parents, as far as they are mounted. A container may see the
/// tree only from its own group on, and still get the path from the root of the whole tree.
std::vector<Group> groups(const fs::path& root, std::string_view controller) {
  std::vector<Group> found;
  std::ifstream in(root / "proc/self/mountinfo");
  for (std::string line; std::getline(in, line);) {
    // "41 31 0:38 ROOT POINT rw,relatime ... - cgroup2 SOURCE rw"
    const std::vector<std::string> words = words_of(line);
    const auto dash = std::ranges::find(words, "-");
    if (words.end() - dash < 4 || dash - words.begin() < 6) continue;
    const bool version2 = dash[1] == "cgroup2";
    if (!version2 && !(dash[1] == "cgroup" && lists(dash[3], controller))) continue;
    const fs::path top = root / fs::path(words[4]).relative_path();
    fs::path inner = fs::path(group_path(root, version2 ? "" : controller))
                         .lexically_normal()
                         .lexically_relative(words[3]);
    if (!inner.empty() && (*inner.begin() == ".." || *inner.begin() == ".")) inner.clear();
    for (; !inner.empty(); inner = inner.parent_path()) found.push_back({top / inner, version2});
    found.push_back({top, version2});
  }
  return found;
}

/// The memory that a group uses and cannot give back. It can give back the page cache.
std::uint64_t used_memory(const Group& group) {
  const std::string of_all = group.version2 ? "" : "total_";  // including its child groups
  const std::uint64_t used =
      number_in(group.folder / (group.version2 ? "memory.current" : "memory.usage_in_bytes"))
          .value_or(0);
  const fs::path stat = group.folder / "memory.stat";
  return used - std::min(used, entry_of(stat, of_all + "inactive_file") +
                                   entry_of(stat, of_all + "active_file"));
}

int affinity() {
  cpu_set_t set;
  CPU_ZERO(&set);
  // It fails if there are more processors than the set has bits.
  const int processors = sched_getaffinity(0, sizeof(set), &set) == 0
                             ? CPU_COUNT(&set)
                             : int(std::thread::hardware_concurrency());
  return std::max(1, processors);
}

/// Quota divided by period: the processors that a group may use; nullopt: no limit.
std::optional<double> share_of(const Group& group, fs::path& file) {
  std::optional<std::uint64_t> quota, period;
  if (group.version2) {
    file = group.folder / "cpu.max";
    const std::vector<std::string> words = words_in(file);
    if (words.size() < 2) return std::nullopt;
    quota = number(words[0]);
    period = number(words[1]);
  } else {
    file = group.folder / "cpu.cfs_quota_us";
    quota = number_in(file);
    period = number_in(group.folder / "cpu.cfs_period_us");
  }
  if (!quota || !period || *quota == 0 || *period == 0) return std::nullopt;
  return double(*quota) / double(*period);
}

}  // namespace

MemoryLimit memory_limit(const fs::path& root) {
  MemoryLimit limit{std::numeric_limits<std::size_t>::max(), 0, ""};
  const fs::path machine = root / "proc/meminfo";
  if (const std::uint64_t kibibytes = entry_of(machine, "MemAvailable:"); kibibytes > 0)
    limit = {std::size_t(kibibytes) * 1024, 0, machine.string()};
  for (const Group& group : groups(root, "memory"))
    // Above `high` a process is not killed but throttled almost to a halt.
    for (const char* name : {"memory.max", "memory.high", "memory.limit_in_bytes"}) {
      const fs::path file = group.folder / name;
      const std::optional<std::uint64_t> most = number_in(file);
      if (!most) continue;
      const std::uint64_t left = *most - std::min(*most, used_memory(group));
      if (left < limit.available) limit = {std::size_t(left), std::size_t(*most), file.string()};
    }
  return limit;
}

ProcessorLimit processor_limit(const fs::path& root) {
  ProcessorLimit limit{affinity(), 0, ""};
  for (const Group& group : groups(root, "cpu")) {
    fs::path file;
    const std::optional<double> share = share_of(group, file);
    if (share && *share < (limit.group_share > 0 ? limit.group_share : limit.processors))
      limit = {std::max(1, int(std::ceil(*share))), *share, file.string()};
  }
  return limit;
}

}  // namespace unroll
