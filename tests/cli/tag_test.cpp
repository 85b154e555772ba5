/// unroll train --task tag and what follows from end to end.
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/support/program.h"
#include "tests/support/tagger.h"
#include "tests/support/temp_folder.h"

namespace unroll::test {
namespace {

/// The same sentences in CoNLL-U, with what is no word: comments, a range and an empty node.
std::string conllu_of(const std::string& two_columns, const std::string& end = "\n") {
  std::string text = "# text = of no sentence yet" + end, line;
  int id = 0;
  for (const char c : two_columns) {
    if (c != '\n') {
      line += c;
      continue;
    }
    const std::size_t tab = line.find('\t');
    if (tab == line.npos) {
      text += end;
      id = 0;
    } else {
      ++id;
      const std::string number = std::to_string(id), form = line.substr(0, tab),
                        tag = line.substr(tab + 1);
      if (id == 1) text += "1-2\tboth\t_\t_\t_\t_\t_\t_\t_\tSpaceAfter=No" + end;
      text += number + "\t" + form + "\t_\t" + tag + "\tx" + tag + "\t_\t0\troot\t_\t_" + end;
      if (id == 2) text += "2.1\tnothing\t_\tVERB\t_\t_\t_\t_\t_\t_" + end;
    }
    line.clear();
  }
  return text;
}

struct Tag : ::testing::Test {
  Tag() {
    std::filesystem::create_directory(folder.path() / "data");
    folder.write("data/train.conllu", conllu_of(tagged_lines(300, 1)));
    folder.write("data/dev.conllu", conllu_of(tagged_lines(30, 2)));
    folder.write("data/test.conllu", conllu_of(tagged_lines(30, 3)));
    folder.write("vectors.txt", "they 1 0 0 0.5\nthe 0 1 0 0\nabsent 0 0 1 0\n");
  }
  std::string path(const char* name) const { return "'" + (folder.path() / name).string() + "'"; }
  std::string run() const { return path("run"); }
  Output train(const std::string& flags = "") const {
    return run_unroll("train --task tag --data " + path("data") + " --save " + run() +
                      " --device cpu --nhid 8 --char-nhid 8 --char-emsize 4 --epochs 8 --lr 0.02 " +
                      flags);
  }
  /// What `tag` prints for a file.
  Output tagged(const std::string& file) const {
    return run_script("unroll tag --checkpoint " + run() + " < '" + file + "'", folder.path());
  }

