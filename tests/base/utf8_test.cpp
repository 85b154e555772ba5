#include "host/base/utf8.h"

#include <gtest/gtest.h>

namespace unroll::test {
namespace {

TEST(Printable, LeavesOrdinaryTextAsItIs) {
  const std::string text = "path/to \\x41 'caf\xC3\xA9' \xE2\x82\xAC \xF0\x9F\x98\x80 \xC2\xA0";
  EXPECT_EQ(printable(text), text);
}

TEST(Printable, EscapesWhatATerminalObeys) {
  EXPECT_EQ(printable(std::string("\0\n\r\t\x1b[31m\x1f ", 11)),
            "\\x00\\x0a\\x0d\\x09\\x1b[31m\\x1f ");
  EXPECT_EQ(printable("\x7f\xC2\x80\xC2\x9B\xC2\x9F"), "\\u007f\\u0080\\u009b\\u009f");
  EXPECT_EQ(printable("\xE2\x80\xA8\xE2\x80\xAE\xE2\x81\xA6\xE2\x81\xA9"),
            "\\u2028\\u202e\\u2066\\u2069");
  EXPECT_EQ(printable("\xE2\x80\xA7\xE2\x80\xAF\xE2\x81\xA5\xE2\x81\xAA"),
            "\xE2\x80\xA7\xE2\x80\xAF\xE2\x81\xA5\xE2\x81\xAA");
}

TEST(Printable, EscapesBytesThatAreNotUtf8) {
  EXPECT_EQ(printable("a\xFF\xC3(\xE2\x82"), "a\\xff\\xc3(\\xe2\\x82");
  EXPECT_EQ(printable("\x9B"
                      "31m"),
            "\\x9b31m");
  EXPECT_EQ(printable("\xED\xA0\x80"), "\\xed\\xa0\\x80");
}

TEST(Printable, IsTheSameWhenRepeated) {
  const std::string once = printable("\x1b]0;title\x07 \xE2\x80\xAE \xFF \\x1b");
  EXPECT_EQ(printable(once), once);
}

TEST(InQuotes, IsPrintableAndShort) {
  EXPECT_EQ(in_quotes("a\x1b\xC2\x9B\xFF"), "'a\\x1b\\u009b\\xff'");
  EXPECT_EQ(in_quotes(std::string(60, 'a')), "'" + std::string(60, 'a') + "'");
  EXPECT_EQ(in_quotes(std::string(61, 'a')), "'" + std::string(60, 'a') + "'...");
  // The displayed text is short, even if its source is not.
  std::string shown;
  for (int k = 0; k < 15; ++k) shown += "\\x80";
  EXPECT_EQ(in_quotes(std::string(15, '\x80')), "'" + shown + "'");
  EXPECT_EQ(in_quotes(std::string(1000, '\x80')), "'" + shown + "'...");
}

}  // namespace
}  // namespace unroll::test
