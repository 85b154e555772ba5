#include "host/train/run_folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <span>
#include <stdexcept>
#include <utility>
#include <vector>

#include "host/base/hash.h"
#include "host/models/checkpoint.h"
#include "host/models/checkpoint_format.h"
#include "host/train/checkpoint_writer.h"
#include "host/train/tensorboard.h"

namespace unroll {
namespace {

namespace fs = std::filesystem;

constexpr const char* kLockName = ".lock";

struct stat status_of(int fd, const fs::path& file) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) fail_call(file, "cannot be examined");
  return status;
}

/// Where the last whole line of a file of `size` bytes ends.
std::int64_t end_of_lines(int fd, std::int64_t size, const fs::path& file) {
  std::byte byte{};
  while (size > 0 && read_at(fd, size - 1, {&byte, 1}, file) == 1 && byte != std::byte{'\n'})
    --size;
  return size;
}

/// Opens a file that is to be written, and makes it if it is missing. A link would lead the writing
/// to another place, and so would a pipe or device in its place.
Descriptor open_own(const fs::path& file, int flags, mode_t mode) {
  constexpr int kSafe = O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
  const int opened = ::open(file.c_str(), kSafe | flags, mode);
  if (opened < 0 && errno == ELOOP)
    throw std::runtime_error(file.string() + ": is a link, expected a file of the run itself");
  Descriptor fd(opened, file, "cannot be opened to write");
  if (!S_ISREG(status_of(fd.get(), file).st_mode))
    throw std::runtime_error(file.string() + ": is not a regular file, expected one");
  return fd;
}

void copy(int from, int to, std::int64_t bytes, const fs::path& file) {
  std::vector<std::byte> block(std::size_t{1} << 20);
  for (std::int64_t at = 0; at < bytes;) {
    const auto most = std::size_t(std::min(bytes - at, std::int64_t(block.size())));
    const std::size_t got = read_at(from, at, std::span(block).first(most), file);
    if (got == 0) return;
    write_all(to, std::span(block).first(got), file);
    at += std::int64_t(got);
  }
}

/// Puts a copy of the first `bytes` in the place of `file`, and opens it to append. The copy has
/// the same readers as the original.
Descriptor replace_by_copy(const Descriptor& original, const fs::path& file, std::int64_t bytes) {
  const fs::path temporary = file.parent_path() / (".tmp-" + file.filename().string());
  ::unlink(temporary.c_str());  // what a killed run left
  Descriptor fd(::open(temporary.c_str(), O_RDWR | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC,
                       S_IRUSR | S_IWUSR),
                temporary, "cannot be made");
  try {
    const struct stat status = status_of(original.get(), file);
    mode_t mode = status.st_mode & mode_t{0777};
    if (::fchown(fd.get(), static_cast<uid_t>(-1), status.st_gid) != 0) mode &= ~mode_t{S_IRWXG};
    copy(original.get(), fd.get(), bytes, temporary);
    if (::fchmod(fd.get(), mode) != 0 || ::fsync(fd.get()) != 0 ||
        ::rename(temporary.c_str(), file.c_str()) != 0)
      fail_call(file, "cannot be replaced by a copy");
  } catch (...) {
    ::unlink(temporary.c_str());
    throw;
  }
  sync_directory(file.parent_path());
  return fd;
}

/// Writing to a file of several names would change it under all of them.
Descriptor open_metrics(const fs::path& file, std::int64_t bytes) {
  Descriptor fd = open_own(file, O_APPEND, 0666);
  if (status_of(fd.get(), file).st_nlink == 1) return fd;
  return replace_by_copy(fd, file, bytes);
}

