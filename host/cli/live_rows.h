/// Rows at the bottom of a terminal that are drawn again and again, with the cursor in one of them.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace unroll::cli {

/// A row of text that is printable, but for the sequences that color it.
struct LiveRow {
  std::string text;
  std::size_t columns = 0;  // that the text takes: fewer than the terminal has
  bool operator==(const LiveRow&) const = default;
};

struct LiveFrame {
  std::vector<LiveRow> rows;        // at least one
  std::size_t row = 0, column = 0;  // of the cursor
};

/// What to write for each frame: only rows that differ from those of the frame before.
class LiveRows {
 public:
  std::string draw(LiveFrame frame);
  /// The frame stays, and what is written next stands below it.
  std::string leave();
  /// Takes the frame away after the terminal has got another width: it may have broken rows anew.
  std::string remove(std::size_t columns);
  /// The screen has been cleared, or belongs to others: the next frame is a new one.
  void forget() { drawn_ = {}; }

 private:
  LiveFrame drawn_;  // no rows: none
};

}  // namespace unroll::cli
