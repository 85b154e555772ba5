/// Lines about the settings of a run.
#include "host/cli/setting_notes.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "tests/support/corpus_files.h"
#include "tests/support/program.h"

namespace unroll::test {
namespace {

cli::TrainSettings with(const std::string& optimizer, double rate) {
  cli::TrainSettings settings;
  settings.optimizer = optimizer;
  settings.lr = rate;
  return settings;
}

TEST(SettingNotes, SayWhichOptimizerARateIsFor) {
  const std::string adam = cli::doubtful_rate(with("adam", 20)).value_or("");
  EXPECT_TRUE(contains(adam, "--lr: got 20 with --optimizer adam, expected about 0.001 to 0.01"));
  EXPECT_TRUE(contains(adam, "20 suits --optimizer sgd"));
  EXPECT_TRUE(cli::doubtful_rate(with("adamw", 1)));
  EXPECT_TRUE(cli::doubtful_rate(with("rmsprop", 0.5)));
  const std::string sgd = cli::doubtful_rate(with("sgd", 0.002)).value_or("");
  EXPECT_TRUE(contains(sgd, "0.002 suits --optimizer adam"));
  for (const auto& [optimizer, rate] : {std::pair("adam", 0.01),
                                        {"adamw", 0.003},
                                        {"rmsprop", 0.002},
                                        {"sgd", 20.},
                                        {"sgd", 1.},
                                        {"momentum", 2.}})
    EXPECT_FALSE(cli::doubtful_rate(with(optimizer, rate))) << optimizer << " " << rate;
  // The gradient of a sum over time and the errors of a series have other scales.
  cli::TrainSettings summed = with("sgd", 0.002);
  summed.reduction = "time";
  EXPECT_FALSE(cli::doubtful_rate(summed));
  cli::TrainSettings series = with("sgd", 0.01);
  series.task = SeriesTask::kName;
  EXPECT_FALSE(cli::doubtful_rate(series));
}

/// `types` different words, `count` of them in all, ten a line.
LanguageCorpus words(int types, int count, TokenizerKind kind = TokenizerKind::kWord) {
  std::string text;
  for (int k = 0; k < count; ++k)
    text += "w" + std::to_string(k % types) + (k % 10 == 9 ? "\n" : " ");
  return corpus_in_memory({text, "w1\n", "w1\n"}, kind, {}, "sample");
}

TEST(SettingNotes, AdviseOtherTokensWhereATenthOfTheWordsAreNew) {
  const std::string hint = cli::tokenizer_hint(words(150, 1000)).value_or("");
  EXPECT_TRUE(contains(hint, "hint: 1000 words are 150 different ones"));
  EXPECT_TRUE(contains(hint, "--tokenizer char or bpe:2000"));
  EXPECT_FALSE(cli::tokenizer_hint(words(50, 1000)));
  EXPECT_FALSE(cli::tokenizer_hint(words(150, 1000, TokenizerKind::kChar)));
}

TEST(SettingNotes, SayWhetherWhatWasPublishedWasReached) {
  const auto of = [](std::int64_t count, double ppl) {
    return Evaluation{.loss_sum = std::log(ppl) * double(count), .count = count};
  };
  const Evaluation valid = of(73'760, 118);
  EXPECT_EQ(cli::recipe_outcome("zaremba-small", valid, of(82'430, 112)),
            "recipe zaremba-small: test perplexity 112.00, published on Penn Treebank: 114.5, "
            "which was reached");
  EXPECT_TRUE(
      contains(cli::recipe_outcome("zaremba-medium", valid, of(82'430, 90.1)).value_or(""),
               "test perplexity 90.10, published on Penn Treebank: 82.7, which was not reached"));
  EXPECT_FALSE(cli::recipe_outcome("zaremba-small", valid, of(82'431, 112)));
  EXPECT_FALSE(cli::recipe_outcome("zaremba-small", of(100, 118), of(82'430, 112)));
  EXPECT_FALSE(cli::recipe_outcome("char-rnn", valid, of(82'430, 112)));
  EXPECT_FALSE(cli::recipe_outcome("auto", valid, of(82'430, 112)));

  EXPECT_TRUE(contains(cli::recipe_corpus_note("zaremba-large", words(5, 100)).value_or(""),
                       "its published perplexity, 78.4 on test text, is of Penn Treebank"));
  EXPECT_FALSE(cli::recipe_corpus_note("auto", words(5, 100)));
  EXPECT_FALSE(cli::recipe_corpus_note("char-rnn", words(5, 100)));
}

TEST(SettingNotes, ARunSaysWhatWasChosenAndWhatLooksWrong) {
  const TempFolder folder;
  std::string text;
  for (int k = 0; k < 600; ++k) text += "w" + std::to_string(k * k % 331) + (k % 6 ? " " : "\n");
  folder.write("text.txt", text);
  const Output run = run_script(
      "unroll train --device cpu --data text.txt --save run --cache-dir cache --nhid 4 --emsize 4 "
      "--batch-size 2 --bptt 5 --epochs 1 --optimizer adam --lr 20",
      folder.path());
  EXPECT_TRUE(contains(run.err,
                       "settings for words in 2.8 kB of text: adam, by cosine to 0 from a "
                       "rate of 20, epochs 1, dropout 0, batches of 2 x 5\n"))
      << run.err;
  EXPECT_TRUE(contains(run.err, "warning: --lr: got 20 with --optimizer adam")) << run.err;
  EXPECT_TRUE(contains(run.err, "hint: ")) << run.err;
}

}  // namespace
}  // namespace unroll::test
