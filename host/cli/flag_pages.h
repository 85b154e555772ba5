/// Pages made from the program's own commands and flags: a manual page, and completions for shells.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace unroll::cli {

/// For man: one page of all commands. `version` is the program's.
std::string man_page(const CLI::App& program, const std::string& version);

// What shells read so that Tab completes commands and flags. What a flag takes is completed as the
// name of a file.
std::string bash_completion(const CLI::App& program);
std::string zsh_completion(const CLI::App& program);
std::string fish_completion(const CLI::App& program);

}  // namespace unroll::cli
