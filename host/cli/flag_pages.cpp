#include "host/cli/flag_pages.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <string_view>
#include <vector>

namespace unroll::cli {
namespace {

using Options = std::vector<const CLI::Option*>;
using Commands = std::vector<const CLI::App*>;

Commands commands_of(const CLI::App& app) {
  return app.get_subcommands(nullptr);
}

/// Calls visit(command, its words, as in "bench rnn") for the program and all commands.
void for_each_command(const CLI::App& app,
                      const std::function<void(const CLI::App&, const std::string&)>& visit,
                      const std::string& words = "") {
  visit(app, words);
  for (const CLI::App* command : commands_of(app))
    for_each_command(*command, visit, words + (words.empty() ? "" : " ") + command->get_name());
}

/// Flags only, not what is given by its place.
Options flags_of(const CLI::App& command) {
  Options flags = command.get_options();
  std::erase_if(flags, [](const CLI::Option* option) { return !option->nonpositional(); });
  return flags;
}

/// "--batch-size", "--batch_size", "-h".
std::vector<std::string> spellings(const CLI::Option& flag) {
  std::vector<std::string> names;
  for (const std::string& name : flag.get_lnames()) names.push_back("--" + name);
  for (const std::string& name : flag.get_snames()) names.push_back("-" + name);
  return names;
}

bool takes_value(const CLI::Option& flag) {
  return flag.get_expected_max() > 0 && flag.get_type_size_max() > 0;
}

std::string joined(const std::vector<std::string>& words, const std::string& between = " ") {
  return fmt::format("{}", fmt::join(words, between));
}

/// What a list of completions has room for.
std::string brief(const std::string& description) {
  constexpr std::size_t kMost = 70;
  const std::size_t end = std::min(
      {description.find(". "), description.find("; "), description.find(" ["), description.size()});
  if (end <= kMost) return description.substr(0, end);
  return description.substr(0, description.rfind(' ', kMost)) + " ...";
}

std::string replaced(std::string_view text, std::string_view which,
                     const std::function<std::string(char)>& with) {
  std::string out;
  for (const char c : text) out += which.find(c) == which.npos ? std::string(1, c) : with(c);
  return out;
}

/// A text within single quotes of a POSIX shell or zsh.
std::string in_shell_quotes(std::string_view text) {
  return "'" + replaced(text, "'", [](char) { return "'\\''"; }) + "'";
}

std::string in_fish_quotes(std::string_view text) {
  return "'" + replaced(text, "'\\", [](char c) { return std::string("\\") + c; }) + "'";
}

/// A text for troff, which takes hyphens, backslashes and what begins a line for its own.
std::string in_roff(std::string_view text) {
  std::string out;
  bool begins = true;
  for (const char c : text) {
    if (begins && (c == '.' || c == '\'')) out += "\\&";
    begins = c == '\n';
    if (c == '\\')
      out += "\\e";
    else if (c == '-')
      out += "\\-";
    else
      out += c;
  }
  return out;
}

void add_flags_to_man(const CLI::App& command, std::string& page) {
  for (const CLI::Option* option : command.get_options()) {
    if (command.get_parent() && option->check_lname("help")) continue;  // each has it
    std::vector<std::string> names;
    for (const std::string& name : spellings(*option))
      names.push_back("\\fB" + in_roff(name) + "\\fR");
    if (names.empty()) names.push_back("\\fI" + in_roff(option->get_name()) + "\\fR");
    const std::string value = takes_value(*option) && option->nonpositional()
                                  ? " \\fI" + in_roff(option->get_type_name()) + "\\fR"
                                  : "";
    const std::string otherwise = option->get_default_str();
    page += fmt::format(".TP\n{}{}\n{}{}\n", joined(names, ", "), value,
                        in_roff(option->get_description()),
                        otherwise.empty() ? "" : " [" + in_roff(otherwise) + "]");
  }
}

void add_to_man(const CLI::App& command, const std::string& words, const std::string& for_all,
                std::string& page) {
  page +=
      fmt::format(".SS \"unroll {}\"\n{}.\n", in_roff(words), in_roff(command.get_description()));
  add_flags_to_man(command, page);
  // Commands inherit the footer of the program, and put their own before it.
  std::string footer = command.get_footer();
  if (footer.ends_with(for_all)) footer.resize(footer.size() - for_all.size());
  while (footer.ends_with('\n')) footer.pop_back();
  if (!footer.empty()) page += ".PP\n" + in_roff(footer) + "\n";
}

}  // namespace

std::string man_page(const CLI::App& program, const std::string& version) {
  std::string page = fmt::format(
      ".TH UNROLL 1 \"\" \"unroll {}\" \"User Commands\"\n.SH NAME\nunroll \\- trains recurrent "
      "neural networks and asks them questions\n.SH SYNOPSIS\n.B unroll\n.I COMMAND\n[flags]\n.SH "
      "DESCRIPTION\n{}\n.SH FLAGS\n",
      in_roff(version), in_roff(program.get_description()));
  add_flags_to_man(program, page);
  page += ".SH COMMANDS\n";
  for_each_command(program, [&](const CLI::App& command, const std::string& words) {
    if (!words.empty()) add_to_man(command, words, program.get_footer(), page);
  });
  page += fmt::format(".SH NOTES\n.nf\n{}\n.fi\n", in_roff(program.get_footer()));
  return page;
}

std::string bash_completion(const CLI::App& program) {
  std::string steps, words_of;
  for_each_command(program, [&](const CLI::App& command, const std::string& words) {
    std::vector<std::string> offered;
    for (const CLI::App* sub : commands_of(command)) {
      offered.push_back(sub->get_name());
      steps += fmt::format("      '{} {}') command='{}{}{}' ;;\n", words, sub->get_name(), words,
                           words.empty() ? "" : " ", sub->get_name());
    }
    for (const CLI::Option* flag : flags_of(command))
      for (const std::string& name : spellings(*flag)) offered.push_back(name);
    words_of += fmt::format("    '{}') words='{}' ;;\n", words, joined(offered));
  });
  // Where no word fits, readline completes names of files.
  return fmt::format(R"(# bash completion for unroll

_unroll() {{
  local word=${{COMP_WORDS[COMP_CWORD]}} command='' words='' k
  for ((k = 1; k < COMP_CWORD; ++k)); do
    case "$command ${{COMP_WORDS[k]}}" in
{}    esac
  done
  case "$command" in
{}  esac
  COMPREPLY=()
  case "$word" in
    -*) mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word") ;;
    *)
      case "${{COMP_WORDS[COMP_CWORD - 1]}}" in
        --*) ;;
        *) mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word") ;;
      esac
      ;;
  esac
}}
complete -o default -F _unroll unroll
)",
                     steps, words_of);
}

