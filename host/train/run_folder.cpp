#include "host/train/run_folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <cerrno>
#include <iterator>
#include <stdexcept>

#include "host/data/hash.h"
#include "host/train/checkpoint.h"

namespace unroll {
namespace {

namespace fs = std::filesystem;

constexpr const char* kLockName = ".lock";

}  // namespace

RunLock::RunLock(const fs::path& run_dir) : run_dir_(run_dir), made_(!fs::exists(run_dir)) {
  make_run_folder(run_dir);
  const fs::path file = run_dir / kLockName;
  fd_.emplace(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666), file, "cannot be made");
  if (::flock(fd_->get(), LOCK_EX | LOCK_NB) == 0) return;
  if (errno == EWOULDBLOCK)
    throw std::runtime_error(run_dir.string() +
                             ": another run is writing to it, expected one run a folder");
  fail_call(file, "cannot be locked");
}

RunLock::~RunLock() {
  std::error_code error;
  const auto entries =
      std::distance(fs::directory_iterator(run_dir_, error), fs::directory_iterator());
  if (!made_ || error || entries != 1) return;
  fs::remove(run_dir_ / kLockName, error);
  fs::remove(run_dir_, error);
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
    : file_(run_dir / kName),
      fd_(::open(file_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666), file_,
          "cannot be opened"),
      bytes_(bytes) {
  struct stat status {};
  if (::fstat(fd_.get(), &status) != 0) fail_call(file_, "cannot be examined");
  if (status.st_size < bytes) {
    warn(fmt::format("{}: got {} bytes, expected at least {}: lines before the checkpoint are lost",
                     file_.string(), status.st_size, bytes));
    bytes_ = status.st_size;
  } else if (status.st_size > bytes && ::ftruncate(fd_.get(), bytes) != 0) {
    fail_call(file_, "cannot be cut");
  }
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
