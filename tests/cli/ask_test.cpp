/// score, rescore and generate, from end to end.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "host/data/grammar.h"
#include "tests/support/program.h"

namespace unroll::test {
namespace {

using nlohmann::json;

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

/// A model of each kind of tokens on the same text.
class Ask : public ::testing::TestWithParam<std::string> {
 protected:
  static void SetUpTestSuite() {
    folder_ = new TempFolder;
    folder_->write("train.txt", Grammar::english().sample(1, 200));
    folder_->write("valid.txt", Grammar::english().sample(2, 20));
    folder_->write("test.txt", Grammar::english().sample(3, 40));
    for (const char* tokens : {"word", "char", "byte"}) {
      const Output trained =
          script(std::string(
                     "unroll train --device cpu --data . --cache-dir cache --nhid 16 --emsize 8 "
                     "--nlayers 1 --dropout 0 --epochs 1 --optimizer adam --lr 0.02 --tokenizer ") +
                 tokens + " --save " + tokens);
      ASSERT_EQ(trained.status, 0) << trained.err;
    }
  }
  static void TearDownTestSuite() { delete folder_; }

  static Output script(const std::string& text) { return run_script(text, folder_->path()); }
  static std::string ask(const std::string& command, const std::string& before = "") {
    const Output said =
        script(before + "unroll " + command + " --device cpu --checkpoint " + GetParam());
    EXPECT_EQ(said.status, 0) << said.err;
    return said.out;
  }
  static std::vector<json> ask_json(const std::string& command, const std::string& before = "") {
    std::vector<json> objects;
    for (const std::string& line : lines_of(ask(command + " --json", before)))
      objects.push_back(json::parse(line));
    return objects;
  }

