#include "host/cli/live_rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace unroll::cli {
namespace {

constexpr const char* kClearToEndOfRow = "\x1b[K";
constexpr const char* kClearToEndOfScreen = "\x1b[J";

std::string up(std::size_t rows) {
  return rows > 0 ? fmt::format("\x1b[{}A", rows) : "";
}

std::string right(std::size_t columns) {
  return columns > 0 ? fmt::format("\x1b[{}C", columns) : "";
}

}  // namespace

std::string LiveRows::draw(LiveFrame frame) {
  const std::size_t before = drawn_.rows.size(), now = frame.rows.size();
  std::string out = up(drawn_.row) + "\r";
  for (std::size_t k = 0; k < now; ++k) {
    if (k > 0) out += "\r\n";
    if (k >= before || frame.rows[k] != drawn_.rows[k])
      out += frame.rows[k].text + kClearToEndOfRow;
  }
  // The rest is cleared from a row of its own: the cursor may stand at the end of a row's text.
  if (before > now) out += std::string("\r\n") + kClearToEndOfScreen + up(1);
  out += up(now - 1 - frame.row) + "\r" + right(frame.column);
  drawn_ = std::move(frame);
  return out;
}

std::string LiveRows::leave() {
  if (drawn_.rows.empty()) return "";
  std::string out;
  for (std::size_t k = drawn_.row; k < drawn_.rows.size(); ++k) out += "\r\n";
  drawn_ = {};
  return out;
}

std::string LiveRows::remove(std::size_t columns) {
  if (drawn_.rows.empty()) return "";
  std::size_t above = drawn_.column / std::max<std::size_t>(1, columns);
  for (std::size_t k = 0; k < drawn_.row; ++k)
    above += 1 + (std::max<std::size_t>(1, drawn_.rows[k].columns) - 1) /
                     std::max<std::size_t>(1, columns);
  drawn_ = {};
  return up(above) + "\r" + kClearToEndOfScreen;
}

}  // namespace unroll::cli
