#include "host/base/file.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <system_error>
#include <utility>

#include "host/base/text.h"

namespace unroll {
namespace {

/// What kind of file it is if it is not a regular one.
std::string_view kind_of(const struct stat& status) {
  if (S_ISDIR(status.st_mode)) return "a folder";
  if (S_ISFIFO(status.st_mode)) return "a pipe";
  return "a device or a socket";
}

/// Times that do not fit are clamped.
std::int64_t nanoseconds(const struct timespec& time) {
  constexpr std::int64_t kMost = 9'000'000'000;
  return std::clamp(std::int64_t{time.tv_sec}, -kMost, kMost) * 1'000'000'000 + time.tv_nsec;
}

}  // namespace

void fail_call(const std::filesystem::path& path, std::string_view what) {
  throw std::runtime_error(text_from(path.string(), ": ", what, ": ", std::strerror(errno)));
}

Descriptor::Descriptor(int fd, const std::filesystem::path& path, std::string_view what) : fd_(fd) {
  if (fd_ < 0) fail_call(path, what);
}

Descriptor::~Descriptor() {
  if (fd_ >= 0) ::close(fd_);
}

Descriptor::Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

void Descriptor::close(const std::filesystem::path& path) {
  if (::close(std::exchange(fd_, -1)) != 0) fail_call(path, "cannot be closed");
}

Descriptor open_regular(const std::filesystem::path& path, std::string_view expected) {
  struct stat status {};
  // A socket cannot be opened, and opening a device may have effects.
  if (::stat(path.c_str(), &status) != 0) fail_call(path, "cannot be opened");
  const auto require_regular = [&] {
    if (!S_ISREG(status.st_mode))
      throw std::runtime_error(
          text_from(path.string(), ": is ", kind_of(status), ", expected ", expected));
  };
  require_regular();
  Descriptor fd(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC), path, "cannot be opened");
  if (::fstat(fd.get(), &status) != 0) fail_call(path, "cannot be examined");
  require_regular();  // it may have been replaced since
  return fd;
}

FileStamp FileStamp::to_keep() const {
  FileStamp kept = *this;
  if (!at_rest) kept.ctime_ns = std::numeric_limits<std::int64_t>::min();
  return kept;
}

FileStamp stamp_of(int fd, const std::filesystem::path& path) {
  constexpr std::int64_t kCoarsest = 2'000'000'000;  // of a file system's clock: FAT's
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  struct stat status {};
  if (::fstat(fd, &status) != 0) fail_call(path, "cannot be examined");
  const std::int64_t changed = nanoseconds(status.st_ctim);
  return {status.st_size, nanoseconds(status.st_mtim), changed,
          static_cast<std::int64_t>(status.st_ino),
          changed < std::chrono::nanoseconds(now).count() - kCoarsest};
}

void sync_directory(const std::filesystem::path& directory) {
  const Descriptor fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC), directory,
                      "cannot be opened");
  // EINVAL: a file system on which directories need no syncing, or cannot be.
  if (::fsync(fd.get()) != 0 && errno != EINVAL) fail_call(directory, "cannot be synced");
}

void write_all(int fd, std::span<const std::byte> bytes, const std::filesystem::path& path) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail_call(path, "cannot be written");
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

std::size_t read_at(int fd, std::int64_t at, std::span<std::byte> bytes,
                    const std::filesystem::path& path) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t got = ::pread(fd, bytes.data() + done, bytes.size() - done,
                                static_cast<off_t>(at + static_cast<std::int64_t>(done)));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail_call(path, "cannot be read");
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  return done;
}

std::size_t read_some(int fd, std::span<char> bytes, const std::filesystem::path& path) {
  for (;;) {
    const ssize_t got = ::read(fd, bytes.data(), bytes.size());
    if (got >= 0) return std::size_t(got);
    if (errno != EINTR) fail_call(path, "cannot be read");
  }
}

bool is_ready(int fd) {
  pollfd asked{fd, POLLIN, 0};
  return ::poll(&asked, 1, 0) != 0;  // an error, too, is there to be read
}

void require_folder(const std::filesystem::path& path, std::string_view expected) {
  std::error_code error;
  const std::filesystem::file_status status = std::filesystem::status(path, error);
  if (status.type() == std::filesystem::file_type::not_found)
    throw std::runtime_error(path.string() + ": no such folder");
  if (error)
    throw std::runtime_error(text_from(path.string(), ": cannot be opened: ", error.message()));
  if (!std::filesystem::is_directory(status))
    throw std::runtime_error(text_from(path.string(), ": is not a folder, expected ", expected));
}

MappedFile::MappedFile(int fd, const std::filesystem::path& path) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) fail_call(path, "cannot be examined");
  const auto size = static_cast<std::size_t>(status.st_size);
  if (size == 0) return;  // an empty file cannot be mapped
  void* at = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
  if (at == MAP_FAILED) fail_call(path, "cannot be mapped");
  bytes_ = {static_cast<const std::byte*>(at), size};
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

MappedFile::MappedFile(MappedFile&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(bytes_, other.bytes_);
  return *this;
}

std::filesystem::path temporary_folder() {
  std::error_code error;
  std::filesystem::path folder = std::filesystem::temp_directory_path(error);
  if (error)
    throw std::runtime_error(text_from("TMPDIR: got no folder for temporary files (",
                                       error.message(), "), expected one"));
  return folder;
}

}  // namespace unroll
