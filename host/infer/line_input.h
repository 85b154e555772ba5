/// Lines of a file or a pipe, in batches: in memory that does not grow with the text, and without
/// waiting for more lines while some are there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "host/base/file.h"

namespace unroll {

struct LineBatch {
  std::vector<std::string> lines;  // without their newlines
  std::int64_t first = 1;          // the number of the first, from 1
  bool ended = true;               // the last has a newline
};

class LineInput {
 public:
  // A batch is full with so many lines, or so many bytes.
  static constexpr std::size_t kLines = 4096, kBytes = std::size_t{4} << 20;
  static constexpr std::size_t kLongest = std::size_t{256} << 20;  // bytes of a line

  /// Reads an open file, which stays open. `name` is how errors call it.
  LineInput(int fd, std::string name);
  /// Errors    std::runtime_error if it cannot be opened.
  explicit LineInput(const std::filesystem::path& file);

  /// Waits for a line, and takes those with it that have come too. False, and no lines, at the end.
  /// Errors    std::runtime_error if the text cannot be read, or a line is longer than kLongest.
  bool next(LineBatch& batch);

  const std::string& name() const { return name_; }

 private:
  bool take_lines(LineBatch& batch);
  void refill(std::int64_t line);

  std::string name_;
  std::optional<Descriptor> file_;
  int fd_;
  std::string buffer_;
  std::size_t begin_ = 0;     // of what is not given out
  std::size_t searched_ = 0;  // no newline before it
  std::int64_t line_ = 1;     // number of the next
  bool finished_ = false;
};

}  // namespace unroll
