/// Groups of horizontal bars as SVG to be placed in an HTML page. Colours and type come from the
/// page's style sheet by class (bar NAME, floor, name, grid, tick), so that one drawing serves
/// light, dark and paper.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace unroll::benchmark {

struct Bar {
  std::string kind;              // its class in the style sheet
  std::optional<double> length;  // in units of the axis; none: the label stands in its place
  std::string label;             // at its end
  std::string text;              // what a browser shows when one points at it
  bool strong = false;           // a label that stands out
};

struct BarGroup {
  std::string name, note;  // above the bars; cut if they are too long
  std::vector<Bar> bars;
  bool floor = false;  // marked at 1
};

struct BarChart {
  std::string title, unit;  // what is drawn; of the axis
  std::vector<BarGroup> groups;
  double limit = 1;  // of the axis; a longer bar ends there, and is marked as cut
};

/// The chart as one <svg> element. The axis begins at zero: lengths of a group are to each other as
/// the values are.
std::string draw_bars(const BarChart& chart);

/// What a group adds to the height of a chart that is 360 wide.
double bar_group_height(std::size_t bars);

/// A limit for bars of these lengths. A few that are far longer than most are cut, so that the
/// others can be told apart.
double bar_limit(std::vector<double> lengths);

}  // namespace unroll::benchmark
