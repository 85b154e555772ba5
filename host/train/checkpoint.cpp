#include "host/train/checkpoint.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <stdexcept>
#include <string_view>

#include "host/base/file.h"
#include "host/train/checkpoint_files.h"

namespace unroll {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "step-";
// Both are invisible to readers, and belong to a save that is under way or was killed.
constexpr std::string_view kTemporary = ".tmp-";
constexpr std::string_view kReplaced = ".old-";

void move_to(const fs::path& from, const fs::path& to) {
  if (::rename(from.c_str(), to.c_str()) != 0)
    fail_call(to, fmt::format("cannot be made from {}", from.filename().string()));
}

/// Whether there is something of that name, even a link that leads nowhere.
bool is_there(const fs::path& path) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) == 0) return true;
  if (errno != ENOENT && errno != ENOTDIR) fail_call(path, "cannot be examined");
  return false;
}

/// Follows links.
bool is_folder(const fs::path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) == 0) return S_ISDIR(status.st_mode);
  if (errno != ENOENT && errno != ENOTDIR) fail_call(path, "cannot be examined");
  return false;
}

void remove_tree(const fs::path& path) {
  std::error_code error;
  fs::remove_all(path, error);
  if (error) fail_checkpoint(path, fmt::format("cannot be removed: {}", error.message()));
}

/// Without links.
fs::path real_path(const fs::path& path) {
  std::error_code error;
  fs::path real = fs::canonical(path, error);
  if (error) fail_checkpoint(path, error.message());
  return real;
}

std::string target_of(const fs::path& link) {
  std::error_code error;
  const fs::path target = fs::read_symlink(link, error);
  if (error) fail_checkpoint(link, fmt::format("cannot be read as a link: {}", error.message()));
  return target.string();
}

/// Names in a folder; none if there is no such folder.
std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error))
    names.push_back(at->path().filename().string());
  if (error && error != std::errc::no_such_file_or_directory)
    fail_checkpoint(folder, fmt::format("cannot be listed: {}", error.message()));
  return names;
}

void check(std::int64_t step, const CheckpointSave& options) {
  if (step < 0) throw std::invalid_argument(fmt::format("step {}, expected 0 or more", step));
  if (options.keep < 0)
    throw std::invalid_argument(
        fmt::format("{} checkpoints to keep, expected 0 (all) or more", options.keep));
}

std::string directory_name(std::int64_t step) {
  return fmt::format("{}{:08}", kPrefix, step);
}

/// The step, if that is a checkpoint's name.
std::optional<std::int64_t> step_of(const std::string& name) {
  if (!name.starts_with(kPrefix)) return std::nullopt;
  std::int64_t step = 0;
  std::from_chars(name.data() + kPrefix.size(), name.data() + name.size(), step);
  if (step < 0 || name != directory_name(step)) return std::nullopt;
  return step;
}

/// Names that only a save gives: others in a folder of the user's are the user's.
bool is_leftover(const std::string& name) {
  if (name.starts_with(kReplaced)) return step_of(name.substr(kReplaced.size())).has_value();
  if (!name.starts_with(kTemporary)) return false;
  const std::string rest = name.substr(kTemporary.size());
  return rest == "latest" || rest == "best" || rest == "metrics.jsonl" || step_of(rest);
}

/// Removes what a killed save left. The one thing worth keeping is a directory moved aside whose
/// replacement did not arrive.
void remove_leftovers(const fs::path& run_dir) {
  for (const std::string& name : names_in(run_dir)) {
    if (!is_leftover(name)) continue;
    const fs::path original = run_dir / name.substr(kReplaced.size());
    if (name.starts_with(kReplaced) && !is_there(original))
      move_to(run_dir / name, original);
    else
      remove_tree(run_dir / name);
  }
}

/// Gives `from` the name `to`. What is there already is exchanged for it in one step where the file
/// system can do that; else it is moved aside, and remove_leftovers undoes that after a kill.
void move_into_place(const fs::path& from, const fs::path& to) {
  if (!is_there(to)) return move_to(from, to);
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_EXCHANGE) == 0) {
    remove_tree(from);
    return;
  }
  if (errno != EINVAL && errno != ENOSYS) fail_call(to, "cannot be replaced");
  const fs::path aside = to.parent_path() / (std::string(kReplaced) + to.filename().string());
  move_to(to, aside);
  if (::rename(from.c_str(), to.c_str()) != 0) {
    const int error = errno;
    move_to(aside, to);
    errno = error;
    fail_call(to, "cannot be replaced");
  }
  remove_tree(aside);
}

void point_link(const fs::path& link, const std::string& target) {
  const fs::path fresh = link.parent_path() / (std::string(kTemporary) + link.filename().string());
  if (::symlink(target.c_str(), fresh.c_str()) != 0) fail_call(fresh, "cannot be made");
  move_to(fresh, link);
}

void delete_older(const fs::path& run_dir, std::int64_t step, const CheckpointSave& options) {
  if (options.keep == 0) return;
  // If it is not known what `best` points to, nothing may be deleted.
  const fs::path link = run_dir / "best";
  std::string best;
  if (is_there(link)) best = fs::path(target_of(link)).filename().string();
  int kept = 1;
  for (const CheckpointEntry& entry : list_checkpoints(run_dir)) {
    const std::string name = entry.directory.filename().string();
    if (entry.step >= step || kept++ < options.keep || name == best ||
        entry.step == options.protect)
      continue;
    // Out of sight first: killed in the middle of deleting, it must not look like a checkpoint.
    const fs::path hidden = run_dir / (std::string(kTemporary) + name);
    move_to(entry.directory, hidden);
    remove_tree(hidden);
  }
}

