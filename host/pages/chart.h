/// Line charts as SVG to be placed in an HTML page. Colours and type come from the page's style
/// sheet by class (line NAME, dot NAME, mark NAME, grid, tick), so that one drawing serves light,
/// dark and paper; sizes are in CSS pixels at the chart's own width.
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
  std::string name;  // also in lower case its class in the style sheet
  std::vector<ChartPoint> points;
  bool dots = false;  // mark each point, unless there are too many to tell apart
};

/// A point that stands out. One off the scale is drawn at its edge.
struct ChartMark {
  ChartPoint at;
  std::string kind;   // class in the style sheet; "best" is a ring, others are triangles
  std::string label;  // drawn beside it where there is room; may be empty
  std::string text;   // what a browser shows when one points at it
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
/// that one bad step does not flatten a whole curve.
std::string draw_svg(const Chart& chart);

/// At most about `limit` of the points: of each of limit / 2 stretches the lowest and the highest,
/// in their order, and the first and the last point. Gaps shorter than a stretch are closed.
std::vector<ChartPoint> thin(const std::vector<ChartPoint>& points, std::size_t limit);

/// The multiples of 1, 2 or 5 times a power of ten within [low, high] of which there are about
/// `count`. Expects finite low < high.
std::vector<double> nice_ticks(double low, double high, int count);

/// Text for HTML, in an attribute too. What is not UTF-8, and control characters but line ends and
/// tabs, become U+FFFD.
std::string escape_html(std::string_view text);

}  // namespace unroll
