#include "host/train/run_folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <stdexcept>

#include "host/data/hash.h"
#include "host/train/checkpoint.h"

namespace unroll {
namespace {

namespace fs = std::filesystem;

constexpr const char* kLockName = ".lock";

/// Where the last whole line of a file of `size` bytes ends.
std::int64_t end_of_lines(int fd, std::int64_t size, const fs::path& file) {
  std::byte byte{};
  while (size > 0 && read_at(fd, size - 1, {&byte, 1}, file) == 1 && byte != std::byte{'\n'})
    --size;
  return size;
}

/// Opens a file that is to be written, and makes it if it is missing. A link would lead the writing
/// to another place, and so would a second name of the file, or a pipe or device in its place.
Descriptor open_own(const fs::path& file, int flags, mode_t mode) {
  constexpr int kSafe = O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
  const int opened = ::open(file.c_str(), kSafe | flags, mode);
  if (opened < 0 && errno == ELOOP)
    throw std::runtime_error(file.string() + ": is a link, expected a file of the run itself");
  Descriptor fd(opened, file, "cannot be opened to write");
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) fail_call(file, "cannot be examined");
  if (!S_ISREG(status.st_mode))
    throw std::runtime_error(file.string() + ": is not a regular file, expected one");
  if (status.st_nlink > 1)
    throw std::runtime_error(
        fmt::format("{}: has {} names (hard links), expected one: what is written to it would be "
                    "written to the others too",
                    file.string(), status.st_nlink));
  return fd;
}

/// Lets those open the lock who may write to the folder, and no others: a reader could hold it.
/// Where the file system keeps no rights of its own, this does nothing.
void share_lock(int fd, const fs::path& run_dir) {
  struct stat folder {
  }, lock{};
  if (::stat(run_dir.c_str(), &folder) != 0 || ::fstat(fd, &lock) != 0 ||
      lock.st_uid != ::geteuid())
    return;  // its owner has seen to it
  mode_t mode = S_IRUSR | S_IWUSR;
  if ((folder.st_mode & S_IWGRP) != 0 &&
      (lock.st_gid == folder.st_gid || ::fchown(fd, static_cast<uid_t>(-1), folder.st_gid) == 0))
    mode |= S_IRGRP | S_IWGRP;
  if ((folder.st_mode & S_IWOTH) != 0) mode |= S_IROTH | S_IWOTH;
  if ((lock.st_mode & mode_t{0777}) != mode) static_cast<void>(::fchmod(fd, mode));
}

bool is_file_of(int fd, const fs::path& file) {
  struct stat ours {
  }, there{};
  return ::fstat(fd, &ours) == 0 && ::lstat(file.c_str(), &there) == 0 &&
         ours.st_ino == there.st_ino && ours.st_dev == there.st_dev;
}

}  // namespace

RunLock::RunLock(const fs::path& run_dir) : run_dir_(run_dir), made_(!fs::exists(run_dir)) {
  const fs::path file = run_dir / kLockName;
  do {
    make_run_folder(run_dir);
    fd_.emplace(open_own(file, 0, S_IRUSR | S_IWUSR));
    share_lock(fd_->get(), run_dir);
    if (::flock(fd_->get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno == EWOULDBLOCK)
        throw std::runtime_error(run_dir.string() +
                                 ": another run is writing to it, expected one run a folder");
      fail_call(file, "cannot be locked");
    }
    // Another process may have removed the file after it was opened: that lock keeps no run out.
  } while (!is_file_of(fd_->get(), file));
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

bool RunLock::is_held() const {
  return is_file_of(fd_->get(), run_dir_ / kLockName);
}

void RunLock::require_held() const {
  if (!is_held())
    throw std::runtime_error(
        run_dir_.string() +
        ": was moved, removed or replaced, or its .lock was, while the run wrote to it, expected "
        "it to stay; checkpoints saved before are sound, wherever it is now");
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
    : file_(run_dir / kName), fd_(open_own(file_, O_APPEND, 0666)), bytes_(bytes) {
  struct stat status {};
  if (::fstat(fd_.get(), &status) != 0) fail_call(file_, "cannot be examined");
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