/// The checkpoint directory that `path` means.
fs::path resolve(const fs::path& path, bool latest) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (status.type() == fs::file_type::not_found) fail_checkpoint(path, "no such folder");
  if (error) fail_checkpoint(path, error.message());
  if (!fs::is_directory(status))
    fail_checkpoint(path, "is a file, expected a run folder or a checkpoint folder");
  if (is_checkpoint(path)) return path;

  for (const char* name : {"best", "latest"}) {
    if (latest && std::string_view(name) == "best") continue;
    fs::path link = path / name;
    if (!is_there(link)) continue;
    if (is_checkpoint(link)) return link;
    const std::string target = target_of(link);
    // A save was killed between move_into_place's two renames.
    if (fs::path aside = path / (std::string(kReplaced) + target); is_checkpoint(aside))
      return aside;
    fail_checkpoint(link, fmt::format("leads to {}, which is no checkpoint: it has no {}", target,
                                      kManifestName));
  }
  const std::vector<CheckpointEntry> entries = list_checkpoints(path);
  if (entries.empty())
    fail_checkpoint(
        path, fmt::format("holds no checkpoint: got neither {} nor {}NNNNNNNN folders, expected "
                          "one of them",
                          kManifestName, kPrefix));
  return entries.front().directory;
}

}  // namespace

void make_run_folder(const fs::path& run_dir) {
  std::error_code error;
  if (fs::exists(run_dir, error) && !fs::is_directory(run_dir, error))
    fail_checkpoint(run_dir, "is a file, expected a run folder");
  if (is_checkpoint(run_dir)) fail_checkpoint(run_dir, "is a checkpoint, expected a run folder");
  std::vector<fs::path> parents;  // of folders that will be made
  fs::path folder = fs::absolute(run_dir, error).lexically_normal();
  if (!folder.has_filename()) folder = folder.parent_path();
  for (; !fs::exists(folder, error) && folder.has_relative_path(); folder = folder.parent_path())
    parents.push_back(folder.parent_path());
  fs::create_directories(run_dir, error);
  if (error) fail_checkpoint(run_dir, fmt::format("cannot be made: {}", error.message()));
  for (const fs::path& parent : parents) sync_directory(parent);
}

void repair_run_folder(const fs::path& run_dir, std::optional<std::int64_t> best) {
  remove_leftovers(run_dir);
  if (best && is_checkpoint(checkpoint_directory(run_dir, *best)))
    point_link(run_dir / "best", directory_name(*best));
  sync_directory(run_dir);
}

fs::path checkpoint_directory(const fs::path& run_dir, std::int64_t step) {
  return run_dir / directory_name(step);
}

fs::path save_checkpoint(const fs::path& run_dir, std::int64_t step,
                         const CheckpointContent& content, const CheckpointSave& options) {
  check(step, options);
  check_content(content);
  remove_leftovers(run_dir);

  const std::string name = directory_name(step);
  const fs::path temporary = run_dir / (std::string(kTemporary) + name);
  try {
    write_checkpoint_files(temporary, step, content);
    move_into_place(temporary, run_dir / name);
  } catch (...) {
    std::error_code ignored;  // the first error is the one to report
    fs::remove_all(temporary, ignored);
    throw;
  }
  sync_directory(run_dir);
  point_link(run_dir / "latest", name);
  if (options.best) point_link(run_dir / "best", name);
  sync_directory(run_dir);
  delete_older(run_dir, step, options);
  return run_dir / name;
}

Checkpoint load_checkpoint(const fs::path& path, const CheckpointLoad& options) {
  std::error_code none;
  if (!options.damaged || !fs::is_directory(path, none) || is_checkpoint(path))
    return read_checkpoint_files(real_path(resolve(path, options.latest)), options);

  fs::path wanted;
  std::string trouble;
  try {
    wanted = real_path(resolve(path, options.latest));
    return read_checkpoint_files(wanted, options);
  } catch (const std::runtime_error& error) {
    trouble = error.what();
  }
  for (const CheckpointEntry& entry : list_checkpoints(path)) {
    const fs::path name = entry.directory.filename();
    if (name == wanted.filename()) continue;
    try {
      Checkpoint checkpoint = read_checkpoint_files(real_path(entry.directory), options);
      options.damaged(fmt::format("{}; using {} instead", trouble, name.string()));
      return checkpoint;
    } catch (const std::runtime_error&) {
      continue;  // the fault of the one that was wanted is reported
    }
  }
  throw std::runtime_error(trouble);
}

std::vector<CheckpointEntry> list_checkpoints(const fs::path& run_dir) {
  std::error_code none;
  if (fs::exists(run_dir, none) && !fs::is_directory(run_dir, none))
    fail_checkpoint(run_dir, "is a file, expected a run folder");
  std::vector<CheckpointEntry> entries;
  for (const std::string& name : names_in(run_dir))
    if (const auto step = step_of(name); step && is_folder(run_dir / name))
      entries.push_back({*step, run_dir / name});
  std::sort(entries.begin(), entries.end(),
            [](const CheckpointEntry& a, const CheckpointEntry& b) { return a.step > b.step; });
  return entries;
}

}  // namespace unroll
