/// unroll import of files that other programs would write.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <regex>
#include <string>
#include <vector>

#include "host/base/safetensors.h"
#include "tests/support/program.h"

namespace unroll::test {
namespace {

using nlohmann::json;

/// A small model of ours, whose files are made to look like others'.
class ImportFiles : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string text;
    for (int k = 0; k < 60; ++k) text += "a b c d\nb c a e\n";
    folder_.write("text", text);
    const Output made = run(
        "unroll train --device cpu --data text --save run --cache-dir cache --nhid 9 --emsize 7 "
        "--nlayers 1 --dropout 0 --batch-size 3 --bptt 5 --epochs 1");
    ASSERT_EQ(made.status, 0) << made.err;
    write_with(" rnn.", " lstm.");
  }
  Output run(const std::string& script) const { return run_script(script, folder_.path()); }
  /// The weights as w.safetensors with other names and without what ours say of themselves.
  void write_with(const std::string& from, const std::string& to) const {
    const SafetensorsFile ours =
        SafetensorsFile::read(folder_.path() / "run/best/model.safetensors");
    std::vector<TensorData> tensors(ours.tensors().begin(), ours.tensors().end());
    for (TensorData& tensor : tensors) {
      const std::string name = " " + tensor.name;
      tensor.name = name.starts_with(from) ? to.substr(1) + name.substr(from.size()) : tensor.name;
    }
    write_safetensors(folder_.path() / "w.safetensors", tensors);
  }
  double loss(const std::string& checkpoint) const {
    const Output said =
        run("unroll eval --json --device cpu --data text --checkpoint " + checkpoint);
    EXPECT_EQ(said.status, 0) << said.err;
    return json::parse(said.out)["loss"];
  }

  TempFolder folder_;
  const std::string import_ = "rm -rf new; unroll import --save new --weights w.safetensors ";
};

TEST_F(ImportFiles, NamesAreMapped) {
  const std::string vocabulary = "--vocab run/best/vocab.txt ";
  const Output lost = run(import_ + vocabulary);
  EXPECT_EQ(lost.status, 1);
  EXPECT_TRUE(contains(lost.err, "(--map OLD=NEW gives tensors other names)\n")) << lost.err;
  const Output made = run(import_ + vocabulary + "--map lstm=rnn");
  EXPECT_EQ(made.status, 0) << made.err;
  EXPECT_TRUE(contains(made.err, "4 of 7 tensors have other names here")) << made.err;
  EXPECT_EQ(loss("new"), loss("run"));
  for (const auto& [flag, error] : {std::pair("lstm", "--map: got 'lstm', expected OLD=NEW"),
                                    {"=rnn", "got '=rnn'"},
                                    {"lstm=", "got 'lstm='"}}) {
    const Output refused = run(import_ + vocabulary + "--map " + flag);
    EXPECT_EQ(refused.status, 2);
    EXPECT_TRUE(contains(refused.err, error)) << refused.err;
  }
  EXPECT_EQ(run(import_ + vocabulary + "--map lstm=rnn --map enc=encoder").status, 1);
}

TEST_F(ImportFiles, VocabulariesMayCallThingsOtherwise) {
  write_with(" ", " module.");
  std::string words = read_text(folder_.path() / "run/best/vocab.txt");
  words = std::regex_replace(words, std::regex("<eos>"), "</s>");
  words = std::regex_replace(words, std::regex("<unk>"), "[UNK]");
  folder_.write("vocab.txt", std::regex_replace(words, std::regex("\n"), "\r\n"));
  const Output named = run(import_ + "--unk '[UNK]' --eos '</s>'");
  EXPECT_EQ(named.status, 0) << named.err;
  EXPECT_EQ(read_text(folder_.path() / "new/best/vocab.txt"),
            read_text(folder_.path() / "run/best/vocab.txt"));
  EXPECT_EQ(loss("new"), loss("run"));
  EXPECT_EQ(run(import_).err, "unroll: vocab.txt: has no token '<unk>'\n");
  EXPECT_EQ(run(import_ + "--unk '<UNK>'").err,
            "unroll: vocab.txt: no line is '<UNK>', expected one that stands for <unk>\n");
}

TEST_F(ImportFiles, ATextMayStartAfterAnotherToken) {
  write_with(" ", " ");
  ASSERT_EQ(run("cp run/best/vocab.txt .").status, 0);
  const Output started = run(import_ + "--start d");
  EXPECT_EQ(started.status, 0) << started.err;
  EXPECT_EQ(json::parse(read_text(folder_.path() / "new/best/config.json"))["tokenizer"]["start"],
            "d");
  // What comes first is what comes after a text of that token, as long as the model has read
  // nothing else: both begin with a zero state.
  const auto next = [&](const std::string& flags) {
    return run("unroll predict --device cpu --checkpoint " + flags).out;
  };
  EXPECT_NE(next("new --text ''"), next("run --text ''"));
  ASSERT_EQ(run("mv new first && cp first/best/model.safetensors w.safetensors").status, 0);
  ASSERT_EQ(run(import_).status, 0) << "our own file says it";
  EXPECT_EQ(next("new --text 'a b'"), next("first --text 'a b'"));
  EXPECT_EQ(run(import_ + "--start zebra").err,
            "unroll: vocab.txt: start: got 'zebra', expected one of the 7 tokens\n");
  // Trained further, it keeps that.
  const Output further =
      run("unroll train --device cpu --data text --init-from first --save more --cache-dir cache "
          "--batch-size 3 --bptt 5 --epochs 1");
  EXPECT_EQ(further.status, 0) << further.err;
  EXPECT_EQ(json::parse(read_text(folder_.path() / "more/best/config.json"))["tokenizer"]["start"],
            "d");
}

}  // namespace
}  // namespace unroll::test
