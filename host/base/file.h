/// Files of the operating system: owners of descriptors and mappings, and calls whose errors name
/// the file and the reason.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace unroll {

/// Throws std::runtime_error "path: what: " followed by the text of errno.
[[noreturn]] void fail_call(const std::filesystem::path& path, std::string_view what);

class Descriptor {
 public:
  /// Takes ownership of `fd`. Errors: see fail_call(path, what) if it is negative.
  Descriptor(int fd, const std::filesystem::path& path, std::string_view what);
  ~Descriptor();
  Descriptor(Descriptor&& other) noexcept;
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  int get() const { return fd_; }
  /// Some file systems report a failed write only here.
  void close(const std::filesystem::path& path);

 private:
  int fd_;
};

/// Opens a regular file for reading. It never waits, for example for the writer of a pipe.
/// Errors    std::runtime_error "path: is a pipe, expected " and `expected`, and the same for
///           everything else that is not a regular file; see fail_call if it cannot be opened.
Descriptor open_regular(const std::filesystem::path& path, std::string_view expected);

/// Tells whether a file is unchanged without reading it.
struct FileStamp {
  std::int64_t size = 0, mtime_ns = 0, ctime_ns = 0, inode = 0;
  /// When the stamp was taken, the file had been at rest for longer than the resolution of file
  /// system clocks: any later write gets another time.
  bool at_rest = false;

  bool operator==(const FileStamp& other) const {
    return size == other.size && mtime_ns == other.mtime_ns && ctime_ns == other.ctime_ns &&
           inode == other.inode;
  }
  /// A stamp to store for later comparison. If the file was not at rest, it equals no other stamp.
  FileStamp to_keep() const;
};

/// Errors    std::runtime_error naming `path` if the file cannot be examined.
FileStamp stamp_of(int fd, const std::filesystem::path& path);

/// Errors    std::runtime_error naming `path` if the system does not take all bytes.
void write_all(int fd, std::span<const std::byte> bytes, const std::filesystem::path& path);

/// Waits until a directory's entries are on the disk.
/// Errors    std::runtime_error naming it if the system fails a call.
void sync_directory(const std::filesystem::path& directory);

/// Fills `bytes` from position `at` of the file, as far as the file reaches, and returns the count.
/// Errors    std::runtime_error naming `path` if it cannot be read.
std::size_t read_at(int fd, std::int64_t at, std::span<std::byte> bytes,
                    const std::filesystem::path& path);

/// Fills `bytes` in part or as a whole from an open file or pipe. Returns how far; 0 is the end.
/// Errors    std::runtime_error naming `path` if it cannot be read.
std::size_t read_some(int fd, std::span<char> bytes, const std::filesystem::path& path);

/// Whether read_some() returns at once: some bytes, the end or an error are there. A file is always
/// ready.
bool is_ready(int fd);

/// Errors    std::runtime_error "path: no such folder", or "path: is not a folder, expected " and
///           `expected`, or naming the path and the system's reason.
void require_folder(const std::filesystem::path& path, std::string_view expected);

/// A file in memory, read-only and shared with all other mappings of it. The file must not shrink
/// while it is mapped. Immutable and movable; a move leaves the bytes where they are.
class MappedFile {
 public:
  MappedFile() = default;  // no bytes
  /// Errors    std::runtime_error naming `path` if the file cannot be examined or mapped.
  MappedFile(int fd, const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  std::span<const std::byte> bytes_;
};

/// The folder for temporary files. Errors: std::runtime_error if there is none.
std::filesystem::path temporary_folder();

}  // namespace unroll
