/// What eval, predict and generate read beside one file and a text among their flags.
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "host/data/grammar.h"
#include "tests/support/program.h"

namespace unroll::test {
namespace {

using nlohmann::json;

/// A model of a few words, trained once.
class EvalTexts : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new TempFolder;
    std::string text;
    for (int k = 0; k < 80; ++k) text += "a b <unk> c\nb a d\n";
    folder_->write("train.txt", text);
    folder_->write("one.txt", "a b zebra c\nb <unk> d\n");
    folder_->write("two.txt", "b a d\n");
    made_ =
        run("unroll train --device cpu --data train.txt --save run --cache-dir cache --nhid 9 "
            "--emsize 7 --nlayers 1 --dropout 0 --batch-size 2 --bptt 5 --epochs 2 --optimizer "
            "adam --lr 0.02");
  }
  static void TearDownTestSuite() { delete folder_; }
  void SetUp() override { ASSERT_EQ(made_.status, 0) << made_.err; }
  static Output run(const std::string& script) { return run_script(script, folder_->path()); }
  static json ask(const std::string& script) {
    const Output said = run(script);
    EXPECT_EQ(said.status, 0) << said.err;
    return json::parse(said.out);
  }

  static TempFolder* folder_;
  static Output made_;
};
TempFolder* EvalTexts::folder_ = nullptr;
Output EvalTexts::made_ = {};

const std::string kEval = "unroll eval --json --device cpu --checkpoint run --data ";

TEST_F(EvalTexts, WithAndWithoutUnknownWords) {
  const json all = ask(kEval + "one.txt");
  EXPECT_EQ(all["tokens"], 9);
  EXPECT_EQ(all["unknown"], 1);
  EXPECT_EQ(all["unknown_in_text"], 1);
  // The same from the log probability of each token.
  double known = 0, sum = 0;
  int count = 0;
  std::istringstream lines_of(
      run("unroll score --json --carry --tokens --device cpu --checkpoint run < one.txt").out);
  for (std::string text; std::getline(lines_of, text);) {
    json line = json::parse(text);
    for (const json& token : line["token_logprobs"]) {
      const double log_prob = token["logprob"];
      sum += log_prob;
      if (token["token"] == "<unk>" || token["token"] == "zebra") continue;
      known += log_prob;
      ++count;
    }
  }
  EXPECT_EQ(count, 7);
  EXPECT_NEAR(double(all["loss"]), -sum / 9, 1e-6);
  EXPECT_NEAR(double(all["known_loss"]), -known / 7, 1e-6);
  EXPECT_NEAR(double(all["known_ppl"]), std::exp(-known / 7), 1e-4);
  const std::string lines = run("unroll eval --device cpu --checkpoint run --data one.txt").out;
  EXPECT_TRUE(contains(lines, "| model | loss ")) << lines;
  EXPECT_TRUE(contains(lines, "| tokens 7 | <unk> 2: 1 unknown, 1 in the text as <unk>")) << lines;
  EXPECT_FALSE(contains(run("unroll eval --device cpu --checkpoint run --data two.txt").out,
                        "without <unk>"));
}

TEST_F(EvalTexts, SeveralFilesByThemselvesAndTogether) {
  const json one = ask(kEval + "one.txt"), two = ask(kEval + "two.txt"),
             both = ask(kEval + "one.txt two.txt");
  ASSERT_EQ(both["files"].size(), 2U);
  EXPECT_EQ(both["files"][0]["file"], "one.txt");
  EXPECT_EQ(both["files"][0]["loss"], one["loss"]);
  EXPECT_EQ(both["files"][1]["loss"], two["loss"]) << "from the beginning of a text";
  EXPECT_EQ(both["tokens"], 13);
  EXPECT_NEAR(double(both["loss"]), (9 * double(one["loss"]) + 4 * double(two["loss"])) / 13,
              1e-12);
  EXPECT_EQ(ask(kEval + "one.txt --data two.txt")["tokens"], 13);
  const std::string lines =
      run("unroll eval --device cpu --checkpoint run --data one.txt two.txt").out;
  for (const char* who : {"| one.txt | ", "| two.txt | ", "| all | "})
    EXPECT_TRUE(contains(lines, who)) << lines;
}

TEST_F(EvalTexts, StdinIsAText) {
  EXPECT_EQ(ask(kEval + "- < one.txt")["loss"], ask(kEval + "one.txt")["loss"]);
  EXPECT_EQ(ask("cat two.txt | " + kEval + "one.txt -")["files"][1]["file"], "-");
  const Output nothing = run(kEval + "- < /dev/null");
  EXPECT_EQ(nothing.status, 1);
  EXPECT_TRUE(contains(nothing.err, "unroll: stdin: is empty, expected text\n")) << nothing.err;
}

TEST_F(EvalTexts, AHistoryComesFromAFileOrStdin) {
  const std::string predict = "unroll predict --device cpu --checkpoint run --word c ";
  const std::string expected = run(predict + "--text 'a b'").out;
  EXPECT_EQ(run("printf 'a b\\n' > h && " + predict + "--text-file h").out, expected);
  EXPECT_EQ(run("printf 'a b\\r\\n' | " + predict + "--text-file -").out, expected);
  EXPECT_NE(run("printf 'a b\\n\\n' | " + predict + "--text-file -").out, expected)
      << "only one newline is left out";
  const std::string generate = "unroll generate --device cpu --checkpoint run --length 9 --seed 3 ";
  const std::string text = run(generate + "--prompt 'b a'").out;
  EXPECT_TRUE(text.starts_with("b a"));
  EXPECT_EQ(run("echo b a | " + generate + "--prompt-file -").out, text);
  const Output both = run(predict + "--text a --text-file h");
  EXPECT_EQ(both.status, 2) << both.err;
  EXPECT_EQ(run(predict + "--text-file none").status, 1);
  const Output endless = run("yes | " + predict + "--text-file -");
  EXPECT_EQ(endless.status, 1);
  EXPECT_TRUE(contains(endless.err, "stdin: got more than 67108864 bytes")) << endless.err;
}

}  // namespace
}  // namespace unroll::test
