/// unroll train --init-from: a new run that begins with a finished or imported model.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "host/base/safetensors.h"
#include "tests/support/program.h"

namespace unroll::test {
namespace {

using nlohmann::json;

const std::string kSmall =
    " --device cpu --cache-dir cache --nhid 9 --emsize 7 --nlayers 1 --dropout 0 --batch-size 3 "
    "--bptt 5 --epochs 1 --optimizer adam --lr 0.01 ";

class InitFrom : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_.write("old.txt", lines("a b c d\nb c a e\n", 60));
    folder_.write("new.txt", lines("c a zebra b\nd d a\n", 60));
  }
  static std::string lines(const std::string& some, int times) {
    std::string text;
    for (int k = 0; k < times; ++k) text += some;
    return text;
  }
  Output run(const std::string& script) const { return run_script(script, folder_.path()); }
  void train_old(const std::string& flags = "") const {
    const Output made = run("unroll train --data old.txt --save old" + kSmall + flags);
    ASSERT_EQ(made.status, 0) << made.err;
  }
  /// Trains on the new text, without a flag of the model.
  Output train_new(const std::string& flags = "") const {
    return run(
        "unroll train --data new.txt --save new --init-from old --device cpu --cache-dir "
        "cache --batch-size 3 --bptt 5 --epochs 1 " +
        flags);
  }
  json config(const std::string& run) const {
    return json::parse(read_text(folder_.path() / run / "best/config.json"));
  }
  std::vector<std::byte> tensor(const std::string& checkpoint, const std::string& name) const {
    const SafetensorsFile file =
        SafetensorsFile::read(folder_.path() / checkpoint / "model.safetensors");
    return file.find(name)->bytes.all();
  }

  TempFolder folder_;
};

TEST_F(InitFrom, BeginsWithParametersAndTokensOfTheModel) {
  train_old();
  // So many checkpoints that the first is kept, and a rate of nearly 0.
  const Output made = train_new("--keep 0 --lr 1e-30");
  ASSERT_EQ(made.status, 0) << made.err;
  EXPECT_TRUE(contains(made.err, "beginning with the parameters and tokens of ")) << made.err;
  for (const char* name : {"encoder.weight", "rnn.weight_hh_l0", "decoder.bias"})
    EXPECT_EQ(tensor("new/step-00000000", name), tensor("old/best", name)) << name;
  EXPECT_EQ(read_text(folder_.path() / "new/best/vocab.txt"),
            read_text(folder_.path() / "old/best/vocab.txt"))
      << "zebra is unknown";
  json model = config("new")["model"], old = config("old")["model"];
  EXPECT_EQ(model, old);
  const json training = config("new")["training"];
  EXPECT_EQ(training["nhid"], json({9}));
  EXPECT_TRUE(contains(std::string(training["init_from"]), "/old/"));
  EXPECT_EQ(training["lr"], 1e-30);
  EXPECT_EQ(json::parse(read_text(folder_.path() / "new/latest/progress.json"))["epoch"], 2)
      << "a new run";
}

TEST_F(InitFrom, ContinuesToTheSameBitsAfterAStop) {
  train_old();
  const std::string part = "--lr-schedule constant --lr 0.01 --dropout 0.1 --epochs ";
  ASSERT_EQ(train_new(part + "2").status, 0);
  ASSERT_EQ(run("mv new whole").status, 0);
  ASSERT_EQ(train_new(part + "1").status, 0);
  const Output resumed = run("unroll train --save new --resume --epochs 2 --cache-dir cache");
  ASSERT_EQ(resumed.status, 0) << resumed.err;
  for (const char* name : {"encoder.weight", "rnn.weight_hh_l0", "decoder.bias"})
    EXPECT_EQ(tensor("new/latest", name), tensor("whole/latest", name)) << name;
  EXPECT_EQ(config("new")["training"]["init_from"], config("whole")["training"]["init_from"]);
  // For a scheduler: begin there, or go on.
  const Output again = train_new("--resume auto --epochs 2 --lr 0.01 --dropout 0.1");
  EXPECT_EQ(again.status, 0) << again.err;
  EXPECT_TRUE(contains(again.err, "resuming new at step ")) << again.err;
}

TEST_F(InitFrom, RanksBeginWithTheSameParameters) {
  train_old();
  ASSERT_EQ(train_new("--shards 2 --seed 5 --lr 0.01").status, 0);
  ASSERT_EQ(run("mv new one").status, 0);
  const Output two = train_new("--shards 2 --seed 5 --lr 0.01 --ranks 2");
  ASSERT_EQ(two.status, 0) << two.err;
  for (const char* name : {"encoder.weight", "rnn.weight_hh_l0", "decoder.bias"})
    EXPECT_EQ(tensor("new/latest", name), tensor("one/latest", name)) << name;
}

