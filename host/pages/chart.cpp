#include "host/pages/chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>

#include "host/base/utf8.h"

namespace unroll {
namespace {

constexpr std::size_t kDots = 80;    // more of them would overlap
constexpr double kLetter = 6.2;      // width of a digit at the 11 px of the style sheet
constexpr double kBoldLetter = 8.2;  // width of a bold digit at the 14 px on paper
constexpr double kLeft = 46, kBottom = 36;
constexpr double kLabelRoom = 18;    // between the numbers of two marks
constexpr double kTooLarge = 1e100;  // arithmetic on a range must not overflow

struct Range {
  double low, high;
};

/// The range of a chart's y axis, with a margin. Values beyond Tukey's fence, here twice as far out
/// as his, are too high to be shown.
Range y_range(const Chart& chart) {
  std::vector<double> values;
  for (const ChartSeries& series : chart.series)
    for (const ChartPoint& point : series.points)
      if (std::abs(point.y) < kTooLarge) values.push_back(point.y);
  if (values.empty()) return {0, 1};
  std::ranges::sort(values);
  const auto quantile = [&](double q) {
    return values[std::size_t(q * double(values.size() - 1))];
  };
  const double fence = quantile(0.95) + 3 * (quantile(0.95) - quantile(0.05));
  double low = chart.from_zero ? std::min(0.0, values.front()) : values.front();
  double high = fence > quantile(0.95) ? std::min(values.back(), fence) : values.back();
  const double least = std::max(1e-9 * std::max(std::abs(low), std::abs(high)), 1e-30);
  const double span = high - low > least ? high - low : std::max(std::abs(high), 1e-6);
  high += 0.06 * span;
  if (!chart.from_zero || low < 0) low -= 0.04 * span;
  return {low, high};
}

Range x_range(const Chart& chart) {
  double high = 1;
  for (const ChartSeries& series : chart.series)
    for (const ChartPoint& point : series.points) high = std::max(high, point.x);
  for (const ChartMark& mark : chart.marks) high = std::max(high, mark.at.x);
  return {0, high};
}

/// All ticks of an axis have the same number of decimals; thousands are k, millions M.
std::string tick_label(double value, double step) {
  const double size = std::abs(value);
  if (size >= 1e9) return fmt::format("{:g}", value);
  if (size >= 1e6) return fmt::format("{:g}M", value / 1e6);
  if (size >= 1e3) return fmt::format("{:g}k", value / 1e3);
  if (size > 0 && step < 1e-4) {  // 2e-5
    const int exponent = int(std::floor(std::log10(size) + 1e-9));
    return fmt::format("{:.2g}e{}", value / std::pow(10, exponent), exponent);
  }
  const int decimals = std::clamp(int(-std::floor(std::log10(step) + 1e-9)), 0, 4);
  return fmt::format("{:.{}f}", value, value == 0 ? 0 : decimals);
}

/// Round perplexities whose logarithms are in the range; coarser ones if there are many.
std::vector<double> perplexity_ticks(const Range& loss) {
  // Beyond this, exp() overflows, and such a scale is useless.
  if (loss.low < -300 || loss.high > 300) return {};
  const double low = std::exp(loss.low), high = std::exp(loss.high);
  for (const std::vector<double>& digits :
       {std::vector<double>{1, 10}, {1, 2, 5, 10}, {1, 1.5, 2, 3, 5, 7, 10}}) {
    std::vector<double> ticks;
    for (double power = std::pow(10, std::floor(std::log10(low))); power <= high; power *= 10)
      for (std::size_t k = 0; k + 1 < digits.size(); ++k)
        if (digits[k] * power >= low && digits[k] * power <= high)
          ticks.push_back(digits[k] * power);
    if (ticks.size() >= 4) return ticks;
  }
  return nice_ticks(low, high, 5);
}

class Drawing {
 public:
  explicit Drawing(const Chart& chart)
      : chart_(chart),
        x_(x_range(chart)),
        y_(y_range(chart)),
        right_(chart.width - (chart.perplexity ? 46 : 10)),
        top_(chart.unit.empty() ? 10 : 40),  // room for the units and the labels of marks
        bottom_(chart.height - kBottom) {}