/// Lets exactly those users open the lock that may write to the folder, because a reader that opens
/// it could hold it. On a file system without rights of its own, this does nothing.
void share_lock(int fd, const fs::path& run_dir) {
  struct stat folder {
  }, lock{};
  if (::stat(run_dir.c_str(), &folder) != 0 || ::fstat(fd, &lock) != 0 ||
      lock.st_uid != ::geteuid())
    return;  // only its owner can change the rights
  // Under another name it may be a private file.
  if (lock.st_nlink > 1) return;
  mode_t mode = S_IRUSR | S_IWUSR;
  if ((folder.st_mode & S_IWGRP) != 0 &&
      (lock.st_gid == folder.st_gid || ::fchown(fd, static_cast<uid_t>(-1), folder.st_gid) == 0))
    mode |= S_IRGRP | S_IWGRP;
  if ((folder.st_mode & S_IWOTH) != 0) mode |= S_IROTH | S_IWOTH;
  if ((lock.st_mode & mode_t{0777}) != mode) static_cast<void>(::fchmod(fd, mode));
}

/// N of NAME-N.
std::optional<std::int64_t> number_of(const fs::path& folder, const std::string& name) {
  const std::string file = folder.filename().string();
  if (!file.starts_with(name + "-")) return std::nullopt;
  const std::string digits = file.substr(name.size() + 1);
  constexpr std::size_t kMostDigits = 15;
  if (digits.empty() || digits.size() > kMostDigits ||
      digits.find_first_not_of("0123456789") != digits.npos)
    return std::nullopt;
  return std::stoll(digits);
}

/// Whether the open file is the one of that name. `flags` are those of fstatat().
bool is_same(int fd, const fs::path& path, int flags) {
  struct stat ours {
  }, there{};
  return ::fstat(fd, &ours) == 0 && ::fstatat(AT_FDCWD, path.c_str(), &there, flags) == 0 &&
         ours.st_ino == there.st_ino && ours.st_dev == there.st_dev;
}

}  // namespace

fs::path make_new_run_folder(const fs::path& parent, const std::string& name) {
  std::error_code error;
  fs::create_directories(parent, error);
  if (error)
    throw std::runtime_error(
        fmt::format("{}: cannot be made: {}", parent.string(), error.message()));
  std::int64_t number = 1;
  for (const fs::directory_entry& entry : fs::directory_iterator(parent))
    if (const auto taken = number_of(entry.path(), name)) number = std::max(number, *taken + 1);
  for (;; ++number) {
    fs::path folder = parent / fmt::format("{}-{}", name, number);
    if (::mkdir(folder.c_str(), 0777) == 0) return folder;
    if (errno != EEXIST) fail_call(folder, "cannot be made");
  }
}

fs::path newest_run(const fs::path& parent, const std::string& name) {
  fs::path newest;
  fs::file_time_type newest_time;
  std::error_code none;
  for (const fs::directory_entry& entry : fs::directory_iterator(parent, none)) {
    if (!name.empty() && !number_of(entry.path(), name)) continue;
    const fs::file_time_type time = fs::last_write_time(entry.path() / MetricsLog::kName, none);
    if (none || list_checkpoints(entry.path()).empty()) continue;
    if (!newest.empty() && time < newest_time) continue;
    newest = entry.path();
    newest_time = time;
  }
  return newest;
}

bool holds_run(const fs::path& run_dir) {
  std::error_code none;
  const fs::path metrics = run_dir / MetricsLog::kName;
  return !list_checkpoints(run_dir).empty() ||
         (fs::exists(metrics, none) && !fs::is_empty(metrics, none));
}

void remove_run(const fs::path& run_dir) {
  // Links first: none may lead to a checkpoint that is gone.
  std::vector<fs::path> paths = {run_dir / "best", run_dir / "latest"};
  for (const CheckpointEntry& entry : list_checkpoints(run_dir)) paths.push_back(entry.directory);
  for (const char* name : {MetricsLog::kName, "report.html"}) paths.push_back(run_dir / name);
  std::error_code error;
  for (const fs::path& path : paths) {
    fs::remove_all(path, error);
    if (error)
      throw std::runtime_error(
          fmt::format("{}: cannot be removed: {}", path.string(), error.message()));
  }
  remove_tensorboard_files(run_dir);
}

