/// A line chart as an SVG file.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

struct Line {
  std::string name;
  std::vector<double> y;             // at x = 0, 1, 2, ...
  std::vector<std::string> at = {};  // a text under each point, or none
};

inline std::string svg_text(double x, double y, const std::string& text, const char* more = "") {
  std::string escaped;
  for (const char c : text)
    escaped += c == '<' ? "&lt;" : c == '>' ? "&gt;" : c == '&' ? "&amp;" : std::string(1, c);
  return "<text x='" + std::to_string(x) + "' y='" + std::to_string(y) + "' " + more + ">" +
         escaped + "</text>\n";
}

/// Draws lines over one x axis. Without a file name it does nothing.
inline void write_line_chart(const std::string& file, const std::string& title,
                             const std::vector<Line>& lines) {
  if (file.empty()) return;
  constexpr double kLeft = 52, kTop = 40, kWidth = 760, kHeight = 240;
  constexpr const char* kColours[] = {"#1f5fa8", "#c2410c", "#15803d", "#7e22ce"};
  double low = lines[0].y[0], high = low;
  std::size_t points = 2;
  for (const Line& line : lines) {
    points = std::max(points, line.y.size());
    for (const double y : line.y) low = std::min(low, y), high = std::max(high, y);
  }
  const auto at_x = [&](std::size_t k) { return kLeft + kWidth * double(k) / double(points - 1); };
  const auto at_y = [&](double y) {
    return kTop + kHeight * (high - y) / std::max(high - low, 1e-9);
  };
  std::ofstream out(file);
  out << "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 1000 320' font-family='sans-serif' "
         "font-size='12'>\n<rect width='1000' height='320' fill='white'/>\n"
      << svg_text(kLeft, 22, title, "font-size='15' font-weight='bold'");
  double step = std::pow(10, std::floor(std::log10(std::max(high - low, 1e-9))));
  if ((high - low) / step < 3) step /= 4;
  for (double y = std::ceil(low / step) * step; y <= high; y += step) {
    char label[32];
    std::snprintf(label, sizeof label, "%g", std::abs(y) < step / 2 ? 0 : y);
    out << "<path d='M" << kLeft << ' ' << at_y(y) << 'h' << kWidth << "' stroke='#ddd'/>\n"
        << svg_text(kLeft - 6, at_y(y) + 4, label, "text-anchor='end'");
  }
  for (std::size_t l = 0; l < lines.size(); ++l) {
    const std::string colour = kColours[l % std::size(kColours)];
    out << "<polyline fill='none' stroke-width='2' stroke='" << colour << "'"
        << (l < std::size(kColours) ? "" : " stroke-dasharray='6 4'") << " points='";
    for (std::size_t k = 0; k < lines[l].y.size(); ++k)
      out << at_x(k) << ',' << at_y(lines[l].y[k]) << ' ';
    out << "'/>\n"
        << svg_text(kLeft + kWidth + 12, kTop + 8 + 20 * double(l), lines[l].name,
                    ("fill='" + colour + "'").c_str());
    for (std::size_t k = 0; k < lines[l].at.size(); ++k)
      out << svg_text(at_x(k), kTop + kHeight + 20, lines[l].at[k], "text-anchor='middle'");
  }
  out << "</svg>\n";
}
