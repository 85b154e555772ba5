/// Line charts as SVG for an HTML page. Colours and type come from the page's style sheet by class
/// (line NAME, dot NAME, mark NAME, grid, tick), so that the same drawing works in light, dark and
/// on paper. Sizes are in CSS pixels at the chart's own width.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace unroll {

struct ChartPoint {
  double x, y;  // y NaN: a gap
};

struct ChartSeries {
  std::string name;  // in lower case also its class in the style sheet
  std::vector<ChartPoint> points;
  bool dots = false;    // mark each point, unless there are too many
  std::string style{};  // class in the style sheet, if it is not the name's
};

/// A highlighted point. A point outside the scale is drawn at the edge.
struct ChartMark {
  ChartPoint at;
  std::string kind;   // class in the style sheet; "best" is a ring, others are triangles
  std::string label;  // drawn beside it if there is room; may be empty
  std::string text;   // shown under the mouse pointer
};

struct Chart {
  std::string title;
  std::string unit;  // of the y axis
  std::vector<ChartSeries> series{};
  std::vector<ChartMark> marks{};
  bool from_zero = true;    // the y axis begins at zero
  bool perplexity = false;  // a second scale on the right, exp(y)
  int width = 288, height = 190;
};

/// The chart as one <svg> element. Values far above most others are cut off at the upper edge, so
/// that one bad step does not flatten the whole curve.
std::string draw_svg(const Chart& chart);

/// Keeps at most about `limit` points: the lowest and the highest of each of limit / 2 stretches,
/// in their order, and the first and the last point. Gaps shorter than a stretch are closed.
std::vector<ChartPoint> thin(const std::vector<ChartPoint>& points, std::size_t limit);

/// The multiples of 1, 2 or 5 times a power of ten within [low, high], about `count` of them.
/// Expects finite low < high.
std::vector<double> nice_ticks(double low, double high, int count);

/// Escapes text for HTML, including attributes. Bytes that are not UTF-8, and control characters
/// except line ends and tabs, become U+FFFD.
std::string escape_html(std::string_view text);

}  // namespace unroll
