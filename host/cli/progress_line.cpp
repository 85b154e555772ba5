#include "host/cli/progress_line.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string_view>

#include "host/cli/terminal.h"

namespace unroll::cli {
namespace {

constexpr std::chrono::milliseconds kInterval{200};

bool is_set(const char* name) {
  const char* value = std::getenv(name);
  return value && *value;
}

/// What people of a field look at: perplexity, or bits per character.
std::string loss_text(double loss, const std::vector<Measure>& measures) {
  const auto value_of = [&](std::string_view name) -> std::optional<double> {
    const auto found = std::ranges::find(measures, name, &Measure::name);
    return found == measures.end() ? std::nullopt : std::optional(found->value);
  };
  if (const auto bits = value_of("bpc"))
    return fmt::format("{:.3f} nats, {:.3f} bits per character", loss, *bits);
  if (const auto perplexity = value_of("ppl"))
    return fmt::format("loss {:.3f}, perplexity {:.2f}", loss, *perplexity);
  return fmt::format("loss {:.3f}", loss);
}

}  // namespace

std::string format_duration(double seconds) {
  if (!std::isfinite(seconds) || seconds < 0 || seconds > 1e9) return "?";
  const auto s = static_cast<long long>(seconds + 0.5);
  return s >= 3600 ? fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60)
                   : fmt::format("{}:{:02}", s / 60, s % 60);
}

std::string progress_text(const TrainingStatus& status, const std::vector<Measure>& measures,
                          int columns) {
  // In the order in which they are shown; a narrow terminal has room for the first by rank.
  struct Part {
    std::string text;
    int rank;
  };
  std::vector<Part> parts = {{fmt::format("epoch {}/{} {:.0f} %", status.epoch, status.epochs,
                                          100 * double(status.batch) / double(status.batches)),
                              1},
                             {fmt::format("run {} of {}", format_duration(status.seconds),
                                          format_duration(status.seconds + status.seconds_left)),
                              2},
                             {loss_text(status.loss(), measures), 0},
                             {fmt::format("{:.0f} {}/s", status.items_per_second, status.unit), 3}};
  const auto most = std::size_t(std::max(columns - 1, 0));
  for (;;) {
    std::string text;
    for (const Part& part : parts) text += (text.empty() ? "" : " | ") + part.text;
    if (text.size() <= most || parts.size() == 1) return text.substr(0, most);
    parts.erase(std::ranges::max_element(parts, {}, &Part::rank));
  }
}

ProgressLine::ProgressLine(bool quiet)
    : enabled_(!quiet && ::isatty(STDERR_FILENO) == 1), color_(!is_set("NO_COLOR")) {
  const char* term = std::getenv("TERM");
  if (!term || std::string_view(term) == "dumb") enabled_ = false;
}

void ProgressLine::update(const TrainingStatus& status, const Task& task) {
  const auto now = std::chrono::steady_clock::now();
  if (!enabled_ || (drawn_ && now - last_ < kInterval)) return;
  last_ = now;
  drawn_ = true;
  const std::string text =
      progress_text(status, task.measures({.loss_sum = status.loss(), .count = 1}),
                    terminal_columns(STDERR_FILENO));
  std::fputs(("\r\x1b[K" + (color_ ? "\x1b[2m" + text + "\x1b[0m" : text)).c_str(), stderr);
}

void ProgressLine::clear() {
  if (!drawn_) return;
  drawn_ = false;
  std::fputs("\r\x1b[K", stderr);
}

}  // namespace unroll::cli
