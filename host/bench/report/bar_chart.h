/// Groups of horizontal bars as SVG for an HTML page. Colours and type come from the page's style
/// sheet by class (bar NAME, floor, name, grid, tick), so that the same drawing works in light,
/// dark and on paper.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace unroll::benchmark {

struct Bar {
  std::string kind;              // its class in the style sheet
  std::optional<double> length;  // in units of the axis; none: the label replaces the bar
  std::string label;             // at the end of the bar
  std::string text;              // shown under the mouse pointer
  bool strong = false;           // a label that stands out
};

struct BarGroup {
  std::string name, note;  // above the bars; cut if too long
  std::vector<Bar> bars;
  bool floor = false;  // draws a mark at 1
};

struct BarChart {
  std::string title, unit;  // what is drawn; the unit of the axis
  std::vector<BarGroup> groups;
  double limit = 1;  // end of the axis; longer bars end there and are marked as cut
};

/// The chart as one <svg> element. The axis begins at zero, so lengths are proportional to values.
std::string draw_bars(const BarChart& chart);

/// The height that a group adds to a chart of width 360.
double bar_group_height(std::size_t bars);

/// A limit for bars of these lengths. It cuts a few bars that are far longer than most, so that the
/// others can be told apart.
double bar_limit(std::vector<double> lengths);

}  // namespace unroll::benchmark
