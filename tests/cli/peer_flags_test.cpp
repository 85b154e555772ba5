#include "host/cli/peer_flags.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/support/program.h"

namespace unroll::test {
namespace {

using cli::peer_flag_hint, cli::peer_flags, cli::PeerFlag;

/// The first flag of a hint; empty if it has none.
std::string flag_in(const std::string& hint) {
  const std::size_t begin = hint.find("--");
  if (begin == hint.npos) return "";
  return hint.substr(begin, hint.find_first_not_of("abcdefghijklmnopqrstuvwxyz-", begin) - begin);
}

/// Whether the help has the flag, perhaps with another way to write it.
bool describes(const std::string& help, const std::string& flag) {
  return contains(help, "  " + flag + " ") || contains(help, "  " + flag + ",");
}

TEST(PeerFlags, LeadToFlagsThatThereAre) {
  const std::string help = run_unroll("train --help-all").out + run_unroll("generate --help").out;
  for (const PeerFlag& flag : peer_flags()) {
    const std::string here = flag_in(flag.here);
    if (!here.empty()) {
      EXPECT_TRUE(describes(help, here)) << flag.name << ": " << here;
    }
    EXPECT_FALSE(describes(help, "--" + std::string(flag.name))) << "is ours: " << flag.name;
  }
}

TEST(PeerFlags, AreFoundAsTheirProgramsWriteThem) {
  EXPECT_EQ(peer_flag_hint("-rnn_size"), "--nhid");
  EXPECT_EQ(peer_flag_hint("--rnn-size"), "--nhid");
  EXPECT_EQ(peer_flag_hint("--size"), std::nullopt);
  EXPECT_EQ(peer_flag_hint("-"), std::nullopt);
}

TEST(PeerFlags, AreNamedInTheLineThatRefusesThem) {
  for (const char* line : {"train --rnn_size 128", "train -rnn_size 128", "train --rnn_size=128"}) {
    const Output refused = run_unroll(line);
    EXPECT_EQ(refused.status, 2) << line;
    EXPECT_TRUE(contains(refused.err, "here: --nhid (see unroll train --help)")) << refused.err;
  }
}

}  // namespace
}  // namespace unroll::test
