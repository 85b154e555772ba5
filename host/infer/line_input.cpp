#include "host/infer/line_input.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <span>
#include <stdexcept>
#include <utility>

namespace unroll {
namespace {

constexpr std::size_t kReadBytes = std::size_t{1} << 18;

}  // namespace

LineInput::LineInput(int fd, std::string name) : name_(std::move(name)), fd_(fd) {}

LineInput::LineInput(const std::filesystem::path& file)
    : name_(file.string()),
      file_(Descriptor(::open(file.c_str(), O_RDONLY | O_CLOEXEC), file, "cannot be read")),
      fd_(file_->get()) {}

bool LineInput::next(LineBatch& batch) {
  batch.lines.clear();
  batch.first = line_;
  batch.ended = true;
  while (true) {
    const bool full = take_lines(batch);
    line_ = batch.first + std::ssize(batch.lines);
    if (full || (!batch.lines.empty() && !finished_ && !is_ready(fd_))) return true;
    if (finished_) break;
    refill(line_);
  }
  if (begin_ < buffer_.size()) {  // a line that does not end
    batch.lines.push_back(buffer_.substr(begin_));
    batch.ended = false;
    begin_ = searched_ = buffer_.size();
    ++line_;
  }
  return !batch.lines.empty();
}

/// The lines that are there; whether the batch is full.
bool LineInput::take_lines(LineBatch& batch) {
  std::size_t bytes = 0;
  for (const std::string& line : batch.lines) bytes += line.size();
  while (batch.lines.size() < kLines && bytes < kBytes) {
    const std::size_t end = buffer_.find('\n', searched_);
    if (end == buffer_.npos) {
      searched_ = buffer_.size();
      return false;
    }
    batch.lines.push_back(buffer_.substr(begin_, end - begin_));
    bytes += end - begin_;
    begin_ = searched_ = end + 1;
  }
  return true;
}

void LineInput::refill(std::int64_t line) {
  buffer_.erase(0, begin_);
  searched_ -= begin_;
  begin_ = 0;
  const std::size_t held = buffer_.size();
  if (held > kLongest)
    throw std::runtime_error(
        fmt::format("{}: line {}: got more than {} bytes, expected a line of "
                    "at most so many",
                    name_, line, kLongest));
  buffer_.resize(held + kReadBytes);
  const std::size_t got = read_some(fd_, std::span(buffer_).subspan(held), name_);
  buffer_.resize(held + got);
  finished_ = got == 0;
}

}  // namespace unroll
