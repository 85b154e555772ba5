#include "host/train/run_folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <cstring>
#include <limits>
#include <stdexcept>

#include "host/train/checkpoint.h"

namespace unroll {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail_call(const fs::path& path, const std::string& what) {
  const int error = errno;
  throw std::runtime_error(fmt::format("{}: {}: {}", path.string(), what, std::strerror(error)));
}

}  // namespace

RunLock::RunLock(const fs::path& run_dir) {
  make_run_folder(run_dir);
  const fs::path file = run_dir / ".lock";
  fd_ = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (fd_ < 0) fail_call(run_dir, "cannot be written");
  if (::flock(fd_, LOCK_EX | LOCK_NB) == 0) return;
  const int error = errno;
  ::close(fd_);
  if (error == EWOULDBLOCK)
    throw std::runtime_error(run_dir.string() +
                             ": another run is writing to it, expected one run a folder");
  errno = error;
  fail_call(file, "cannot be locked");
}

RunLock::~RunLock() {
  ::close(fd_);
}

void require_room(const fs::path& run_dir, std::int64_t bytes) {
  struct statvfs status {};
  if (::statvfs(run_dir.c_str(), &status) != 0) fail_call(run_dir, "cannot be examined");
  const double free = double(status.f_bavail) * double(status.f_frsize);
  if (free >= double(bytes)) return;
  throw std::runtime_error(
      fmt::format("{}: {:.1f} MB are free there, expected {:.1f} MB for a checkpoint",
                  run_dir.string(), free * 1e-6, double(bytes) * 1e-6));
}

MetricsLog::MetricsLog(const fs::path& run_dir, std::int64_t bytes,
                       const std::function<void(const std::string&)>& warn)
    : file_(run_dir / "metrics.jsonl"), bytes_(bytes) {
  fd_ = ::open(file_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (fd_ < 0) fail_call(file_, "cannot be opened");
  struct stat status {};
  if (::fstat(fd_, &status) != 0) fail_call(file_, "cannot be examined");
  if (status.st_size < bytes) {
    warn(fmt::format("{}: got {} bytes, expected at least {}: lines before the checkpoint are lost",
                     file_.string(), status.st_size, bytes));
    bytes_ = status.st_size;
  } else if (status.st_size > bytes && ::ftruncate(fd_, bytes) != 0) {
    fail_call(file_, "cannot be cut");
  }
}

MetricsLog::~MetricsLog() {
  ::close(fd_);
}

void MetricsLog::write(const nlohmann::ordered_json& line) {
  const std::string text = line.dump() + "\n";
  std::size_t done = 0;
  while (done < text.size()) {
    const ssize_t written = ::write(fd_, text.data() + done, text.size() - done);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail_call(file_, "cannot be written");
    done += std::size_t(written);
  }
  bytes_ += std::int64_t(text.size());
}

std::int64_t MetricsLog::sync() {
  if (::fsync(fd_) != 0) fail_call(file_, "cannot be synced");
  return bytes_;
}

}  // namespace unroll
