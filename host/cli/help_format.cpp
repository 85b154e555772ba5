#include "host/cli/help_format.h"

#include <algorithm>
#include <utility>

namespace unroll::cli {
namespace {

constexpr int kWidest = 100;
constexpr int kName = 28;    // column where descriptions begin
constexpr int kNarrow = 60;  // in so few columns they begin below the names

}  // namespace

std::string fold(std::string_view text, int columns, int indent) {
  std::string folded;
  int used = indent;
  const auto new_line = [&] {
    folded += '\n' + std::string(std::size_t(indent), ' ');
    used = indent;
  };
  while (!text.empty()) {
    if (text.front() == '\n') {
      new_line();
      text.remove_prefix(1);
      continue;
    }
    const std::size_t blanks = std::min(text.find_first_not_of(' '), text.size());
    const std::size_t end = std::min(text.find_first_of(" \n", blanks), text.size());
    if (used > indent && used + int(end) > columns) {
      new_line();
      text.remove_prefix(blanks);
      continue;
    }
    folded += text.substr(0, end);
    used += int(end);
    text.remove_prefix(end);
  }
  return folded;
}

HelpFormat::HelpFormat(int columns, Shows shows)
    : columns_(std::min(columns, kWidest)), shows_(std::move(shows)) {}

std::string HelpFormat::entry(const std::string& name, const std::string& description) const {
  const int indent = columns_ < kNarrow ? 4 : kName;
  std::string text = "  " + name;
  if (description.empty()) return text + "\n";
  if (int(text.size()) >= indent)
    text += '\n' + std::string(std::size_t(indent), ' ');
  else
    text.resize(std::size_t(indent), ' ');
  return text + fold(description, columns_, indent) + "\n";
}

std::string HelpFormat::make_option(const CLI::Option* option, bool positional) const {
  if (shows_ && !shows_(*option)) return "";
  return entry(make_option_name(option, positional) + make_option_opts(option),
               make_option_desc(option));
}

std::string HelpFormat::make_subcommand(const CLI::App* command) const {
  return entry(command->get_name(), command->get_description());
}

std::string HelpFormat::make_description(const CLI::App* command) const {
  return fold(CLI::Formatter::make_description(command), columns_, 0);
}

std::string HelpFormat::make_footer(const CLI::App* command) const {
  return fold(CLI::Formatter::make_footer(command), columns_, 0);
}

}  // namespace unroll::cli