  static TempFolder* folder_;
};
TempFolder* Ask::folder_ = nullptr;

TEST_P(Ask, ScoreOfOneTextIsWhatEvalSays) {
  for (const char* make : {"cp test.txt text", "head -c -1 test.txt >text",
                           "{ cat test.txt; echo; echo 'he zzz ate'; echo; } >text"}) {
    ASSERT_EQ(script(make).status, 0);
    const json evaluated = ask_json("eval --data text")[0];
    const auto scored = ask_json("score --carry", "cat text | ");
    const json& sums = scored.back();
    EXPECT_EQ(sums["tokens"], evaluated["tokens"]);
    EXPECT_EQ(sums["oov"], evaluated["unknown"]);
    EXPECT_NEAR(double(sums["loss"]), double(evaluated["loss"]), 1e-6);
    EXPECT_NEAR(double(sums["ppl"]), double(evaluated["ppl"]), 1e-5 * double(evaluated["ppl"]));
    // The text is ASCII: a byte is a character.
    EXPECT_NEAR(double(sums["bits_per_byte"]), double(evaluated["bpc"]), 1e-6);
    double sum = 0;
    for (std::size_t k = 0; k + 1 < scored.size(); ++k) sum += double(scored[k]["logprob"]);
    EXPECT_NEAR(sum, double(sums["logprob"]), 1e-9 * std::abs(sum));
    EXPECT_EQ(sums["lines"], scored.size() - 1);
  }
}

TEST_P(Ask, ScoreReadsEachLineByItself) {
  const auto scored =
      ask_json("score --tokens", "printf 'he ate\\n\\nshe ate the cake\\nhe ate' | ");
  ASSERT_EQ(scored.size(), 5U);
  for (std::size_t k = 0; k < 4; ++k) {
    const json& line = scored[k];
    EXPECT_EQ(line["line"], k + 1);
    double sum = 0;
    for (const json& token : line["token_logprobs"]) sum += double(token["logprob"]);
    EXPECT_NEAR(sum, double(line["logprob"]), 1e-4);
    EXPECT_EQ(line["token_logprobs"].size(), line["tokens"]);
    EXPECT_NEAR(std::log(double(line["ppl"])), -sum / double(line["tokens"]), 1e-5);
    EXPECT_EQ(line["token_logprobs"].back()["token"], GetParam() == "word" ? "<eos>" : "\n");
  }
  EXPECT_EQ(scored[1]["tokens"], 1);
  // Whatever stands before it, and whether its end is written.
  EXPECT_EQ(scored[0]["logprob"], scored[3]["logprob"]);
  EXPECT_EQ(scored[0]["tokens"], GetParam() == "word" ? 3 : 7);
}

TEST_P(Ask, ScoreKeepsTheOrderOfManyLines) {
  const auto text =
      lines_of(ask("score", "yes 'he ate the cake' | head -9000 | cat - test.txt | "));
  const auto alone = lines_of(ask("score --data test.txt"));
  ASSERT_EQ(text.size(), 9000 + alone.size());
  EXPECT_EQ(std::ranges::count(text, text[0]), 9000 + std::ranges::count(alone, text[0]));
  EXPECT_TRUE(std::equal(alone.begin(), alone.end(), text.begin() + 9000));
}

TEST_P(Ask, ScoreTakesAVeryLongLine) {
  const int size = GetParam() == "word" ? 10'000'000 : 200'000;
  const std::string make = "{ echo he ate; head -c " + std::to_string(size) +
                           " /dev/zero | tr '\\0' x; echo; echo he ate; }";
  const auto scored = ask_json("score", make + " | ");
  ASSERT_EQ(scored.size(), 4U);
  EXPECT_EQ(scored[2]["logprob"], scored[0]["logprob"]);
  EXPECT_EQ(scored[1]["tokens"], GetParam() == "word" ? 2 : size + 1);
}

TEST_P(Ask, GeneratesTheSameTextsInAnyNumber) {
  const std::string how = "generate --prompt 'he ate' --length 15 --min-p 0.01 --seed 5";
  const auto three = ask_json(how + " --n 3"), one = ask_json(how);
  ASSERT_EQ(three.size(), 3U);
  ASSERT_EQ(one.size(), 1U);
  for (const char* member : {"text", "ids", "tokens", "logprobs", "finish"})
    EXPECT_EQ(three[0][member], one[0][member]);
  for (std::size_t k = 0; k < 3; ++k) {
    EXPECT_EQ(three[k]["sample"], k);
    EXPECT_EQ(three[k]["ids"].size(), 15U);
    double sum = 0;
    for (const json& p : three[k]["logprobs"]) sum += double(p);
    EXPECT_NEAR(sum, double(three[k]["logprob"]), 1e-9);
  }
  EXPECT_NE(three[0]["text"], three[1]["text"]);
  const auto line_end = [](const std::string& text) {
    return text + (text.ends_with('\n') ? "" : "\n");
  };
  std::string text;
  for (const json& sample : three) text += (text.empty() ? "" : "---\n") + line_end(sample["text"]);
  // JSON has no single bytes.
  if (GetParam() != "byte") {
    EXPECT_EQ(ask(how + " --n 3"), text);
  }
}

TEST_P(Ask, GeneratedTextEndsBeforeTheStopString) {
  const std::string how = "generate --length 300 --n 4 --seed 3";
  const std::string stop = GetParam() == "word" ? " the" : "e";  // characters make few words yet
  const auto whole = ask_json(how), stopped = ask_json(how + " --stop '" + stop + "'");
  std::size_t stops = 0;
  for (std::size_t k = 0; k < 4; ++k) {
    const std::string text = whole[k]["text"];
    const std::size_t at = text.find(stop);
    stops += at < text.size() ? 1 : 0;
    EXPECT_EQ(stopped[k]["text"], text.substr(0, at));
    EXPECT_EQ(stopped[k]["finish"], at < text.size() ? "stop" : "length");
  }
  EXPECT_GT(stops, 0U);
}

TEST_P(Ask, BeamFindsTextsThatEnd) {
  const auto texts = ask_json("generate --prompt he --beam 4 --n 3 --length 60 --no-unk");
  ASSERT_EQ(texts.size(), 3U);
  double last = 0;
  for (const json& text : texts) {
    const double score = double(text["logprob"]) / double(text["ids"].size());
    EXPECT_LE(score, last);
    last = score;
    EXPECT_EQ(text["finish"] == "stop", std::string(text["text"]).ends_with('\n'));
  }
}

TEST_P(Ask, RescoreSortsBothFormats) {
  const auto score = [&](const std::string& text) {
    return double(ask_json("score", "echo '" + text + "' | ")[0]["logprob"]);
  };
  const double good = score("he ate the cake ."), bad = score("zzqqxx jjqqvv kkzzqq xxvvjj qqzzkk");
  ASSERT_GT(good, bad);
  folder_->write("kaldi",
                 "b-1 zzqqxx jjqqvv kkzzqq xxvvjj qqzzkk\nb-2 he ate the cake .\na-1 he\n");
  EXPECT_EQ(ask("rescore --format kaldi --data kaldi"),
            "b-2 he ate the cake .\nb-1 zzqqxx jjqqvv kkzzqq xxvvjj qqzzkk\na-1 he\n");
  EXPECT_EQ(ask("rescore --format kaldi --weight 0", "cat kaldi | "),
            read_text(folder_->path() / "kaldi"));
  folder_->write("moses",
                 "0 ||| zzqqxx jjqqvv kkzzqq xxvvjj qqzzkk ||| f= 1 ||| -1\n0 ||| he ate the cake "
                 ". ||| f= 2 ||| "
                 "-1\n1 ||| he ||| f= 3 ||| -1\n");
  const auto lines = lines_of(ask("rescore --format moses --data moses"));
  ASSERT_EQ(lines.size(), 3U);
  EXPECT_TRUE(lines[0].starts_with("0 ||| he ate the cake . ||| f= 2 Unroll= -")) << lines[0];
  EXPECT_NEAR(std::stod(lines[0].substr(lines[0].rfind("||| ") + 4)), (good - 1) / 2, 1e-4);
  EXPECT_TRUE(lines[2].starts_with("1 ||| he ||| f= 3 Unroll= -"));

  folder_->write("reference", "he ate the cake .\nhe\n");
  const Output tuned = script(
      "unroll rescore --device cpu --format moses --data moses --tune "
      "reference --checkpoint " +
      GetParam());
  EXPECT_EQ(tuned.status, 0) << tuned.err;
  EXPECT_TRUE(tuned.out.starts_with("0 ||| he ate the cake ."));
  EXPECT_TRUE(contains(tuned.err, "tuned: --weight "));
  EXPECT_TRUE(
      contains(tuned.err, "word error rate 0.00 % | before 83.33 % | oracle 0.00 % | words 6\n"));
}

INSTANTIATE_TEST_SUITE_P(Of, Ask, ::testing::Values("word", "char", "byte"),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace unroll::test
