/// N-best lists in the forms of Moses and Kaldi.
#include "host/infer/n_best.h"

#include <gtest/gtest.h>

#include <stdexcept>

#include "tests/support/temp_folder.h"

namespace unroll::test {
namespace {

TEST(NBest, ReadsMoses) {
  const Hypothesis h = parse_hypothesis(
      NBestFormat::kMoses, "12 ||| the 3 cats |||  LM0= -10.5 WP0= -3  ||| -7.25 ||| 0-0 1-1\r");
  EXPECT_EQ(h.id, "12");
  EXPECT_EQ(h.text, "the 3 cats");
  EXPECT_EQ(h.features, "LM0= -10.5 WP0= -3");
  EXPECT_EQ(h.score, -7.25);
  EXPECT_EQ(h.more, std::vector<std::string>{"0-0 1-1"});
  EXPECT_EQ(to_line(NBestFormat::kMoses, h),
            "12 ||| the 3 cats ||| LM0= -10.5 WP0= -3 ||| -7.25 ||| 0-0 1-1");
  EXPECT_EQ(parse_hypothesis(NBestFormat::kMoses, "0 |||  |||  ||| 1e-3").text, "");
  EXPECT_EQ(parse_hypothesis(NBestFormat::kMoses, "0|||a|b|||c|||-1").text, "a|b");
}

// A text may begin with what looks like an id: only the format says what is one.
TEST(NBest, ReadsKaldi) {
  const Hypothesis h = parse_hypothesis(NBestFormat::kKaldi, "sw-02-A_1-17 the cats\t");
  EXPECT_EQ(h.id, "sw-02-A_1-17");
  EXPECT_EQ(list_id(NBestFormat::kKaldi, h), "sw-02-A_1");
  EXPECT_EQ(h.text, "the cats");
  EXPECT_EQ(h.score, 0);
  EXPECT_EQ(to_line(NBestFormat::kKaldi, h), "sw-02-A_1-17 the cats");
  EXPECT_EQ(parse_hypothesis(NBestFormat::kKaldi, "u-1").text, "");
  EXPECT_EQ(to_line(NBestFormat::kKaldi, parse_hypothesis(NBestFormat::kKaldi, "u-1")), "u-1");
  EXPECT_EQ(parse_hypothesis(NBestFormat::kKaldi, "u-1 u-2 a").text, "u-2 a");
}

TEST(NBest, RefusesOtherLines) {
  const auto error = [](NBestFormat format, const char* line) {
    return error_of<std::runtime_error>([&] { parse_hypothesis(format, line); });
  };
  const std::string columns = ": id ||| text ||| features ||| score";
  EXPECT_EQ(error(NBestFormat::kMoses, ""), "got 1 column, expected 4 or more" + columns);
  EXPECT_EQ(error(NBestFormat::kMoses, "0 ||| a ||| -3"),
            "got 3 columns, expected 4 or more" + columns);
  EXPECT_EQ(error(NBestFormat::kMoses, " ||| a ||| ||| -3"),
            "id: got nothing, expected the list's");
  for (const char* score : {"", "x", "nan", "inf", "1e999", "-3 4", "0x10"})
    EXPECT_EQ(error(NBestFormat::kMoses, (std::string("0 ||| a ||| ||| ") + score).c_str()),
              std::string("score: got '") + score + "', expected a finite number");
  for (const char* id : {"", "utt", "utt-", "utt-1x", "-1", "17"})
    EXPECT_EQ(error(NBestFormat::kKaldi, id),
              std::string("id: got '") + id +
                  "', expected an utterance, a hyphen and a number, as utt-1");
}

TEST(NBest, PutsNeighboursTogether) {
  NBestReader reader(NBestFormat::kMoses);
  EXPECT_FALSE(reader.add("0 ||| a ||| ||| 1"));
  EXPECT_FALSE(reader.add("0 ||| b ||| ||| 2"));
  const auto first = reader.add("1 ||| c ||| ||| 3");
  ASSERT_TRUE(first);
  EXPECT_EQ(first->id, "0");
  ASSERT_EQ(first->hypotheses.size(), 2U);
  EXPECT_EQ(first->hypotheses[1].text, "b");
  const auto second = reader.add("0 ||| d ||| ||| 3");
  ASSERT_TRUE(second);
  EXPECT_EQ(second->id, "1");
  EXPECT_EQ(reader.end()->hypotheses[0].text, "d");
  EXPECT_FALSE(reader.end());
  EXPECT_FALSE(NBestReader(NBestFormat::kKaldi).end());
}

TEST(NBest, EveryLineHasAsManyColumnsAsTheFirst) {
  NBestReader reader(NBestFormat::kMoses);
  reader.add("0 ||| a ||| ||| 1 ||| 0-0");
  EXPECT_EQ(error_of<std::runtime_error>([&] { reader.add("0 ||| b ||| ||| 1"); }),
            "got 4 columns, expected 5 as in the first line: id ||| text ||| features ||| score");
  EXPECT_EQ(reader.end()->hypotheses.size(), 1U);
}

}  // namespace
}  // namespace unroll::test
