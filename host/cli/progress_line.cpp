#include "host/cli/progress_line.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "host/cli/terminal.h"

namespace unroll::cli {
namespace {

constexpr std::chrono::milliseconds kInterval{200};

bool is_set(const char* name) {
  const char* value = std::getenv(name);
  return value && *value;
}

}  // namespace

std::string format_duration(double seconds) {
  if (!std::isfinite(seconds) || seconds < 0 || seconds > 1e9) return "?";
  const auto s = static_cast<long long>(seconds + 0.5);
  return s >= 3600 ? fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60)
                   : fmt::format("{}:{:02}", s / 60, s % 60);
}

std::string progress_text(const TrainingStatus& status, std::int64_t epochs, int columns) {
  constexpr int kBar = 12;
  const double done = double(status.batch) / double(status.batches);
  const int filled = int(done * kBar);
  const std::string text =
      fmt::format("epoch {}/{} [{}{}] {:3.0f}% | {:.0f} {}/s | loss {:.3f} | {} left", status.epoch,
                  epochs, std::string(std::size_t(filled), '#'),
                  std::string(std::size_t(kBar - filled), '.'), 100 * done, status.items_per_second,
                  status.unit, status.loss, format_duration(status.seconds_left));
  return text.substr(0, std::size_t(columns > 1 ? columns - 1 : 0));
}

ProgressLine::ProgressLine() : enabled_(::isatty(STDERR_FILENO) == 1), color_(!is_set("NO_COLOR")) {
  const char* term = std::getenv("TERM");
  if (!term || std::string_view(term) == "dumb") enabled_ = false;
}

void ProgressLine::update(const TrainingStatus& status, std::int64_t epochs) {
  const auto now = std::chrono::steady_clock::now();
  if (!enabled_ || (drawn_ && now - last_ < kInterval)) return;
  last_ = now;
  drawn_ = true;
  const std::string text = progress_text(status, epochs, terminal_columns(STDERR_FILENO));
  std::fputs(("\r\x1b[K" + (color_ ? "\x1b[2m" + text + "\x1b[0m" : text)).c_str(), stderr);
}

void ProgressLine::clear() {
  if (!drawn_) return;
  drawn_ = false;
  std::fputs("\r\x1b[K", stderr);
}

}  // namespace unroll::cli