RunLock::RunLock(const fs::path& run_dir, bool is_new)
    : run_dir_(run_dir), made_(is_new || !fs::exists(run_dir)) {
  // Another process may remove the file after it was opened: that lock keeps no run out. On a file
  // system that numbers its files anew each time, this would go on for ever.
  constexpr int kTries = 100;
  for (int k = 0; k < kTries; ++k) {
    make_run_folder(run_dir);
    folder_.emplace(::open(run_dir.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC), run_dir,
                    "cannot be opened");
    take();
    if (is_held()) return;
  }
  throw std::runtime_error(
      fmt::format("{}: got another file each of {} times that it was locked, expected it to stay",
                  (run_dir / kLockName).string(), kTries));
}

RunLock::~RunLock() {
  if (!made_ || !is_held()) return;
  std::error_code error;
  int entries = 0;
  for (fs::directory_iterator entry(run_dir_, error), end; !error && entry != end;
       entry.increment(error))
    ++entries;
  if (error || entries != 1) return;
  fs::remove(run_dir_ / kLockName, error);
  fs::remove(run_dir_, error);
}

void RunLock::take() {
  const fs::path file = run_dir_ / kLockName;
  Descriptor fd = open_own(file, 0, S_IRUSR | S_IWUSR);
  share_lock(fd.get(), run_dir_);
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK)
      throw std::runtime_error(run_dir_.string() +
                               ": another run is writing to it, expected one run a folder");
    fail_call(file, "cannot be locked");
  }
  fd_.emplace(std::move(fd));
}

bool RunLock::is_folder_there() const {
  return is_same(folder_->get(), run_dir_, 0);
}

bool RunLock::is_held() const {
  return is_folder_there() && is_same(fd_->get(), run_dir_ / kLockName, AT_SYMLINK_NOFOLLOW);
}

void RunLock::require_held() {
  if (is_held()) return;
  // A program that removes old files takes the lock first, because nothing is written to it.
  struct stat lock {};
  if (is_folder_there() && ::lstat((run_dir_ / kLockName).c_str(), &lock) != 0 && errno == ENOENT) {
    take();
    if (is_held()) return;
  }
  throw std::runtime_error(
      run_dir_.string() +
      ": was moved, removed or replaced, or its .lock was replaced, while the run wrote to it, "
      "expected it to stay; checkpoints saved before are sound, wherever it is now");
}

double require_room(const fs::path& run_dir, std::int64_t bytes) {
  struct statvfs status {};
  if (::statvfs(run_dir.c_str(), &status) != 0) fail_call(run_dir, "cannot be examined");
  const double free = double(status.f_bavail) * double(status.f_frsize);
  if (free >= double(bytes)) return free;
  throw std::runtime_error(
      fmt::format("{}: {:.1f} MB are free there, expected {:.1f} MB for a checkpoint",
                  run_dir.string(), free * 1e-6, double(bytes) * 1e-6));
}

MetricsLog::MetricsLog(const fs::path& run_dir, std::int64_t bytes,
                       const std::function<void(const std::string&)>& warn)
    : file_(run_dir / kName), fd_(open_metrics(file_, bytes)), bytes_(bytes) {
  const struct stat status = status_of(fd_.get(), file_);
  if (status.st_size < bytes) {
    warn(fmt::format("{}: got {} bytes, expected at least {}: lines before the checkpoint are lost",
                     file_.string(), status.st_size, bytes));
    bytes_ = end_of_lines(fd_.get(), status.st_size, file_);
  }
  if (status.st_size > bytes_ && ::ftruncate(fd_.get(), bytes_) != 0)
    fail_call(file_, "cannot be cut");
}

void MetricsLog::write(const nlohmann::ordered_json& line) {
  const std::string text = line.dump() + "\n";
  write_all(fd_.get(), bytes_of(text), file_);
  bytes_ += std::int64_t(text.size());
}

std::int64_t MetricsLog::sync() {
  if (::fsync(fd_.get()) != 0) fail_call(file_, "cannot be synced");
  return bytes_;
}

}  // namespace unroll
