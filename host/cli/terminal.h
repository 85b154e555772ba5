/// Terminals: their width, foreign text on them, and commands to copy from them.
#pragma once

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

/// Lines as they are shown to people: printable(), except that tabs and line ends stay.
std::string printable_lines(std::string_view text);

}  // namespace unroll::cli
