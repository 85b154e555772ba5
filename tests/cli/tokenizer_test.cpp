/// Byte pairs by way of the program: learning them, training with them, and asking the model.
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>

#include "host/data/grammar.h"
#include "tests/support/program.h"

namespace unroll::test {
namespace {

using nlohmann::json;

class BytePairs : public ::testing::Test {
 protected:
  BytePairs() { folder_.write("text.txt", Grammar::english().sample(5, 200)); }

  Output in_folder(const std::string& script) const { return run_script(script, folder_.path()); }
  static std::string train(const std::string& flags) {
    return "unroll train --device cpu --threads 1 --data text.txt --cache-dir cache --nhid 8 "
           "--emsize 8 --batch-size 4 --bptt 10 --log-interval 1000 " +
           flags;
  }
  std::string file(const std::string& name) const { return read_text(folder_.path() / name); }

  TempFolder folder_;
};

TEST_F(BytePairs, AreLearntByACommandAsByARun) {
  const Output learnt = in_folder(
      "head -n 180 text.txt >train.txt; unroll tokenizer train --size 300 --data train.txt "
      "--output pairs.json");
  ASSERT_EQ(learnt.status, 0) << learnt.err;
  EXPECT_TRUE(contains(learnt.err, "saved: pairs.json"));
  const Output run = in_folder("cp train.txt valid.txt; cp train.txt test.txt; " +
                               train("--data . --tokenizer bpe:300 --epochs 1 --save run"));
  ASSERT_EQ(run.status, 0) << run.err;
  EXPECT_TRUE(contains(run.err, "300 bpe types"));
  EXPECT_EQ(file("run/latest/tokenizer.json"), file("pairs.json"));
  EXPECT_FALSE(std::filesystem::exists(folder_.path() / "run/latest/vocab.txt"));
  const Output few = in_folder("echo abab >few.txt; unroll tokenizer train --data few.txt");
  EXPECT_EQ(few.status, 0) << few.err;
  EXPECT_TRUE(contains(few.err, "no more pairs: got 258 tokens, expected 8000"));
}

TEST_F(BytePairs, AModelOfThemIsAskedAndGoesOn) {
  ASSERT_EQ(in_folder("unroll tokenizer train --size 300 --data text.txt").status, 0);
  const std::string flags = "--tokenizer tokenizer.json --lr-schedule constant ";
  ASSERT_EQ(in_folder(train(flags + "--epochs 2 --save whole")).status, 0);
  ASSERT_EQ(in_folder(train(flags + "--epochs 1 --save cut")).status, 0);
  // The checkpoint has the tokenizer, whatever became of the file.
  const Output resumed = in_folder(
      "echo broken >tokenizer.json; unroll train --resume --epochs 2 --save cut --cache-dir cache");
  ASSERT_EQ(resumed.status, 0) << resumed.err;
  EXPECT_TRUE(file("whole/latest/model.safetensors") == file("cut/latest/model.safetensors"));

  const Output eval =
      in_folder("unroll eval --device cpu --checkpoint whole --data text.txt --json");
  ASSERT_EQ(eval.status, 0) << eval.err;
  const Output drawn = in_folder(
      "unroll generate --device cpu --checkpoint whole --prompt 'he ate' --length 20 --seed 1 "
      "--json");
  ASSERT_EQ(drawn.status, 0) << drawn.err;
  EXPECT_EQ(json::parse(drawn.out)["ids"].size(), 20U);
  const Output next = in_folder(
      "unroll predict --device cpu --checkpoint whole --text 'he ate' --word ' the' --json");
  ASSERT_EQ(next.status, 0) << next.err;
  EXPECT_EQ(json::parse(next.out)["word"], " the");
  const Output none = in_folder("unroll predict --device cpu --checkpoint whole --word ' the the'");
  EXPECT_EQ(none.status, 1);
  EXPECT_TRUE(contains(none.err, "is not among the 300 tokens"));
}

TEST_F(BytePairs, BadFilesAreOneLine) {
  for (const auto& [made, message] :
       {std::pair("true", "tokenizer.json: cannot be opened"),
        {"echo '{}' >tokenizer.json", "tokenizer.json: model is missing"},
        {"truncate -s 1G tokenizer.json", "tokenizer.json: got 1073741824 bytes, expected at most"},
        {"mkfifo tokenizer.json", "tokenizer.json: is a pipe"}}) {
    const Output run = in_folder(std::string("rm -f tokenizer.json; ") + made + "; " +
                                 train("--tokenizer tokenizer.json --save run"));
    EXPECT_EQ(run.status, 1) << made;
    EXPECT_TRUE(contains(run.err, message)) << made;
    EXPECT_EQ(std::ranges::count(run.err, '\n'), 2) << run.err;  // and the device
  }
}

TEST_F(BytePairs, ATokenizerOfAnotherSizeIsRefused) {
  ASSERT_EQ(in_folder(train("--tokenizer bpe:300 --epochs 1 --save run")).status, 0);
  ASSERT_EQ(in_folder("unroll tokenizer train --size 290 --data text.txt").status, 0);
  const Output imported = in_folder(
      "unroll import --weights run/latest/model.safetensors --vocab tokenizer.json --save other");
  EXPECT_EQ(imported.status, 1);
  EXPECT_TRUE(contains(imported.err, "tokenizer.json: got 290 tokens, expected 300"));
  const Output right =
      in_folder("unroll import --weights run/latest/model.safetensors --save again");
  EXPECT_EQ(right.status, 0) << right.err;
  EXPECT_EQ(file("again/latest/tokenizer.json"), file("run/latest/tokenizer.json"));
}

}  // namespace
}  // namespace unroll::test