TEST_F(InitFrom, KeepsBytePairsAndCharacters) {
  for (const std::string tokenizer : {"bpe:270", "char"}) {
    SCOPED_TRACE(tokenizer);
    ASSERT_EQ(run("rm -rf old new").status, 0);
    train_old("--tokenizer " + tokenizer);
    const Output made = train_new("--epochs 1 --tokenizer " + tokenizer);
    ASSERT_EQ(made.status, 0) << made.err;
    const char* const file = tokenizer == "char" ? "vocab.txt" : "tokenizer.json";
    EXPECT_EQ(read_text(folder_.path() / "new/best" / file),
              read_text(folder_.path() / "old/best" / file));
    const Output resumed = run("unroll train --save new --resume --epochs 2 --cache-dir cache");
    EXPECT_EQ(resumed.status, 0) << resumed.err;
  }
}

TEST_F(InitFrom, RefusesFlagsThatSayOtherwise) {
  train_old();
  for (const auto& [flags, error] :
       {std::pair("--nhid 10", "--nhid: got [10], expected [9]: --init-from "),
        {"--nlayers 2", "--nlayers: got 2, expected 1"},
        {"--model gru", "--model: got gru, expected lstm"},
        {"--tied", "--tied: got true, expected false"},
        {"--tokenizer char", "--tokenizer: got char, expected word"},
        {"--vocab-size 5", "--vocab-size: got 5 with --init-from, expected none"},
        {"--init-range 0.1", "--init-range: got 0.1 with --init-from, expected none"},
        {"--task tag", "--task: got tag, expected language_model"},
        {"--resume", "--init-from: got one with --resume, expected it where a run begins"}}) {
    const Output refused = train_new(flags);
    EXPECT_EQ(refused.status, 2) << flags << refused.err;
    EXPECT_TRUE(contains(refused.err, std::string("unroll: ") + error)) << refused.err;
    EXPECT_FALSE(std::filesystem::exists(folder_.path() / "new/latest"));
  }
  // What agrees may be said.
  EXPECT_EQ(train_new("--nhid 9 --nlayers 1 --model LSTM --emsize 7 --dropout 0.5").status, 0);
  EXPECT_EQ(config("new")["model"]["dropout"], 0.5);
  const Output none = run("unroll train --data new.txt --save other --init-from nothing");
  EXPECT_EQ(none.status, 1);
  EXPECT_TRUE(contains(none.err, "nothing: no such folder")) << none.err;
}

TEST_F(InitFrom, TrainsAnImportedModelFurther) {
  train_old();
  const Output imported =
      run("unroll import --weights old/best/model.safetensors --save imported && mv old gone && mv "
          "imported old");
  ASSERT_EQ(imported.status, 0) << imported.err;
  const Output made = train_new("--lr 0.01");
  ASSERT_EQ(made.status, 0) << made.err;
  EXPECT_EQ(config("new")["model"], config("gone")["model"]);
}

TEST_F(InitFrom, ThreeFilesAreACorpus) {
  folder_.write("v.txt", lines("a b c\n", 9));
  const std::string small = kSmall + " --train old.txt --valid v.txt --save three";
  const Output two = run("unroll train" + small);
  ASSERT_EQ(two.status, 0) << two.err;
  EXPECT_FALSE(contains(two.out, "test ppl")) << two.out;
  const Output resumed = run("unroll train --save three --resume --epochs 2 --cache-dir cache");
  EXPECT_EQ(resumed.status, 0) << resumed.err;
  const Output three = run("rm -r three && unroll train --test v.txt" + small);
  ASSERT_EQ(three.status, 0) << three.err;
  EXPECT_TRUE(contains(three.out, "test ppl")) << three.out;
  EXPECT_TRUE(contains(three.err, "v.txt are the same text: ")) << three.err;
  EXPECT_EQ(config("three")["training"]["texts"].size(), 3U);
  for (const auto& [flags, error] : {std::pair("--train old.txt", "--valid"),
                                     {"--valid v.txt", "--train"},
                                     {"--train old.txt --valid v.txt --data x", "--data"},
                                     {"--task tag --train old.txt --valid v.txt", "--"}}) {
    const Output refused = run(std::string("unroll train --save other ") + flags);
    EXPECT_EQ(refused.status, 2) << refused.err;
    EXPECT_TRUE(contains(refused.err, error)) << refused.err;
  }
}

}  // namespace
}  // namespace unroll::test
