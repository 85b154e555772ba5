#include "host/train/run_folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

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

}  // namespace

RunLock::RunLock(const fs::path& run_dir) : run_dir_(run_dir), made_(!fs::exists(run_dir)) {
  const fs::path file = run_dir / kLockName;
  for (;;) {
    make_run_folder(run_dir);
    fd_.emplace(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666), file, "cannot be made");
    if (::flock(fd_->get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno == EWOULDBLOCK)
        throw std::runtime_error(run_dir.string() +
                                 ": another run is writing to it, expected one run a folder");
      fail_call(file, "cannot be locked");
    }
    // Another process may have removed the file after it was opened: that is nobody's lock.
    struct stat ours {
    }, there{};
    if (::fstat(fd_->get(), &ours) != 0) fail_call(file, "cannot be examined");
    if (::stat(file.c_str(), &there) == 0 && ours.st_ino == there.st_ino &&
        ours.st_dev == there.st_dev)
      return;
  }
}

RunLock::~RunLock() {
  if (!made_) return;
  std::error_code error;
  int entries = 0;
  for (fs::directory_iterator entry(run_dir_, error), end; !error && entry != end;
       entry.increment(error))
    ++entries;
  if (error || entries != 1) return;
  fs::remove(run_dir_ / kLockName, error);
  fs::remove(run_dir_, error);
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
    : file_(run_dir / kName),
      fd_(::open(file_.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666), file_,
          "cannot be opened"),
      bytes_(bytes) {
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