  std::string draw() {
    put("<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\" data-x=\"{} {}\" "
        "data-y=\"{} {}\" data-box=\"{} {} {} {}\">\n",
        chart_.width, chart_.height, escape_html(chart_.title), x_.low, x_.high, y_.low, y_.high,
        kLeft, top_, right_, bottom_);
    draw_y_axis();
    if (chart_.perplexity) draw_perplexity_axis();
    draw_x_axis();
    if (is_cut()) text((kLeft + right_) / 2, top_ - 1, "middle", "peaks are cut off");
    for (const ChartSeries& series : chart_.series) draw_line(series);
    for (const ChartSeries& series : chart_.series) draw_dots(series);
    draw_marks();
    put("<path class=\"cursor\" d=\"\"/>\n</svg>\n");
    return std::move(out_);
  }

 private:
  template <typename... Arguments>
  void put(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
    fmt::format_to(std::back_inserter(out_), format, std::forward<Arguments>(arguments)...);
  }

  double x(double value) const {
    return kLeft + (value - x_.low) / (x_.high - x_.low) * (right_ - kLeft);
  }
  double y(double value) const {  // values that are cut off are on the edge
    const double clamped = std::clamp(value, y_.low, y_.high);
    return bottom_ - (clamped - y_.low) / (y_.high - y_.low) * (bottom_ - top_);
  }

  void text(double at_x, double at_y, const char* anchor, const std::string& content) {
    put("<text class=\"tick\" x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\">{}</text>\n", at_x, at_y,
        anchor, escape_html(content));
  }

  bool is_cut() const {
    for (const ChartSeries& series : chart_.series)
      for (const ChartPoint& point : series.points)
        if (point.y > y_.high) return true;
    return false;
  }

  void draw_y_axis() {
    const std::vector<double> ticks =
        nice_ticks(y_.low, y_.high, std::max(2, int((bottom_ - top_) / 42)));
    const double step = ticks.size() > 1 ? ticks[1] - ticks[0] : 1;
    for (const double tick : ticks) {
      put("<path class=\"grid\" d=\"M{} {:.1f}H{}\"/>\n", kLeft, y(tick), right_);
      text(kLeft - 7, y(tick) + 3.8, "end", tick_label(tick, step));
    }
    text(4, 12, "start", chart_.unit);
  }

  void draw_perplexity_axis() {
    double last = std::numeric_limits<double>::infinity();
    for (const double tick : perplexity_ticks(y_)) {
      const double at = y(std::log(tick));
      if (last - at < 15) continue;
      last = at;
      put("<path class=\"axis\" d=\"M{} {:.1f}h4\"/>\n", right_, at);
      text(right_ + 7, at + 3.8, "start",
           tick >= 1e4 ? tick_label(tick, 1) : fmt::format("{:g}", tick));
    }
    text(chart_.width - 2, 12, "end", "perplexity");
  }

  void draw_x_axis() {
    put("<path class=\"axis\" d=\"M{} {}H{}\"/>\n", kLeft, bottom_, right_);
    for (const double tick : nice_ticks(x_.low, x_.high, std::max(2, int(right_ - kLeft) / 75))) {
      const std::string label = tick_label(tick, 1);
      // The last label stays inside the drawing.
      const double half = kLetter * double(label.size()) / 2;
      put("<path class=\"axis\" d=\"M{:.1f} {}v4\"/>\n", x(tick), bottom_);
      text(std::min(x(tick), chart_.width - 2 - half), bottom_ + 16, "middle", label);
    }
    text((kLeft + right_) / 2, bottom_ + 31, "middle", "step");
  }

  void draw_line(const ChartSeries& series) {
    put("<path class=\"line {}\" data-name=\"{}\" d=\"",
        class_of(series.style.empty() ? series.name : series.style), escape_html(series.name));
    bool pen_down = false;
    for (const ChartPoint& point : series.points) {
      if (!std::isfinite(point.y)) {
        pen_down = false;
        continue;
      }
      // A point between gaps is a line of length zero, which round caps make visible.
      put("{}{:.1f} {:.1f}{}", pen_down ? 'L' : 'M', x(point.x), y(point.y), pen_down ? "" : "h0");
      pen_down = true;
    }
    put("\"/>\n");
  }

  void draw_dots(const ChartSeries& series) {
    const std::size_t count = series.points.size();
    if ((!series.dots && count > 1) || count > kDots) return;
    for (const ChartPoint& point : series.points)
      if (std::isfinite(point.y))
        put("<circle class=\"dot {}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"2.6\"/>\n",
            class_of(series.style.empty() ? series.name : series.style), x(point.x), y(point.y));
  }

