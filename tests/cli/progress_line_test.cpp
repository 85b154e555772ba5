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

TEST(ProgressLine, FitsTheTerminal) {
  const TrainingStatus status{12, 1500, 2983, 4.6123, "tokens", 20123.4, 125};
  EXPECT_EQ(cli::progress_text(status, 40, 80),
            "epoch 12/40 [######......]  50% | 20123 tokens/s | loss 4.612 | 2:05 left");
  for (const int columns : {0, 1, 2, 20, 79})
    EXPECT_LE(int(cli::progress_text(status, 40, columns).size()), std::max(0, columns - 1));
}

}  // namespace
}  // namespace unroll::test
