/// Rows for terminals of any width.
#include "host/cli/prediction_panel.h"

#include <gtest/gtest.h>

namespace unroll::test {
namespace {

using cli::columns_of;
using cli::first_columns;
using cli::LiveFrame;
using cli::LiveRow;
using cli::panel_rows;
using cli::PredictionPanel;
using cli::TerminalTraits;
using cli::typed_rows;

std::vector<std::string> texts(const std::vector<LiveRow>& rows) {
  std::vector<std::string> result;
  for (const LiveRow& row : rows) {
    result.push_back(row.text.substr(0, row.text.find_last_not_of(' ') + 1));
    EXPECT_EQ(columns_of(row.text), row.columns);
  }
  return result;
}

PredictionPanel example() {
  return {.history = "he ate the",
          .tokens = {{1, "cake", 0.5, 0.4}, {2, " fork ", 0.25, 0.5}, {3, "叉子", 0.001, {}}},
          .warning = "a warning"};
}

TEST(ColumnsOf, CountsWideAndJoinedCharacters) {
  EXPECT_EQ(columns_of(""), 0U);
  EXPECT_EQ(columns_of("cake"), 4U);
  EXPECT_EQ(columns_of("叉子"), 4U);
  EXPECT_EQ(columns_of("e\xCC\x81"), 1U);
  EXPECT_EQ(first_columns("a叉子b", 4), "a叉");
  EXPECT_EQ(first_columns("a叉子b", 5), "a叉子");
  EXPECT_EQ(first_columns("e\xCC\x81x", 1), "e\xCC\x81");
  EXPECT_EQ(first_columns("abc", 0), "");
}

TEST(PanelRows, HaveBarsAndTheTruth) {
  const TerminalTraits terminal{.columns = 51, .rows = 24, .color = false, .unicode = false};
  EXPECT_EQ(
      texts(panel_rows(example(), terminal, 20)),
      (std::vector<std::string>{"a warning", "After \"he ate the\":", "          model     true",
                                "  cake    0.500000  0.400000  ####################",
                                "  _fork_  0.250000  0.500000  ##########", "  叉子    0.001000"}));
  EXPECT_EQ(panel_rows(example(), terminal, 2).size(), 2U);
}

TEST(PanelRows, AreColoredOnlyWhereAsked) {
  TerminalTraits terminal{.columns = 60};
  EXPECT_NE(panel_rows(example(), terminal, 20)[3].text.find("\x1b[36m█"), std::string::npos);
  terminal.color = false;
  for (const LiveRow& row : panel_rows(example(), terminal, 20))
    EXPECT_EQ(row.text.find('\x1b'), std::string::npos);
}

TEST(PanelRows, AreNarrowerThanTheTerminal) {
  PredictionPanel panel = example();
  panel.history = std::string(300, 'x') + " \x1b[2J 叉子";
  panel.tokens[0].label = std::string(100, 'y');
  for (std::size_t columns = 1; columns <= 120; ++columns)
    for (const bool unicode : {false, true})
      for (const LiveRow& row :
           panel_rows(panel, {.columns = columns, .color = false, .unicode = unicode}, 20)) {
        EXPECT_LT(row.columns, std::max<std::size_t>(2, columns)) << row.text;
        EXPECT_EQ(columns_of(row.text), row.columns);
        EXPECT_EQ(row.text.find('\x1b'), std::string::npos);
      }
}

TEST(TypedRows, BreakALineAndPlaceTheCursor) {
  const TerminalTraits terminal{.columns = 9};
  const LiveFrame frame = typed_rows("abcdef叉", "子gh", terminal, 5);
  EXPECT_EQ(texts(frame.rows), (std::vector<std::string>{"> abcdef", "叉子gh"}));
  EXPECT_EQ(frame.row, 1U);
  EXPECT_EQ(frame.column, 2U);
  const LiveFrame odd = typed_rows("abcde叉", "", terminal, 5);  // half of it would fit
  EXPECT_EQ(texts(odd.rows), (std::vector<std::string>{"> abcde", "叉"}));
  const LiveFrame empty = typed_rows("", "", terminal, 5);
  EXPECT_EQ(empty.column, 2U);
}

TEST(TypedRows, ShowThoseAroundTheCursor) {
  const TerminalTraits terminal{.columns = 5};
  const LiveFrame end = typed_rows("abcdefghijkl", "", terminal, 2);
  EXPECT_EQ(texts(end.rows), (std::vector<std::string>{"ghij", "kl"}));
  EXPECT_EQ(end.row, 1U);
  const LiveFrame begin = typed_rows("a", "bcdefghijkl", terminal, 2);
  EXPECT_EQ(texts(begin.rows), (std::vector<std::string>{"> ab", "cdef"}));
  EXPECT_EQ(begin.row, 0U);
}

}  // namespace
}  // namespace unroll::test
