/// Lines from files and pipes, in batches.
#include "host/infer/line_input.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <stdexcept>
#include <thread>

#include "tests/support/temp_folder.h"

namespace unroll::test {
namespace {

using Lines = std::vector<std::string>;

Lines all_lines(LineInput& input) {
  Lines lines;
  for (LineBatch batch; input.next(batch);) {
    EXPECT_EQ(batch.first, std::ssize(lines) + 1);
    EXPECT_LE(batch.lines.size(), LineInput::kLines + 1);
    lines.insert(lines.end(), batch.lines.begin(), batch.lines.end());
  }
  return lines;
}

TEST(LineInput, GivesEveryLineOfAFile) {
  const TempFolder folder;
  for (const std::size_t count : {0U, 1U, 2U, 4095U, 4096U, 4097U, 9000U})
    for (const bool ended : {true, false}) {
      Lines expected;
      std::string text;
      for (std::size_t k = 0; k < count; ++k) {
        expected.push_back(k % 3 == 0 && k + 1 < count ? "" : "line " + std::to_string(k));
        text += expected.back() + (ended || k + 1 < count ? "\n" : "");
      }
      folder.write("lines", text);
      LineInput input(folder.path() / "lines");
      EXPECT_EQ(all_lines(input), expected) << count;
    }
}

TEST(LineInput, SaysWhetherTheLastLineEnds) {
  const TempFolder folder;
  for (const bool ended : {true, false}) {
    folder.write("lines", ended ? "a\nb\n" : "a\nb");
    LineInput input(folder.path() / "lines");
    LineBatch batch;
    ASSERT_TRUE(input.next(batch));
    EXPECT_EQ(batch.lines, (Lines{"a", "b"}));
    EXPECT_EQ(batch.ended, ended);
    EXPECT_FALSE(input.next(batch));
    EXPECT_FALSE(input.next(batch));
  }
}

TEST(LineInput, TakesLongLinesInBatchesOfTheirOwn) {
  const TempFolder folder;
  const std::string longest(10'000'000, 'x');
  folder.write("lines", "a\n" + longest + "\nb\n" + longest);
  LineInput input(folder.path() / "lines");
  EXPECT_EQ(all_lines(input), (Lines{"a", longest, "b", longest}));
}

// If it waited for a full batch, this would hang: the second line is written after the first came.
TEST(LineInput, DoesNotWaitForMore) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe(ends.data()), 0);
  LineInput input(ends[0], "pipe");
  LineBatch batch;
  const auto write = [&](const std::string& text) {
    EXPECT_EQ(::write(ends[1], text.data(), text.size()), std::ssize(text));
  };
  write("one\ntw");
  ASSERT_TRUE(input.next(batch));
  EXPECT_EQ(batch.lines, Lines{"one"});
  write("o\nthree\n");
  ASSERT_TRUE(input.next(batch));
  EXPECT_EQ(batch.lines, (Lines{"two", "three"}));
  EXPECT_EQ(batch.first, 2);
  std::thread later([&] {
    write("four");
    ::close(ends[1]);
  });
  ASSERT_TRUE(input.next(batch));
  EXPECT_EQ(batch.lines, Lines{"four"});
  EXPECT_FALSE(batch.ended);
  later.join();
  EXPECT_FALSE(input.next(batch));
  ::close(ends[0]);
}

TEST(LineInput, SaysWhatCannotBeRead) {
  const TempFolder folder;
  EXPECT_THROW(LineInput(folder.path() / "nothing"), std::runtime_error);
  LineInput input(folder.path());
  LineBatch batch;
  EXPECT_EQ(error_of<std::runtime_error>([&] { input.next(batch); }),
            folder.path().string() + ": cannot be read: Is a directory");
}

}  // namespace
}  // namespace unroll::test
