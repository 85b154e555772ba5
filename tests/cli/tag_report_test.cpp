#include "host/cli/tag_report.h"

#include <gtest/gtest.h>

namespace unroll::test {
namespace {

const ClassLabels kTags({"NOUN", "VERB", "X"}, "tags");

TEST(TagReport, HasATableOfTagsAndWhatTheyWereTakenFor) {
  TaggerEvaluation evaluation{{.loss_sum = 3, .count = 6, .hits = 2},
                              ConfusionTable(4),
                              {.loss_sum = 0, .count = 2, .hits = 1},
                              4};
  evaluation.confusion.add(0, 0);
  evaluation.confusion.add(1, 1);
  evaluation.confusion.add(0, 2);
  evaluation.confusion.add(0, 1);
  evaluation.confusion.add(0, 1);
  evaluation.confusion.add(3, 0);
  const cli::TagReport report = cli::tag_report(evaluation, kTags);
  EXPECT_EQ(report.lines,
            "| model | loss 0.5000 | accuracy 0.3333, 0.5000 on 2 unknown | macro F1 0.2083 | "
            "tokens 6 | sentences 4\n"
            "tag        precision  recall      F1  tokens  taken for\n"
            "NOUN          0.5000  0.2500  0.3333       4  VERB 2, X 1\n"
            "VERB          0.3333  1.0000  0.5000       1\n"
            "X             0.0000  0.0000  0.0000       0\n"
            "(unknown)     0.0000  0.0000  0.0000       1  NOUN 1\n");
  EXPECT_EQ(report.json["tokens"], 6);
  EXPECT_EQ(report.json["sentences"], 4);
  EXPECT_EQ(report.json["unknown"], 2);
  EXPECT_EQ(report.json["loss"], 0.5);
  EXPECT_DOUBLE_EQ(report.json["accuracy"], 1.0 / 3);
  EXPECT_EQ(report.json["accuracy_unknown"], 0.5);
  ASSERT_EQ(report.json["tags"].size(), 4U);
  EXPECT_EQ(report.json["tags"][0]["tag"], "NOUN");
  EXPECT_EQ(report.json["tags"][0]["tokens"], 4);
  EXPECT_EQ(report.json["tags"][0]["taken_for"], (cli::Json{{"VERB", 2}, {"X", 1}}));
  EXPECT_EQ(report.json["tags"][1]["recall"], 1);
  EXPECT_TRUE(report.json["tags"][2]["taken_for"].empty());
}

TEST(TagReport, WithoutUnknownWordsSaysSo) {
  TaggerEvaluation evaluation{{.loss_sum = 1, .count = 1, .hits = 1}, ConfusionTable(4), {}, 1};
  evaluation.confusion.add(2, 2);
  const cli::TagReport report = cli::tag_report(evaluation, kTags);
  EXPECT_TRUE(report.lines.starts_with(
      "| model | loss 1.0000 | accuracy 1.0000, none unknown | macro F1 1.0000 |"));
  EXPECT_TRUE(report.json["accuracy_unknown"].is_null());
  EXPECT_EQ(report.json["tags"].size(), 3U);
}

}  // namespace
}  // namespace unroll::test
