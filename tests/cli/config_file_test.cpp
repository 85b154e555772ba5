#include "host/cli/config_file.h"

#include <gtest/gtest.h>

#include "host/cli/values.h"
#include "tests/support/program.h"

namespace unroll::test {
namespace {

using Values = std::vector<std::string>;

Values values_of(const std::string& line) {
  const std::vector<cli::ConfigLine> lines = cli::read_config("x = " + line + "\n", "run.toml");
  return lines.size() == 1 ? lines[0].values : Values{"not one line"};
}

TEST(ConfigFile, ReadsTheValuesOfToml) {
  EXPECT_EQ(values_of("0.5"), Values{"0.5"});
  EXPECT_EQ(values_of("+1_000 # a thousand"), Values{"1000"});
  EXPECT_EQ(values_of("-1e-3"), Values{"-1e-3"});
  EXPECT_EQ(values_of("true"), Values{"true"});
  EXPECT_EQ(values_of("\"a # b\" # c"), Values{"a # b"});
  EXPECT_EQ(values_of(R"("a \"b\" \\ \t")"), Values{"a \"b\" \\ \t"});
  EXPECT_EQ(values_of(R"('C:\data')"), Values{R"(C:\data)"});
  EXPECT_EQ(values_of("[100, 200 ,300]"), (Values{"100", "200", "300"}));
  EXPECT_EQ(values_of("[\"a\", \"b\",]"), (Values{"a", "b"}));
  EXPECT_EQ(values_of("[]"), Values{});
}

TEST(ConfigFile, SaysWhereALineIs) {
  const std::vector<cli::ConfigLine> lines =
      cli::read_config("# settings\r\n\n  batch_size=3\r\nlr = 1", "run.toml");
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_EQ(lines[0].name, "batch-size");
  EXPECT_EQ(lines[0].where, "run.toml: line 3");
  EXPECT_EQ(lines[1].where, "run.toml: line 4");
}

TEST(ConfigFile, RefusesWhatIsNoLineOfFlags) {
  for (const auto& [text, message] :
       {std::pair("lr 0.5", "line 1: got '0.5', expected = after the name"),
        {"\n[train]", "line 2: got '[train]', expected the name of a flag"},
        {"lr =", "line 1: got the end of the line, expected a number, true, false, or a text"},
        {"lr = abc", "line 1: got 'abc', expected a number"},
        {"lr = 1 2", "line 1: got '2', expected nothing more, or a comment"},
        {"data = \"a", "line 1: got the end of the line, expected \" after the text"},
        {"data = 'a", "expected ' after the text"},
        {"data = \"\\q\"", "expected one of the escapes"},
        {"nhid = [1", "line 1: got the end of the line, expected , or ] after a value"},
        {"lr = 1\nlr = 2", "line 2: lr is there twice"},
        {"batch-size = 1\nbatch_size = 2", "line 2: batch-size is there twice"},
        {"lr = 1\xFF", "byte offset 6: is not UTF-8"}}) {
    SCOPED_TRACE(text);
    EXPECT_TRUE(contains(
        error_of<cli::UsageError>([&, text = text] { cli::read_config(text, "run.toml"); }),
        message));
  }
}

/// Flags, files and variables of `unroll train`, which ends when it has no data.
class Config : public ::testing::Test {
 protected:
  Output train(const std::string& config, const std::string& flags,
               const std::string& environment = "") const {
    folder_.write("run.toml", config);
    return run_script(environment + "unroll train --config run.toml --save run " + flags,
                      folder_.path());
  }

  TempFolder folder_;
};

TEST_F(Config, AFlagCountsBeforeTheFileAndTheFileBeforeAVariable) {
  // Which one counts is seen in what is refused.
  EXPECT_TRUE(contains(train("epochs = 0", "").err, "run.toml: line 1: --epochs: got 0"));
  EXPECT_TRUE(contains(train("epochs = 3\nlr = 0", "--epochs 0 --lr 1").err,
                       "unroll: --epochs: got 0, expected"));
  EXPECT_TRUE(contains(train("threads = 5000", "", "export UNROLL_THREADS=1; ").err,
                       "run.toml: line 1: --threads: got 5000"));
  EXPECT_TRUE(contains(train("", "", "export UNROLL_THREADS=6000; ").err, "--threads: got 6000"));
  EXPECT_TRUE(contains(train("", "--threads 7000", "export UNROLL_THREADS=6000; ").err,
                       "--threads: got 7000"));
  EXPECT_TRUE(contains(train("", "", "export UNROLL_DEVICE=gpu; ").err, "--device: got 'gpu'"));
  EXPECT_TRUE(contains(train("", "", "export UNROLL_THREADS=many; ").err,
                       "UNROLL_THREADS: got 'many', expected a whole number"));
  EXPECT_TRUE(contains(train("nhid = [3, 4]\nnlayers = 3", "").err, "--nhid: got 2 sizes"));
}

TEST_F(Config, ErrorsNameFileAndLine) {
  for (const auto& [config, message] :
       {std::pair("\nlrr = 1", "unroll: run.toml: line 2: unknown name 'lrr'; did you mean lr?"),
        {"lr = 'high'", "run.toml: line 1: lr: got 'high', expected a number"},
        {"epochs = 1.5", "run.toml: line 1: epochs: got '1.5', expected a whole number"},
        {"tied = 1", "run.toml: line 1: tied: got '1', expected true or false"},
        {"lr = [1, 2]", "run.toml: line 1: lr: got a list, expected one value"},
        {"config = 'x'", "run.toml: line 1: config belongs on the command line"},
        {"optimizer = 'adma'", "run.toml: line 1: --optimizer: got"}}) {
    SCOPED_TRACE(config);
    const Output refused = train(config, "");
    EXPECT_EQ(refused.status, 2);
    EXPECT_TRUE(contains(refused.err, message)) << refused.err;
    EXPECT_EQ(std::ranges::count(refused.err, '\n'), 1);
  }
  EXPECT_EQ(run_unroll("train --config /nonexistent").status, 2);
  EXPECT_TRUE(contains(run_unroll("train --config /dev/zero").err, "--config: /dev/zero: is a"));
}

}  // namespace
}  // namespace unroll::test
