/// The program from its words to its exit status.
#pragma once

#include <functional>

namespace unroll::cli {

/// What a command line asks for, not begun: a command with its flags, or the text of a help page.
/// Errors    UsageError, of one line.
std::function<void()> parse(int argc, const char* const* argv);

/// Parses a command line and does what it asks for; returns the exit status.
int run(int argc, const char* const* argv);

}  // namespace unroll::cli
