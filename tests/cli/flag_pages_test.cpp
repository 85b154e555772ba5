/// Pages that describe the program: those that its flags make, and the one for users of others.
#include "host/cli/flag_pages.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <regex>
#include <set>
#include <sstream>
#include <string>

#include "host/cli/command_line.h"
#include "host/cli/peer_flags.h"
#include "tests/support/program.h"

namespace unroll::test {
namespace {

/// Whether a command is on this machine.
bool has(const std::string& command) {
  return run_script("command -v " + command).status == 0;
}

/// What bash offers after the words, in one line.
std::string offered(const std::string& words) {
  const TempFolder folder;
  folder.write("unroll", cli::bash_completion(*cli::describe_program()));
  return run_script("bash -c 'source ./unroll; COMP_WORDS=(" + words +
                        "); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _unroll; echo "
                        "\"${COMPREPLY[@]}\"'",
                    folder.path())
      .out;
}

TEST(FlagPages, BashCompletesCommandsAndTheirFlags) {
  if (!has("bash")) GTEST_SKIP() << "bash is missing";
  EXPECT_EQ(offered("unroll pre"), "predict\n");
  EXPECT_EQ(offered("unroll bench fl"), "floor\n");
  EXPECT_EQ(offered("unroll train --init-f"), "--init-from\n");
  EXPECT_EQ(offered("unroll bench rnn --qu"), "--quick\n");
  EXPECT_EQ(offered("unroll --json predict --tex"), "--text --text-file\n");
  EXPECT_EQ(offered("unroll tokenizer train --si"), "--size\n") << "not of train";
  EXPECT_EQ(offered("unroll train --data tra"), "\n") << "left to names of files";
  EXPECT_TRUE(contains(offered("unroll \"\""), "train eval predict"));
}

TEST(FlagPages, HaveEveryFlagOfEveryCommand) {
  const auto program = cli::describe_program();
  const std::string pages[] = {cli::man_page(*program, "1"), cli::bash_completion(*program),
                               cli::zsh_completion(*program), cli::fish_completion(*program)};
  int flags = 0;
  const std::function<void(const CLI::App&)> check = [&](const CLI::App& command) {
    for (const CLI::Option* option : command.get_options())
      for (const std::string& name : option->get_lnames()) {
        ++flags;
        EXPECT_TRUE(contains(pages[0], std::regex_replace(name, std::regex("-"), "\\-")));
        EXPECT_TRUE(contains(pages[1], "--" + name));
        EXPECT_TRUE(contains(pages[2], "'*--" + name + "["));
        EXPECT_TRUE(!command.get_parent() || contains(pages[3], " -l " + name)) << name;
      }
    for (const CLI::App* sub : command.get_subcommands(nullptr)) check(*sub);
  };
  check(*program);
  EXPECT_GT(flags, 100);
}

TEST(FlagPages, AreWellFormed) {
  const auto program = cli::describe_program();
  const TempFolder folder;
  folder.write("unroll.1", cli::man_page(*program, "1"));
  folder.write("_unroll", cli::zsh_completion(*program));
  folder.write("unroll.fish", cli::fish_completion(*program));
  const auto quiet = [&](const std::string& command) {
    const Output said = run_script(command, folder.path());
    EXPECT_EQ(said.status, 0) << command << said.err;
    EXPECT_EQ(said.err, "") << command;
    return said.out;
  };
  if (has("zsh")) quiet("zsh -n _unroll");
  if (has("fish")) quiet("fish --no-execute unroll.fish");
  if (has("groff")) {
    const std::string page = quiet("groff -man -Tascii -ww unroll.1 | col -b");
    EXPECT_TRUE(contains(page, "unroll bench rnn"));
    EXPECT_TRUE(contains(page, "--init-from"));
  }
}

TEST(FlagPages, VersionNamesTheCommitIfItIsKnown) {
  const std::string version = run_unroll("--version").out;
  EXPECT_TRUE(std::regex_match(version, std::regex("unroll [0-9.]+( \\([0-9a-f]+(-dirty)?\\))?\n")))
      << version;
}

// ---- docs/coming_from.md

struct PageRow {
  std::string peer, theirs, here;
};

std::vector<PageRow> rows_of_page() {
  std::istringstream page(read_text(UNROLL_SOURCE_DIR "/docs/coming_from.md"));
  std::vector<PageRow> rows;
  std::string peer;
  static const std::regex row("\\| `(-[^`]+)` \\| (.*) \\|");
  for (std::string line; std::getline(page, line);) {
    std::smatch match;
    if (line.starts_with("## ")) peer = line.substr(3);
    if (std::regex_match(line, match, row)) rows.push_back({peer, match[1], match[2]});
  }
  return rows;
}

/// Our way to write a flag: "--rnn-size" of "-rnn_size".
std::string spelt(std::string flag) {
  flag = flag.substr(flag.find_first_not_of('-'));
  std::ranges::replace(flag, '_', '-');
  return "--" + flag;
}

TEST(ComingFrom, EveryFlagLeadsToOneThatThereIs) {
  std::set<std::string> ours;
  const std::function<void(const CLI::App&)> collect = [&](const CLI::App& command) {
    for (const CLI::Option* option : command.get_options())
      for (const std::string& name : option->get_lnames()) ours.insert("--" + name);
    for (const CLI::App* sub : command.get_subcommands(nullptr)) collect(*sub);
  };
  collect(*cli::describe_program());
  const std::vector<PageRow> rows = rows_of_page();
  EXPECT_GT(rows.size(), 90U);
  static const std::regex flag("`(--[a-z-]+)[^`]*`");
  for (const PageRow& row : rows) {
    SCOPED_TRACE(row.peer + ": " + row.theirs);
    const bool is_ours = ours.contains(spelt(row.theirs));
    EXPECT_TRUE(is_ours || !row.here.starts_with("the same"));
    EXPECT_TRUE(is_ours || row.peer == "cuDNN's RNN sample" || cli::peer_flag_hint(row.theirs))
        << "typed here it gets no hint";
    for (std::sregex_iterator k(row.here.begin(), row.here.end(), flag), end; k != end; ++k)
      EXPECT_TRUE(ours.contains((*k)[1])) << (*k)[1];
  }
}

}  // namespace
}  // namespace unroll::test
