/// What --help prints, folded to the width of the terminal.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>
#include <string_view>

namespace unroll::cli {

/// A text in lines of at most `columns` bytes where its words allow; lines after the first begin
/// with `indent` blanks, which count. Line ends of the text stay.
std::string fold(std::string_view text, int columns, int indent);

class HelpFormat : public CLI::Formatter {
 public:
  using Shows = std::function<bool(const CLI::Option&)>;
  /// Lines longer than 100 columns are hard to read, so wider terminals get these. `shows`: whether
  /// an option is shown; without it, each is.
  explicit HelpFormat(int columns, Shows shows = {});

  std::string make_option(const CLI::Option* option, bool positional) const override;
  std::string make_subcommand(const CLI::App* command) const override;
  std::string make_description(const CLI::App* command) const override;
  std::string make_footer(const CLI::App* command) const override;

 private:
  std::string entry(const std::string& name, const std::string& description) const;

  int columns_;
  Shows shows_;
};

}  // namespace unroll::cli