std::string zsh_completion(const CLI::App& program) {
  std::string cases, steps;
  for_each_command(program, [&](const CLI::App& command, const std::string& words) {
    std::string body;
    std::vector<std::string> commands;
    for (const CLI::App* sub : commands_of(command)) {
      const auto plain = [](char c) { return std::string("\\") + c; };
      commands.push_back(in_shell_quotes(sub->get_name() + ":" +
                                         replaced(brief(sub->get_description()), ":\\", plain)));
      steps += fmt::format("      '{} {}') command='{}{}{}' ;;\n", words, sub->get_name(), words,
                           words.empty() ? "" : " ", sub->get_name());
    }
    if (!commands.empty())
      body += fmt::format("      commands=({})\n      _describe command commands\n",
                          joined(commands, "\n        "));
    std::vector<std::string> arguments;
    for (const CLI::Option* flag : flags_of(command))
      for (const std::string& name : spellings(*flag))
        arguments.push_back(
            in_shell_quotes(fmt::format("*{}[{}]{}", name,
                                        replaced(brief(flag->get_description()), "[]:\\",
                                                 [](char c) { return std::string("\\") + c; }),
                                        takes_value(*flag) ? ":value:_files" : "")));
    body += fmt::format("      _arguments {} \\\n        '*:file:_files'\n",
                        joined(arguments, " \\\n        "));
    cases += fmt::format("    '{}')\n{}      ;;\n", words, body);
  });
  return fmt::format(R"(#compdef unroll

_unroll() {{
  local command='' k
  local -a commands
  for ((k = 2; k < CURRENT; ++k)); do
    case "$command ${{words[k]}}" in
{}    esac
  done
  case "$command" in
{}  esac
}}
_unroll "$@"
)",
                     steps, cases);
}

std::string fish_completion(const CLI::App& program) {
  std::string text = "# fish completion for unroll\n";
  const Commands all = commands_of(program);
  for (const CLI::App* command : all)
    text += fmt::format("complete -c unroll -f -n __fish_use_subcommand -a {} -d {}\n",
                        command->get_name(), in_fish_quotes(brief(command->get_description())));
  for_each_command(program, [&](const CLI::App& command, const std::string& words) {
    if (words.empty()) return;
    const std::size_t blank = words.find(' ');
    const std::string name = words.substr(0, blank);
    std::string condition = "__fish_seen_subcommand_from " + name;
    // "tokenizer train" has the word of "train", too.
    for (const CLI::App* other : all)
      if (blank == words.npos && other != &command)
        for (const CLI::App* sub : commands_of(*other))
          if (sub->get_name() == name)
            condition += "; and not __fish_seen_subcommand_from " + other->get_name();
    if (blank != words.npos)
      condition += "; and __fish_seen_subcommand_from " + words.substr(blank + 1);
    for (const CLI::App* sub : commands_of(command))
      text += fmt::format("complete -c unroll -f -n '{}' -a {} -d {}\n", condition, sub->get_name(),
                          in_fish_quotes(brief(sub->get_description())));
    for (const CLI::Option* flag : flags_of(command)) {
      std::string names;
      for (const std::string& one : flag->get_lnames()) names += " -l " + one;
      for (const std::string& one : flag->get_snames()) names += " -s " + one;
      text += fmt::format("complete -c unroll -n '{}'{}{} -d {}\n", condition, names,
                          takes_value(*flag) ? " -r" : "",
                          in_fish_quotes(brief(flag->get_description())));
    }
  });
  return text;
}

}  // namespace unroll::cli
