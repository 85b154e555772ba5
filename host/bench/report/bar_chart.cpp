#include "host/bench/report/bar_chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <string_view>
#include <utility>

#include "host/pages/chart.h"

namespace unroll::benchmark {
namespace {

// Sizes match the 11 px of the style sheet.
constexpr double kWidth = 360, kLeft = 1,
                 kRight = kWidth - 82;  // the label of a bar is to its right
constexpr double kTop = 22, kName = 17, kBar = 12, kGap = 10;
constexpr double kNameRoom = 215;  // per line; the bold letters of a name are a seventh wider

/// The approximate width of a letter of an 11 px sans serif type, rather too wide than too narrow.
double width_of_letter(char c) {
  if ((static_cast<unsigned char>(c) & 0xC0) == 0x80) return 0;  // continuation byte
  if (static_cast<unsigned char>(c) >= 0x80) return 11;
  if (std::string_view("MW@%mw").find(c) != std::string_view::npos) return 11;
  if (std::string_view("ijl.,:;|!'()[] /It").find(c) != std::string_view::npos) return 4.5;
  return c >= 'A' && c <= 'Z' ? 8.5 : 7;
}

/// As much of a text as fits, and its width.
std::pair<std::string, double> fitted(const std::string& text, double room) {
  double width = 0, cut_width = 0;
  std::size_t cut = 0;  // how much fits before an ellipsis
  for (std::size_t k = 0; k < text.size(); ++k) {
    if (width + 11 <= room && width_of_letter(text[k]) > 0) cut = k, cut_width = width + 11;
    width += width_of_letter(text[k]);
    if (width > room) return {text.substr(0, cut) + "…", cut_width};
  }
  return {text, width};
}

class Drawing {
 public:
  explicit Drawing(const BarChart& chart) : chart_(chart) {}

  std::string draw() {
    double height = kTop;
    for (const BarGroup& group : chart_.groups) height += bar_group_height(group.bars.size());
    put("<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\" data-limit=\"{}\" "
        "data-left=\"{}\" data-right=\"{}\">\n",
        kWidth, height, escape_html(chart_.title), chart_.limit, kLeft, kRight);
    for (const double tick : nice_ticks(0, chart_.limit, 5)) {
      put("<path class=\"grid\" d=\"M{:.2f} {}V{}\"/>\n", x(tick), kTop - 5, height - kGap / 2);
      put("<text class=\"tick\" x=\"{:.2f}\" y=\"{}\" text-anchor=\"{}\">{:g}</text>\n", x(tick),
          kTop - 9, tick == 0 ? "start" : "middle", tick);
    }
    put("<text class=\"tick\" x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>\n", kWidth, kTop - 9,
        escape_html(chart_.unit));
    double top = kTop;
    for (const BarGroup& group : chart_.groups) top = draw_group(group, top);
    put("</svg>\n");
    return std::move(out_);
  }

 private:
  template <typename... Arguments>
  void put(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
    fmt::format_to(std::back_inserter(out_), format, std::forward<Arguments>(arguments)...);
  }

  double x(double value) const { return kLeft + value / chart_.limit * (kRight - kLeft); }

  /// Returns the top of the next group.
  double draw_group(const BarGroup& group, double top) {
    constexpr double kBold = 8.0 / 7, kSpace = 7;
    const auto [name, width] = fitted(group.name, kNameRoom / kBold);
    const double left = kWidth - kBold * width - kSpace;
    put("<g class=\"group\"><text class=\"name\" x=\"0\" y=\"{}\"><title>{}, {}</title>{}"
        "<tspan dx=\"{}\">{}</tspan></text>\n",
        top + kName - 5, escape_html(group.name), escape_html(group.note), escape_html(name),
        kSpace, escape_html(fitted(group.note, left).first));
    const double first = top + kName, last = first + kBar * double(group.bars.size());
    double at = first;
    for (const Bar& bar : group.bars) draw_bar(bar, std::exchange(at, at + kBar));
    if (group.floor)
      put("<path class=\"floor\" d=\"M{:.2f} {}V{}\"/>\n", x(1), first - 2, last + 2);
    at = first;
    for (const Bar& bar : group.bars)  // last, so that nothing is drawn over them
      draw_label(bar, std::exchange(at, at + kBar));
    put("</g>\n");
    return last + kGap;
  }

  double end_of(const Bar& bar) const {
    return bar.length ? x(std::min(*bar.length, chart_.limit)) : kLeft;
  }

  void draw_bar(const Bar& bar, double top) {
    if (!bar.length) return;
    const double end = end_of(bar);
    put("<g class=\"bar {}\"><title>{}</title><rect x=\"{}\" y=\"{}\" width=\"{:.2f}\" "
        "height=\"{}\" data-length=\"{}\"/>",
        bar.kind, escape_html(bar.text), kLeft, top + 1, end - kLeft, kBar - 2, *bar.length);
    if (*bar.length > chart_.limit)  // a gap, like a torn strip
      put("<path class=\"cut\" d=\"M{:.2f} {}l4 -{}\"/>", end - 12, top + kBar, kBar);
    put("</g>\n");
  }

  void draw_label(const Bar& bar, double top) {
    put("<text class=\"{}\" x=\"{:.2f}\" y=\"{}\"><title>{}</title>{}</text>\n",
        bar.strong ? "label strong" : "label", end_of(bar) + 4, top + kBar - 2.5,
        escape_html(bar.text), escape_html(fitted(bar.label, kWidth - end_of(bar) - 4).first));
  }

  const BarChart& chart_;
  std::string out_;
};

}  // namespace

std::string draw_bars(const BarChart& chart) {
  return Drawing(chart).draw();
}

double bar_group_height(std::size_t bars) {
  return kName + kBar * double(bars) + kGap;
}

double bar_limit(std::vector<double> lengths) {
  if (lengths.empty()) return 1;
  std::ranges::sort(lengths);
  const double most = lengths[std::size_t(0.9 * double(lengths.size() - 1))];
  return std::max(lengths.back() > 2.5 * most ? 1.5 * most : lengths.back(), 1.0);
}

}  // namespace unroll::benchmark
