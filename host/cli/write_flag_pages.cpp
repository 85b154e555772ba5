/// Run by the build: writes the pages that are made from the program's flags into a folder.
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>

#include "host/cli/command_line.h"
#include "host/cli/flag_pages.h"
#include "unroll/version.h"

namespace {

void write(const std::filesystem::path& file, const std::string& text) {
  std::filesystem::create_directories(file.parent_path());
  std::ofstream out(file, std::ios::binary);
  out << text;
  if (!out.flush()) throw std::runtime_error(file.string() + ": cannot be written");
}

}  // namespace

int main(int argc, char** argv) {
  try {
    if (argc != 2) throw std::runtime_error("expected one folder");
    const std::filesystem::path folder = argv[1];
    const auto program = unroll::cli::describe_program();
    write(folder / "man/unroll.1", unroll::cli::man_page(*program, unroll::kVersion));
    write(folder / "bash/unroll", unroll::cli::bash_completion(*program));
    write(folder / "zsh/_unroll", unroll::cli::zsh_completion(*program));
    write(folder / "fish/unroll.fish", unroll::cli::fish_completion(*program));
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "unroll_flag_pages: %s\n", error.what());
    return 1;
  }
}
