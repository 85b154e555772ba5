/// unroll train --task classify and what follows from end to end.
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/support/program.h"
#include "tests/support/temp_folder.h"

namespace unroll::test {
namespace {

/// Lines of two classes that one word tells apart.
std::string labelled_lines(int count) {
  std::string text;
  for (int k = 0; k < count; ++k) {
    const std::string filler(k % 5 == 0 ? "the film" : "what a long and winding film");
    text += k % 2 == 0 ? "good\t" + filler + " pleases\n" : "bad\t" + filler + " bores\n";
  }
  return text;
}

struct Classify : ::testing::Test {
  Classify() {
    std::filesystem::create_directory(folder.path() / "data");
    folder.write("data/train.tsv", labelled_lines(120));
    folder.write("data/valid.tsv", labelled_lines(20));
    folder.write("data/test.tsv", labelled_lines(30));
  }
  std::string data() const { return " --data '" + (folder.path() / "data").string() + "'"; }
  std::string run() const { return "'" + (folder.path() / "run").string() + "'"; }
  Output train(const std::string& flags = "") const {
    return run_unroll("train --task classify" + data() + " --save " + run() +
                      " --device cpu --emsize 8 --nhid 8 --epochs 4 --lr 0.02 " + flags);
  }

  TempFolder folder;
};

TEST_F(Classify, TrainsEvaluatesPredictsAndReports) {
  const Output trained = train("--json");
  ASSERT_EQ(trained.status, 0) << trained.err;
  EXPECT_TRUE(contains(trained.err, "| end of epoch   1 | time:"));
  EXPECT_TRUE(contains(trained.err, "| valid accuracy "));
  EXPECT_FALSE(contains(trained.err, "ppl"));
  const auto result = nlohmann::json::parse(trained.out);
  EXPECT_EQ(result.at("test_accuracy"), 1);
  EXPECT_FALSE(result.contains("test_ppl"));

  const Output measured = run_unroll("eval --checkpoint " + run() + " --data '" +
                                     (folder.path() / "data/test.tsv").string() + "' --json");
  ASSERT_EQ(measured.status, 0) << measured.err;
  const auto evaluation = nlohmann::json::parse(measured.out);
  EXPECT_EQ(evaluation.at("accuracy"), 1);
  EXPECT_NEAR(evaluation.at("loss"), double(result.at("test_loss")), 1e-6);

  const Output predicted = run_unroll("predict --checkpoint " + run() + " --text 'the film bores'");
  ASSERT_EQ(predicted.status, 0) << predicted.err;
  EXPECT_LT(predicted.out.find("bad"), predicted.out.find("good"));
  EXPECT_TRUE(contains(
      run_unroll("predict --checkpoint " + run() + " --text 'a zebra pleases'").err, "'zebra'"));

  ASSERT_EQ(run_unroll("report " + run()).status, 0);
  const std::string page = read_text(folder.path() / "run/report.html");
  EXPECT_TRUE(contains(page, "Validation accuracy"));
  EXPECT_TRUE(contains(page, "Texts per second"));
  EXPECT_FALSE(contains(page, "perplexity"));
}

TEST_F(Classify, ResumesWithItsOwnTextsOnly) {
  ASSERT_EQ(train().status, 0);
  const Output more = run_unroll("train --save " + run() + " --resume --epochs 5");
  ASSERT_EQ(more.status, 0) << more.err;
  EXPECT_TRUE(contains(more.out, "| end of epoch   5 |"));
  folder.write("data/valid.tsv", labelled_lines(22));
  const Output other = run_unroll("train --save " + run() + " --resume --epochs 6");
  EXPECT_EQ(other.status, 1);
  EXPECT_TRUE(contains(other.err, "valid.tsv") || contains(other.err, "data"));
  const Output task = run_unroll("train --save " + run() + " --resume --task language_model");
  EXPECT_EQ(task.status, 2);
  EXPECT_TRUE(contains(task.err, "--task: got language_model, expected classify"));
}

TEST_F(Classify, ACommandForAnotherTaskSaysSo) {
  ASSERT_EQ(train().status, 0);
  const Output drawn = run_unroll("generate --checkpoint " + run());
  EXPECT_EQ(drawn.status, 1);
  EXPECT_TRUE(contains(drawn.err, "got a model of the task classify, expected language_model"));
  const Output word = run_unroll("predict --checkpoint " + run() + " --text film --word film");
  EXPECT_EQ(word.status, 2);
  EXPECT_TRUE(contains(word.err, "--word: got one for a classifier"));
  const Output nothing = run_unroll("eval --checkpoint " + run());
  EXPECT_EQ(nothing.status, 2);
  EXPECT_TRUE(contains(nothing.err, "--data is required"));
}

TEST_F(Classify, FlagsOfAnotherTaskAreRefused) {
  EXPECT_TRUE(contains(train("--tied").err,
                       "--tied: got --task classify, expected --task "
                       "language_model: no other has this flag"));
  EXPECT_EQ(train("--bptt 5").status, 2);
  EXPECT_EQ(train("--recipe char-rnn").status, 2);
  const Output backwards = run_unroll("train --directions 2 --save " + run());
  EXPECT_EQ(backwards.status, 2);
  EXPECT_TRUE(contains(backwards.err, "--directions: got --task language_model, expected --task "));
  EXPECT_TRUE(contains(train("--directions 3").err,
                       "--directions: got 3, expected a number of at least 1"));
  EXPECT_TRUE(contains(train("--pooling sum").err, "--pooling: got 'sum', expected"));
  const Output none = run_unroll("train --task classify --save " + run());
  EXPECT_EQ(none.status, 2);
  EXPECT_TRUE(contains(none.err, "--data: got none with --task classify, expected a folder"));
  EXPECT_FALSE(std::filesystem::exists(folder.path() / "run"));
  const Output task = run_unroll("train --task clasify --save " + run());
  EXPECT_EQ(task.status, 2);
  EXPECT_TRUE(contains(task.err, "did you mean classify"));
}

TEST_F(Classify, HelpShowsTheFlagsOfATask) {
  const std::string classify = run_unroll("train --task classify --help").out;
  EXPECT_TRUE(contains(classify, "--pooling"));
  EXPECT_FALSE(contains(classify, "--tied"));
  const std::string usual = run_unroll("train --help").out;
  EXPECT_FALSE(contains(usual, "--pooling"));
  EXPECT_TRUE(contains(usual, "--tied"));
}

TEST_F(Classify, BadDataHasALine) {
  folder.write("data/train.tsv", "good\tfine\nbad film\n");
  const Output got = train();
  EXPECT_EQ(got.status, 1);
  EXPECT_TRUE(contains(got.err, "train.tsv"));
  EXPECT_TRUE(contains(got.err, "line 2"));
  EXPECT_TRUE(contains(got.err, "tab"));
}

}  // namespace
}  // namespace unroll::test