  TempFolder folder;
};

TEST_F(Tag, TrainsEvaluatesTagsAndReports) {
  const Output trained = train("--emsize 8 --crf --json");
  ASSERT_EQ(trained.status, 0) << trained.err;
  EXPECT_TRUE(contains(trained.err, "| valid accuracy "));
  EXPECT_TRUE(contains(trained.err, "300"));
  const auto result = nlohmann::json::parse(trained.out);
  EXPECT_GT(result.at("test_accuracy"), 0.95);

  const Output measured =
      run_unroll("eval --checkpoint " + run() + " --data " + path("data/test.conllu") + " --json");
  ASSERT_EQ(measured.status, 0) << measured.err;
  const auto evaluation = nlohmann::json::parse(measured.out);
  EXPECT_EQ(evaluation.at("accuracy"), result.at("test_accuracy"));
  EXPECT_NEAR(evaluation.at("loss"), double(result.at("test_loss")), 1e-5);
  EXPECT_EQ(evaluation.at("sentences"), 30);

  folder.write("typed", "they duck\n\nthe ralings, ducks\n");
  const Output typed = tagged("typed");
  ASSERT_EQ(typed.status, 0) << typed.err;
  EXPECT_TRUE(typed.out.starts_with("they\tPRON\nduck\tVERB\n\nthe\tDET\n"));
  EXPECT_TRUE(contains(typed.out, "\n,\t"));

  ASSERT_EQ(run_unroll("report " + run()).status, 0);
  EXPECT_TRUE(contains(read_text(folder.path() / "run/report.html"), "Validation accuracy"));
}

TEST_F(Tag, WritesCoNllUWithNothingButTheTagsChanged) {
  ASSERT_EQ(train("--emsize 8").status, 0);
  for (const std::string end : {"\n", "\r\n"}) {
    // All tags are wrong, and the model gives the right ones.
    std::string text = conllu_of("they\tX\nduck\tX\n\nthe\tX\nduck\tX\n", end);
    folder.write("text.conllu", text);
    const Output got = tagged("text.conllu");
    ASSERT_EQ(got.status, 0) << got.err;
    for (const auto& [from, to] :
         {std::pair("they\t_\tX", "they\t_\tPRON"), std::pair("2\tduck\t_\tX", "2\tduck\t_\tVERB"),
          std::pair("the\t_\tX", "the\t_\tDET"), std::pair("2\tduck\t_\tX", "2\tduck\t_\tNOUN")})
      text.replace(text.find(from), std::string(from).size(), to);
    EXPECT_EQ(got.out, text);
  }
  folder.write("no_sentence", "# only a comment\n");
  EXPECT_EQ(tagged("no_sentence").status, 0);
  folder.write("empty", "");
  const Output none = tagged("empty");
  EXPECT_EQ(none.status, 0) << none.err;
  EXPECT_EQ(none.out, "");
  // What comes before a bad line is answered.
  folder.write("bad.conllu", conllu_of("they\tX\nduck\tX\n\n") + "1\tduck\n");
  const Output bad = tagged("bad.conllu");
  EXPECT_EQ(bad.status, 1);
  EXPECT_TRUE(contains(bad.err, "stdin: line "));
  EXPECT_TRUE(contains(bad.out, "1\tthey\t_\tPRON"));
}

TEST_F(Tag, AnswersBeforeItWaitsAndKeepsTheOrder) {
  ASSERT_EQ(train("--emsize 8").status, 0);
  // The second line is written only when the first has been answered.
  const Output slow = run_script("mkfifo in out; unroll tag --checkpoint " + run() +
                                     " < in > out & exec 3> in 4< out; echo 'they duck' >&3; read "
                                     "-r first <&4; read -r second "
                                     "<&4; read -r empty <&4; echo 'the duck' >&3; exec 3>&-; echo "
                                     "\"$first|$second|$empty|\"; "
                                     "cat <&4; wait",
                                 folder.path());
  EXPECT_TRUE(slow.out.starts_with("they\tPRON|duck\tVERB||\nthe\tDET\nduck\tNOUN\n"))
      << slow.out << slow.err;
  std::string text, expected;
  for (int k = 0; k < 3'000; ++k) {
    for (int word = 0; word < 1 + k % 7; ++word) text += "the ";
    text += k % 3 == 0 ? "duck\n" : "they\n";
    for (int word = 0; word < 1 + k % 7; ++word) expected += "the\tDET\n";
    expected += k % 3 == 0 ? "duck\tNOUN\n\n" : "they\tPRON\n\n";
  }
  folder.write("many", text);
  EXPECT_TRUE(tagged("many").out == expected);
}

TEST_F(Tag, ResumesWithItsOwnSentencesAndVectors) {
  const std::string vectors = "--vectors " + path("vectors.txt");
  const Output begun = train(vectors + " --freeze-vectors --epochs 1");
  ASSERT_EQ(begun.status, 0) << begun.err;
  EXPECT_TRUE(contains(begun.err, "GloVe text, 3 words of 4 numbers"));
  std::filesystem::rename(folder.path() / "vectors.txt", folder.path() / "moved.txt");
  const std::string resume = "train --save " + run() + " --resume --epochs 2";
  EXPECT_EQ(run_unroll(resume).status, 1);
  const Output more = run_unroll(resume + " --vectors " + path("moved.txt"));
  ASSERT_EQ(more.status, 0) << more.err;
  EXPECT_TRUE(contains(more.out, "| end of epoch   2 |"));
  folder.write("moved.txt", "they 1 0 0 0.75\n");
  const Output other =
      run_unroll("train --save " + run() + " --resume --epochs 3 --vectors " + path("moved.txt"));
  EXPECT_EQ(other.status, 1);
  EXPECT_TRUE(contains(other.err, "data"));
}

TEST_F(Tag, ContradictionsAreErrorsOfUsage) {
  const Output size = train("--emsize 8 --vectors " + path("vectors.txt"));
  EXPECT_EQ(size.status, 2);
  EXPECT_TRUE(contains(size.err, "--emsize: got 8 with --vectors"));
  EXPECT_TRUE(contains(train("--freeze-vectors").err, "--freeze-vectors: got no --vectors"));
  EXPECT_TRUE(contains(train("--tag-column lemma").err, "--tag-column: got 'lemma', expected"));
  EXPECT_EQ(train("--unknown-rate 1.5").status, 2);
  EXPECT_EQ(train("--char-nhid -1").status, 2);
  EXPECT_EQ(train("--pooling mean").status, 2);
  const Output none = run_unroll("train --task tag --save " + run());
  EXPECT_EQ(none.status, 2);
  EXPECT_TRUE(contains(none.err, "--data: got none with --task tag, expected a folder"));
  EXPECT_TRUE(contains(run_unroll("train --crf --save " + run()).err,
                       "--crf: got --task language_model, expected --task tag: no other has"));
  EXPECT_FALSE(std::filesystem::exists(folder.path() / "run"));
}

TEST_F(Tag, OtherTagsAndOtherTasksAreNamed) {
  ASSERT_EQ(train("--emsize 8 --epochs 1 --tag-column xpos").status, 0);
  folder.write("other.tsv", "they\txPRON\nwow\tINTJ\n");
  const Output other = run_unroll("eval --checkpoint " + run() + " --data " + path("other.tsv"));
  ASSERT_EQ(other.status, 0) << other.err;
  EXPECT_TRUE(contains(other.out, "(unknown)"));
  folder.write("none.tsv", "wow\tINTJ\n");
  EXPECT_EQ(run_unroll("eval --checkpoint " + run() + " --data " + path("none.tsv")).status, 1);
  EXPECT_EQ(run_unroll("eval --checkpoint " + run()).status, 2);
  EXPECT_TRUE(contains(run_unroll("generate --checkpoint " + run()).err,
                       "got a model of the task tag, expected language_model"));
  folder.write("data/train.conllu", "1\tthey\n");
  std::filesystem::remove_all(folder.path() / "run");
  const Output bad = train();
  EXPECT_EQ(bad.status, 1);
  EXPECT_TRUE(contains(bad.err, "train.conllu: line 1: "));
}

}  // namespace
}  // namespace unroll::test
