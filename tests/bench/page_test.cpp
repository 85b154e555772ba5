#include "host/bench/report/page.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <map>
#include <regex>

#include "host/bench/report/bar_chart.h"
#include "tests/support/results.h"
#include "tests/support/temp_folder.h"

namespace unroll::test {
namespace {

using benchmark::BarChart;
using benchmark::Case;
using benchmark::make_page;
using benchmark::Result;
using benchmark::Results;

int count(const std::string& text, const std::string& part) {
  int found = 0;
  for (std::size_t at = text.find(part); at != text.npos; at = text.find(part, at + 1)) ++found;
  return found;
}

/// Everything after the style sheet.
std::string body(const std::string& html) {
  return html.substr(html.find("<body>"));
}

struct DrawnBar {
  std::string kind, title;
  double width, length, limit, room;
};

std::vector<DrawnBar> bars_of(const std::string& html) {
  static const std::regex svg(
      R"re(data-limit="([^"]*)" data-left="([^"]*)" data-right="([^"]*)")re");
  static const std::regex bar(
      R"re(<g class="bar ([^"]*)"><title>([^<]*)</title><rect [^>]*width="([^"]*)"[^>]*data-length="([^"]*)")re");
  std::vector<DrawnBar> bars;
  for (std::size_t at = html.find("<svg"); at != html.npos; at = html.find("<svg", at + 1)) {
    const std::string drawing = html.substr(at, html.find("</svg>", at) - at);
    std::smatch box;
    if (!std::regex_search(drawing, box, svg)) throw std::runtime_error("no limit: " + drawing);
    for (std::sregex_iterator k(drawing.begin(), drawing.end(), bar), end; k != end; ++k)
      bars.push_back({(*k)[1], (*k)[2], std::stod((*k)[3]), std::stod((*k)[4]), std::stod(box[1]),
                      std::stod(box[3]) - std::stod(box[2])});
  }
  return bars;
}

/// Two passes with floors of 4 and 5; the times are multiples of them.
Results page_example() {
  Results results{.about = {"a <device>"}, .rows = {}};
  for (const char* pass : {"forward", "backward"})
    for (const char* shape : {"small", "large"}) {
      Case of = case_of(shape);
      of.pass = pass;
      const double floor = of.pass == "forward" ? 4 : 5;
      for (Result row : {timed(of, "unroll", "stepwise", 3 * floor),
                         timed(of, "unroll", "stepwise:8", 1.5 * floor),
                         timed(of, "cudnn", "cudnn:standard", 2.25 * floor),
                         timed(of, "pytorch", "eager", 6 * floor)}) {
        row.floor = floor;
        row.noise = 0.01;
        results.rows.push_back(row);
      }
    }
  return results;
}

TEST(BenchmarkPage, DrawsEachProgramsFastestTime) {
  const std::vector<DrawnBar> bars = bars_of(make_page(page_example()));
  ASSERT_EQ(bars.size(), 12U);
  const std::map<std::string, double> lengths = {{"unroll", 1.5}, {"cudnn", 2.25}, {"pytorch", 6}};
  for (const DrawnBar& bar : bars) {
    EXPECT_EQ(bar.length, lengths.at(bar.kind)) << bar.title;
    EXPECT_EQ(bar.limit, 6);
    // The drawing has two decimals.
    EXPECT_NEAR(bar.width, bar.length / bar.limit * bar.room, 0.0051) << bar.title;
  }
  EXPECT_TRUE(contains(bars[0].title,
                       "small, lstm, fp32, forward: unroll stepwise:8 graph: 6.000 µs per "
                       "timestep, ×1.50 the floor of 4.000 µs"));
}

TEST(BenchmarkPage, MarksEveryFloor) {
  const std::string html = make_page(page_example());
  EXPECT_EQ(count(html, "<path class=\"floor\""), 4);
  // At 1 on an axis to 6, from 1 to 278: 1 + 277 / 6.
  EXPECT_EQ(count(html, "<path class=\"floor\" d=\"M47.17 "), 4);
  Results without = page_example();
  for (Result& row : without.rows)
    if (row.of.shape == "large") row.floor.reset();
  const std::string other = make_page(without);
  EXPECT_EQ(count(other, "<path class=\"floor\""), 2);
  EXPECT_EQ(count(other, "no floor: × the fastest"), 4) << "drawn, and shown where one points";
  for (const DrawnBar& bar : bars_of(other))
    if (bar.title.starts_with("large") && bar.kind == "cudnn") {
      EXPECT_EQ(bar.length, 1.5);
    }
}

TEST(BenchmarkPage, CutsABarThatIsFarLonger) {
  EXPECT_EQ(benchmark::bar_limit({}), 1);
  EXPECT_EQ(benchmark::bar_limit({0.25}), 1) << "the floor is always on the axis";
  EXPECT_EQ(benchmark::bar_limit({1, 2, 3, 2, 1, 2, 3, 2, 1, 2, 5}), 5);
  std::vector<double> lengths(20, 2.0);
  lengths.push_back(500);
  EXPECT_EQ(benchmark::bar_limit(lengths), 3);
  const BarChart chart{.title = "t",
                       .unit = "u",
                       .groups = {{.name = "g", .bars = {{"unroll", 500.0, "l", "text"}}}},
                       .limit = 3};
  const std::string svg = draw_bars(chart);
  const std::vector<DrawnBar> bars = bars_of(svg);
  ASSERT_EQ(bars.size(), 1U);
  EXPECT_EQ(bars[0].width, bars[0].room);
  EXPECT_EQ(count(svg, "class=\"cut\""), 1);
}

TEST(BenchmarkPage, BeginsWithWhatIsLost) {
  Results results = page_example();
  EXPECT_TRUE(contains(make_page(results), "<p class=\"note\">Nowhere.</p>"));
  results.rows[2].median = 5;  // against our 6
  results.rows.push_back(refused(case_of("never"), "unroll", "stepwise", "out of <memory>"));
  results.rows.push_back(timed(case_of("never"), "cudnn", "cudnn:standard", 5));
  const std::string html = make_page(results);
  const std::size_t at = html.find("Where a baseline is faster");
  const std::string first = html.substr(at, html.find("<h2>", at) - at);
  EXPECT_EQ(count(first, "<tr>"), 3) << "with the head";
  EXPECT_TRUE(contains(first, "out of &lt;memory&gt;"));
  EXPECT_TRUE(contains(first, "<b>0.83</b>"));
  EXPECT_LT(first.find(">never<"), first.find(">small<"));
  EXPECT_LT(at, html.find("Geometric means"));
  EXPECT_LT(html.find("Geometric means"), html.find("<svg"));
  EXPECT_EQ(count(html, "class=\"label strong\""), 1);
  EXPECT_TRUE(contains(html, ">unroll: out of &lt;memory&gt;</text>")) << "in place of its bar";
}

TEST(BenchmarkPage, SaysWhereNothingWasMeasuredBeside) {
  Results results = page_example();
  std::erase_if(results.rows, [](const Result& row) { return row.program != "unroll"; });
  const std::string html = make_page(results);
  EXPECT_TRUE(contains(html, "No baseline has a time: there is nothing to compare."));
  EXPECT_FALSE(contains(html, "Nowhere."));
}

TEST(BenchmarkPage, HasEveryRow) {
  const std::string html = make_page(page_example());
  const std::string table = html.substr(html.find("<details>"));
  EXPECT_EQ(count(table, "<tr>"), 17) << "with the head";
  EXPECT_EQ(count(table, "<tr class=\"case\">"), 4);
  EXPECT_TRUE(contains(table,
                       "<td>12.00</td><td></td><td>0.75</td><td></td><td></td>"
                       "<td>4.000</td><td>3.00</td>"));
}

TEST(BenchmarkPage, EscapesWhatComesFromResults) {
  const std::string evil = "<script>\"'&\x01\xff</script>";
  Case of{evil, evil, evil, 1, 1, 1, evil, evil, evil};
  const Results results{.about = {evil},
                        .rows = {timed(of, "unroll", evil, 2), timed(of, evil, evil, 1),
                                 refused(of, "cudnn", evil, evil)}};
  const std::string html = body(make_page(results));
  EXPECT_FALSE(contains(html, "<script"));
  EXPECT_FALSE(contains(html, "\x01"));
  EXPECT_FALSE(contains(html, "\xff"));
  EXPECT_TRUE(contains(html, "&lt;script&gt;&quot;&#39;&amp;"));
  EXPECT_FALSE(contains(html, "=\"bar <")) << "a class is one that we know";
}

TEST(BenchmarkPage, StandsMissingAndStrangeNumbers) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const std::vector<std::optional<double>> values = {
      {}, 0.0, 1e-300, 1e300, kInfinity, std::numeric_limits<double>::quiet_NaN(), 3.0};
  Results results;
  for (std::size_t k = 0; k < values.size(); ++k)
    for (std::size_t j = 0; j < values.size(); ++j) {
      Result row = timed(case_of("s" + std::to_string(k) + std::to_string(j)), "unroll", "x", 1);
      row.median = row.least = row.most = row.noise = row.tflops = row.peak = values[k];
      row.floor = row.prepare = row.reserve_mib = row.work_mib = values[j];
      results.rows.push_back(row);
      row.program = "cudnn";
      row.median = values[j];
      results.rows.push_back(row);
    }
  for (const Results& part : {results, Results{}}) {
    const std::string html = body(make_page(part));
    // A bare "inf" would also match in words.
    static const std::regex number(R"([>" \[-](nan|inf)[^a-z])");
    EXPECT_FALSE(std::regex_search(html, number));
  }
  for (const DrawnBar& bar : bars_of(make_page(results)))
    EXPECT_TRUE(bar.width >= 0 && bar.width <= bar.room + 0.01) << bar.title;
}

TEST(BenchmarkPage, RefersToNothingOutsideItself) {
  const std::string html = make_page(page_example());
  for (const char* part : {"http", "src=", "href=", "url(", "@import", "<link", "<script"})
    EXPECT_FALSE(contains(html, part)) << part;
}

}  // namespace
}  // namespace unroll::test