  void draw_marks() {
    double last_label = -kLabelRoom;
    for (const ChartMark& mark : chart_.marks) {
      const double at_x = x(mark.at.x);
      if (mark.kind != "best") {
        const bool shown = std::isfinite(mark.at.y) && mark.at.y < y_.high;
        const double at_y = shown ? y(mark.at.y) : top_ + 1;
        put("<g class=\"mark {}\"><title>{}</title><path class=\"drop\" "
            "d=\"M{:.1f} {:.1f}V{}\"/><path d=\"M{:.1f} {:.1f}l5 -9h-10z\"/>",
            class_of(mark.kind), escape_html(mark.text), at_x, at_y, bottom_, at_x, at_y + 4);
        if (!mark.label.empty() && at_x - last_label >= kLabelRoom) {
          put("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">{}</text>", at_x, at_y - 8,
              escape_html(mark.label));
          last_label = at_x;
        }
      } else {
        draw_ring(mark, at_x, y(mark.at.y));
      }
      put("</g>\n");
    }
  }

  void draw_ring(const ChartMark& mark, double at_x, double at_y) {
    const double half = kBoldLetter * double(mark.label.size()) / 2;
    const double label_x = std::clamp(at_x, kLeft + half + 4, right_ - half - 4);
    // A label above a point on a falling curve is free of the curve only at the foot of it.
    const bool below = at_y + 24 < bottom_;
    put("<g class=\"mark {}\"><title>{}</title><circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"5.5\"/>"
        "<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">{}</text>",
        class_of(mark.kind), escape_html(mark.text), at_x, at_y, label_x,
        below ? at_y + 19 : at_y - 11, escape_html(mark.label));
  }

  /// Letters only: "tokens/s" is the class "tokenss".
  static std::string class_of(const std::string& name) {
    std::string result;
    for (const char c : name)
      if (std::isalpha(static_cast<unsigned char>(c)))
        result += char(std::tolower(static_cast<unsigned char>(c)));
    return result;
  }

  const Chart& chart_;
  Range x_, y_;
  double right_, top_, bottom_;
  std::string out_;
};

}  // namespace

std::string draw_svg(const Chart& chart) {
  return Drawing(chart).draw();
}

std::vector<ChartPoint> thin(const std::vector<ChartPoint>& points, std::size_t limit) {
  const std::size_t stretches = std::max<std::size_t>(limit / 2, 1);
  if (points.size() <= 2 * stretches) return points;
  std::vector<ChartPoint> kept{points.front()};
  for (std::size_t k = 0; k < stretches; ++k) {
    const std::size_t begin = std::max<std::size_t>(1, k * points.size() / stretches);
    const std::size_t end = std::min(points.size() - 1, (k + 1) * points.size() / stretches);
    std::size_t low = end, high = end;
    for (std::size_t i = begin; i < end; ++i) {
      if (!std::isfinite(points[i].y)) continue;
      if (low == end || points[i].y < points[low].y) low = i;
      if (high == end || points[i].y > points[high].y) high = i;
    }
    if (low == end) {  // nothing but a gap
      if (begin < end) kept.push_back(points[begin]);
      continue;
    }
    kept.push_back(points[std::min(low, high)]);
    if (low != high) kept.push_back(points[std::max(low, high)]);
  }
  kept.push_back(points.back());
  return kept;
}

std::vector<double> nice_ticks(double low, double high, int count) {
  const double ideal = (high - low) / count;
  const double power = std::pow(10, std::floor(std::log10(ideal)));
  double step = 10 * power;
  for (const double factor : {1.0, 2.0, 5.0})
    if (factor * power >= ideal * 0.8) {
      step = factor * power;
      break;
    }
  std::vector<double> ticks;
  // Products, not sums, so that the tick at 0 is exactly 0. The slack keeps ticks at the ends.
  for (double k = std::ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; ++k)
    ticks.push_back(k * step + 0.0);
  return ticks;
}

std::string escape_html(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::size_t valid = find_invalid_utf8(text);
    for (const char c : text.substr(0, valid)) {
      const bool control = static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
      if (c == '&')
        out += "&amp;";
      else if (c == '<')
        out += "&lt;";
      else if (c == '>')
        out += "&gt;";
      else if (c == '"')
        out += "&quot;";
      else if (c == '\'')
        out += "&#39;";
      else if (control && c != '\n' && c != '\t')
        out += "\uFFFD";
      else
        out += c;
    }
    if (valid < text.size()) out += "\uFFFD";
    text.remove_prefix(std::min(text.size(), valid + 1));
  }
  return out;
}

}  // namespace unroll
