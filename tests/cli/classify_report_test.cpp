#include "host/cli/classify_report.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace unroll::test {
namespace {

const ClassLabels kLabels({"good", "so \x1b[1m so", "bad"}, "labels");

TEST(ClassifyReport, OfAnEvaluationHasATableOfClasses) {
  ClassifierEvaluation evaluation{{.loss_sum = 2, .count = 4, .hits = 3}, ConfusionTable(3)};
  evaluation.confusion.add(0, 0);
  evaluation.confusion.add(1, 1);
  evaluation.confusion.add(1, 1);
  evaluation.confusion.add(0, 1);
  const cli::ClassifyReport report =
      cli::evaluation_report(evaluation, kLabels, {.texts = 4, .unknown = 7, .per_class = {}});
  EXPECT_EQ(report.lines,
            "| model | loss 0.5000 | accuracy 0.7500 | macro F1 0.7333 | texts 4 | unknown 7\n"
            "class          precision  recall      F1  texts\n"
            "bad               1.0000  0.5000  0.6667      2\n"
            "good              0.6667  1.0000  0.8000      2\n"
            "so \\x1b[1m so     0.0000  0.0000  0.0000      0\n");
  EXPECT_EQ(report.json["texts"], 4);
  EXPECT_EQ(report.json["unknown"], 7);
  EXPECT_EQ(report.json["loss"], 0.5);
  EXPECT_EQ(report.json["accuracy"], 0.75);
  EXPECT_DOUBLE_EQ(report.json["macro_f1"], (2.0 / 3 + 0.8) / 2);
  ASSERT_EQ(report.json["classes"].size(), 3U);
  EXPECT_EQ(report.json["classes"][1]["label"], "good");
  EXPECT_DOUBLE_EQ(report.json["classes"][1]["precision"], 2.0 / 3);
  EXPECT_EQ(report.json["classes"][1]["recall"], 1);
  EXPECT_DOUBLE_EQ(report.json["classes"][1]["f1"], 0.8);
  EXPECT_EQ(report.json["classes"][1]["texts"], 2);
}

TEST(ClassifyReport, OfATextHasTheMostProbableClassesFirst) {
  const std::vector<float> log_prob{std::log(0.25F), std::log(0.5F), std::log(0.25F)};
  const cli::ClassifyReport all = cli::prediction_report({"a text", log_prob}, kLabels, 10);
  EXPECT_EQ(all.lines, "0.500000  good\n0.250000  bad\n0.250000  so \\x1b[1m so\n");
  EXPECT_EQ(all.json["text"], "a text");
  EXPECT_EQ(all.json["label"], "good");
  ASSERT_EQ(all.json["classes"].size(), 3U);
  EXPECT_EQ(all.json["classes"][2]["label"], "so \x1b[1m so");
  EXPECT_NEAR(double(all.json["classes"][2]["probability"]), 0.25, 1e-7);
  const cli::ClassifyReport first = cli::prediction_report({"a text", log_prob}, kLabels, 1);
  EXPECT_EQ(first.lines, "0.500000  good\n");
  EXPECT_EQ(first.json["classes"].size(), 1U);
}

}  // namespace
}  // namespace unroll::test
