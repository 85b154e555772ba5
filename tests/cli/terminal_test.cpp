#include "host/cli/terminal.h"

#include <gtest/gtest.h>

#include "host/base/utf8.h"
#include "tests/support/program.h"

namespace unroll::test {
namespace {

using cli::printable_lines;
using cli::shell_quoted;
using cli::TerminalText;

TEST(ShellQuoted, IsReadBackByAShell) {
  EXPECT_EQ(shell_quoted("runs/ptb-1.0_a"), "runs/ptb-1.0_a");
  EXPECT_EQ(shell_quoted(""), "''");
  EXPECT_EQ(shell_quoted("my run"), "'my run'");
  EXPECT_EQ(shell_quoted("it's"), "'it'\\''s'");
  EXPECT_EQ(shell_quoted("caf\xC3\xA9 $HOME"), "'caf\xC3\xA9 $HOME'");
  EXPECT_EQ(shell_quoted("a\x1b[1m\n'\\\xFF"), "$'a\\x1b[1m\\x0a\\'\\\\\\xff'");
  for (const char* word : {"my run", "it's `id` $(id) \"$HOME\" \\ * ? ~ # ! & ; | < > ( ) [ ] { }",
                           "~", "a\x1b[1m\xE2\x80\xAEz\n'\\\xFF\x01", "-rf", "#", "caf\xC3\xA9"}) {
    const TempFolder folder;
    folder.write("command", std::string("printf %s ") + shell_quoted(word));
    EXPECT_EQ(run_script("bash command", folder.path()).out, word);
  }
}

TEST(PrintableLines, KeepTabsAndLineEnds) {
  EXPECT_EQ(printable_lines("a\tb\n\x1b[2J\r\nc\x7f"), "a\tb\n\\x1b[2J\\x0d\nc\\u007f");
  EXPECT_EQ(printable_lines("\n\n"), "\n\n");
  EXPECT_EQ(printable_lines(""), "");
}

TEST(TerminalText, WaitsForTheEndOfACharacter) {
  const std::string text = "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\x1b[0m\n";
  TerminalText out;
  std::string shown;
  for (const char c : text) shown += out.next(std::string_view(&c, 1));
  EXPECT_EQ(shown, "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\\x1b[0m\n");
  EXPECT_EQ(out.rest(), "");
  EXPECT_EQ(out.next("\x80\x80\x80\x80\xFFz"), "\\x80\\x80\\x80\\x80\\xffz");
  EXPECT_EQ(out.next("\xE2\x82"), "");
  EXPECT_EQ(out.next("b"),
            "\\xe2\\x82"
            "b");
  EXPECT_EQ(out.next("\xF0\x9F\x98"), "");
  EXPECT_EQ(out.rest(), "\\xf0\\x9f\\x98");
}

}  // namespace
}  // namespace unroll::test
