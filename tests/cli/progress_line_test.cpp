#include "host/cli/progress_line.h"

#include <gtest/gtest.h>

#include <limits>

namespace unroll::test {
namespace {

TEST(ProgressLine, FormatsDurations) {
  EXPECT_EQ(cli::format_duration(0), "0:00");
  EXPECT_EQ(cli::format_duration(59.6), "1:00");
  EXPECT_EQ(cli::format_duration(3599), "59:59");
  EXPECT_EQ(cli::format_duration(90061), "25:01:01");
  for (const double bad :
       {-1.0, std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()})
    EXPECT_EQ(cli::format_duration(bad), "?");
}

const TrainingStatus kStatus{
    .epoch = 1,
    .epochs = 40,
    .batch = 1670,
    .batches = 2983,
    .loss = [] { return 4.6123; },
    .unit = "tokens",
    .items_per_second = 20123.4,
    .seconds = 40,
    .seconds_left = 2072,
};
const std::vector<Measure> kWords{{.name = "ppl", .value = 100.714, .text = "", .of_loss = true},
                                  {.name = "accuracy", .value = 0, .text = ""}};

TEST(ProgressLine, SaysWhereTheRunIs) {
  EXPECT_EQ(cli::progress_text(kStatus, kWords, 120),
            "epoch 1/40 56 % | run 0:40 of 35:12 | loss 4.612, perplexity 100.71 | 20123 tokens/s");
  std::vector<Measure> characters = kWords;
  characters.push_back({.name = "bpc", .value = 6.6541, .text = "", .of_loss = true});
  EXPECT_EQ(cli::progress_text(kStatus, characters, 120),
            "epoch 1/40 56 % | run 0:40 of 35:12 | 4.612 nats, 6.654 bits per character | "
            "20123 tokens/s");
  EXPECT_EQ(cli::progress_text(kStatus, {}, 120),
            "epoch 1/40 56 % | run 0:40 of 35:12 | loss 4.612 | 20123 tokens/s");
}

TEST(ProgressLine, KeepsTheLossLongestOnANarrowTerminal) {
  EXPECT_EQ(cli::progress_text(kStatus, kWords, 80),
            "epoch 1/40 56 % | run 0:40 of 35:12 | loss 4.612, perplexity 100.71");
  EXPECT_EQ(cli::progress_text(kStatus, kWords, 50),
            "epoch 1/40 56 % | loss 4.612, perplexity 100.71");
  EXPECT_EQ(cli::progress_text(kStatus, kWords, 40), "loss 4.612, perplexity 100.71");
  EXPECT_EQ(cli::progress_text(kStatus, kWords, 11), "loss 4.612");
  for (const int columns : {0, 1, 2, 20, 79})
    EXPECT_LE(int(cli::progress_text(kStatus, kWords, columns).size()), std::max(0, columns - 1));
}

}  // namespace
}  // namespace unroll::test
