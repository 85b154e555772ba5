#include "host/cli/prediction_panel.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "host/base/utf8.h"

namespace unroll::cli {
namespace {

constexpr std::size_t kNumber = 8;        // columns of "0.123456"
constexpr std::size_t kWidestLabel = 24;  // and at most a third of the terminal
constexpr std::size_t kShortestBar = 4;   // or there are none
constexpr const char* kDim = "\x1b[2m";
constexpr const char* kBarColor = "\x1b[36m";
constexpr const char* kPlain = "\x1b[0m";
constexpr const char* kPrompt = "> ";

/// Puts a row together, which ends where the terminal does.
class RowWriter {
 public:
  explicit RowWriter(const TerminalTraits& terminal)
      : color_(terminal.color), room_(std::max<std::size_t>(2, terminal.columns) - 1) {}

  void add(std::string_view text, const char* color = nullptr) {
    const std::string_view shown = first_columns(text, room_ - row_.columns);
    const bool colored = color && color_ && !shown.empty();
    row_.text += colored ? color + std::string(shown) + kPlain : std::string(shown);
    row_.columns += columns_of(shown);
  }
  void fill_to(std::size_t column) {
    if (column > row_.columns) add(std::string(column - row_.columns, ' '));
  }
  LiveRow take() { return std::exchange(row_, {}); }

 private:
  const bool color_;
  const std::size_t room_;
  LiveRow row_;
};

/// The blanks at the ends of a token can be seen.
std::string with_blanks_shown(std::string label, bool unicode) {
  const std::string blank = unicode ? "␣" : "_";
  std::size_t first = label.find_first_not_of(' ');
  if (first == label.npos) first = label.size();
  const std::size_t last = first == label.size() ? first : label.find_last_not_of(' ') + 1;
  std::string shown;
  for (std::size_t k = 0; k < label.size(); ++k)
    shown += k < first || k >= last ? blank : label.substr(k, 1);
  return shown;
}

std::string shortened(const std::string& text, std::size_t columns, bool unicode) {
  if (columns_of(text) <= columns || columns == 0) return text;
  return std::string(first_columns(text, columns - 1)) + (unicode ? "…" : "~");
}

/// The end of a history, which decides what comes next.
std::string end_of(std::string_view text, std::size_t columns, bool unicode) {
  if (columns_of(text) <= columns) return std::string(text);
  while (!text.empty() && columns_of(text) + 1 > columns) take_code_point(text);
  return (unicode ? "…" : "~") + std::string(text);
}

/// In eighths of a column where the terminal has the characters.
std::string bar(double share, std::size_t columns, bool unicode) {
  if (!unicode) return std::string(std::size_t(std::lround(share * double(columns))), '#');
  static constexpr const char* kEighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  const auto eighths = std::size_t(std::lround(share * double(columns) * 8));
  std::string text;
  for (std::size_t k = 0; k < eighths / 8; ++k) text += "█";
  return text + kEighths[eighths % 8];
}

struct PanelColumns {
  std::size_t label, number, truth, bar, room;  // where each begins; room is that of a bar
};

PanelColumns place(const std::vector<std::string>& labels, bool has_truth, std::size_t columns) {
  std::size_t widest = 1;
  for (const std::string& label : labels) widest = std::max(widest, columns_of(label));
  widest = std::min({widest, kWidestLabel, columns / 3});
  PanelColumns at{.label = 2};
  at.number = at.label + widest + 2;
  at.truth = at.number + kNumber + 2;
  at.bar = at.truth + (has_truth ? kNumber + 2 : 0);
  at.room = columns > at.bar + kShortestBar ? columns - 1 - at.bar : 0;
  return at;
}

LiveRow title(const PredictionPanel& panel, const TerminalTraits& terminal) {
  RowWriter row(terminal);
  const std::string history = printable(panel.history);
  if (history.empty()) {
    row.add("At the beginning of a line:", kDim);
    return row.take();
  }
  const std::size_t others = columns_of("After \"\":") + 1;
  const std::size_t room = terminal.columns > others ? terminal.columns - others : 1;
  row.add("After \"" + end_of(history, room, terminal.unicode) + "\":", kDim);
  return row.take();
}

}  // namespace

std::vector<LiveRow> panel_rows(const PredictionPanel& panel, const TerminalTraits& terminal,
                                std::size_t rows) {
  std::vector<std::string> labels;
  bool has_truth = false;
  double largest = 0;
  for (const LikelyToken& token : panel.tokens) {
    labels.push_back(with_blanks_shown(token.label, terminal.unicode));
    has_truth = has_truth || token.truth.has_value();
    largest = std::max({largest, token.probability});
  }
  const PanelColumns at = place(labels, has_truth, terminal.columns);
  RowWriter row(terminal);
  std::vector<LiveRow> result;
  if (!panel.warning.empty()) {
    row.add(shortened(panel.warning, terminal.columns - 1, terminal.unicode));
    result.push_back(row.take());
  }
  result.push_back(title(panel, terminal));
  if (has_truth) {
    row.fill_to(at.number);
    row.add("model", kDim);
    row.fill_to(at.truth);
    row.add("true", kDim);
    result.push_back(row.take());
  }
  for (std::size_t k = 0; k < labels.size(); ++k) {
    const LikelyToken& token = panel.tokens[k];
    row.fill_to(at.label);
    row.add(shortened(labels[k], at.number - 2 - at.label, terminal.unicode));
    row.fill_to(at.number);
    row.add(fmt::format("{:.6f}", token.probability));
    row.fill_to(at.truth);
    if (token.truth) row.add(fmt::format("{:.6f}", *token.truth), kDim);
    row.fill_to(at.bar);
    if (largest > 0)
      row.add(bar(token.probability / largest, at.room, terminal.unicode), kBarColor);
    result.push_back(row.take());
  }
  if (result.size() > rows) result.resize(rows);
  return result;
}

LiveFrame typed_rows(std::string_view before, std::string_view after,
                     const TerminalTraits& terminal, std::size_t rows) {
  const std::size_t room = std::max<std::size_t>(4, terminal.columns) - 1;
  LiveFrame frame{.rows = {{kPrompt, 2}}};
  const auto write = [&](std::string_view text) {
    while (!text.empty()) {
      std::string_view rest = text;
      take_code_point(rest);
      const std::string_view character = text.substr(0, text.size() - rest.size());
      const std::size_t width = columns_of(character);
      if (frame.rows.back().columns + width > room) frame.rows.emplace_back();
      frame.rows.back().text += character;
      frame.rows.back().columns += width;
      text = rest;
    }
  };
  write(before);
  frame.row = frame.rows.size() - 1;
  frame.column = frame.rows.back().columns;
  write(after);
  const std::size_t shown = std::max<std::size_t>(1, rows);
  if (frame.rows.size() <= shown) return frame;
  const std::size_t first = frame.row + 1 > shown ? frame.row + 1 - shown : 0;
  frame.rows.erase(frame.rows.begin(), frame.rows.begin() + std::ptrdiff_t(first));
  frame.rows.resize(shown);
  frame.row -= first;
  return frame;
}

}  // namespace unroll::cli
