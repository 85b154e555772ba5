/// Terminals: their width, foreign text on them, and commands to copy from them.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace unroll::cli {

/// The width of the terminal that the descriptor leads to; 80 if it leads to none.
int terminal_columns(int fd);

/// One word of a command line, as a POSIX shell reads it; quoted only where it must be. Control
/// characters take the form $'\x1b', which bash, zsh and ksh read.
std::string shell_quoted(std::string_view word);

/// Text for a terminal that comes in pieces, which may cut characters. Control characters other
/// than tabs and line ends are escaped, as by printable().
class TerminalText {
 public:
  /// What can be shown now; the bytes of a character that is not complete wait for the next piece.
  std::string next(std::string_view piece);
  /// What is left at the end.
  std::string rest();

 private:
  std::string waiting_;
};

/// Columns that a printable text takes on a terminal: two for a wide character, none for one that
/// joins the one before it.
std::size_t columns_of(std::string_view text);
/// The beginning of a printable text that takes at most so many columns.
std::string_view first_columns(std::string_view text, std::size_t columns);

/// What the terminal at stdout can do, by its own word and the environment.
struct TerminalTraits {
  std::size_t columns = 80, rows = 24;
  bool moves = true;    // its cursor can be moved
  bool color = true;    // no NO_COLOR
  bool unicode = true;  // the locale's characters are UTF-8
};
TerminalTraits terminal_traits();

/// Lines as they are shown to people: printable(), except that tabs and line ends stay.
std::string printable_lines(std::string_view text);

}  // namespace unroll::cli
