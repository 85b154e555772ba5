/// What comes on stdin, for a command that answers while it reads: lines of a file many at a time,
/// and what someone types, or a slow pipe brings, as soon as it is there.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>

namespace unroll::cli {

/// Not thread-safe.
class StandardInput {
 public:
  static constexpr const char* kName = "stdin";  // how errors call it

  /// `before_waiting` is called before a read that may have to wait for input.
  explicit StandardInput(std::function<void()> before_waiting);

  /// Fills a buffer in part or as a whole and returns how far; 0 is the end.
  /// Errors    std::runtime_error if it cannot be read.
  std::size_t read(std::span<char> buffer) const;

 private:
  std::function<void()> before_waiting_;
};

}  // namespace unroll::cli
