/// The program from its words to its exit status.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <memory>

namespace unroll::cli {

/// What a command line asks for, not begun: a command with its flags, or the text of a help page.
/// Errors    UsageError, of one line.
std::function<void()> parse(int argc, const char* const* argv);

/// The program with all its commands and all their flags, for pages that describe them.
std::shared_ptr<const CLI::App> describe_program();

/// Parses a command line and does what it asks for; returns the exit status.
int run(int argc, const char* const* argv);

}  // namespace unroll::cli
