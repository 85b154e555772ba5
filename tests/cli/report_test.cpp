/// unroll report and unroll import from end to end.
#include <gtest/gtest.h>

#include "tests/support/language_task.h"
#include "tests/support/program.h"

namespace unroll::test {
namespace {

constexpr const char* kMetrics =
    R"({"event":"train","step":10,"epoch":1,"loss":2.5,"gradient_norm":0.5,"lr":0.1,"tokens_per_second":1000,"seconds":1}
{"event":"valid","step":10,"epoch":1,"loss":2.25,"accuracy":0.2,"best":true,"seconds":2}
{"event":"trai)";

void save_small_model(const std::filesystem::path& run) {
  LanguageModelConfig config;
  config.vocabulary = 4;
  config.embedding = 3;
  config.hidden = {5};
  VariableStore store(cpu(1), 1);
  for (const VariableInfo& info : parameters(config)) store.require(info);
  std::filesystem::create_directories(run);
  SavedLanguageModel{config,
                     Tokenizer::parse(TokenizerKind::kWord, "<eos>\n<unk>\nsome\nwords\n", "test"),
                     {"a <text>", {{"lr", 0.5}}, nullptr}}
      .save(run, 3, store);
}

TEST(ReportCommand, WritesAPageBesideTheRun) {
  const TempFolder folder;
  const std::string run = folder.path() / "run <1>";
  save_small_model(run);
  const Output missing = run_unroll("report '" + run + "'");
  EXPECT_EQ(missing.status, 1);
  EXPECT_TRUE(contains(missing.err, "metrics.jsonl: not found"));

  folder.write("run <1>/metrics.jsonl", kMetrics);
  const Output done = run_unroll("report '" + run + "/'");
  ASSERT_EQ(done.status, 0) << done.err;
  const std::string html = read_text(run + "/report.html");
  for (const char* part : {"<h1>run &lt;1&gt;</h1>", "temperature 0.8", "a &lt;text&gt;", ">9.49<"})
    EXPECT_TRUE(contains(html, part));
  ASSERT_EQ(run_unroll("report '" + run + "' --output " + folder.path().string() + "/x").status, 0);
  EXPECT_EQ(read_text(folder.path() / "x"), html) << "the same samples every time";
  EXPECT_EQ(run_unroll("report '" + run + "' --output /dev/null/x").status, 1);
}

TEST(ReportCommand, NeedsNoCheckpoint) {
  const TempFolder folder;
  folder.write("metrics.jsonl", kMetrics);
  const Output done = run_unroll("report " + folder.path().string());
  ASSERT_EQ(done.status, 0) << done.err;
  EXPECT_TRUE(contains(read_text(folder.path() / "report.html"), "no checkpoint yet"));
}

TEST(ImportCommand, MakesACheckpointThatTheOtherCommandsRead) {
  const TempFolder folder;
  const std::string path = folder.path().string();
  save_small_model(path + "/trained");
  folder.write("text.txt", "some words\nwords some other words\n");
  const std::string weights = "import --weights " + path + "/trained/best/model.safetensors";
  const Output done = run_unroll(weights + " --save " + path + "/run");
  ASSERT_EQ(done.status, 0) << done.err;
  EXPECT_TRUE(contains(done.err, "lstm, embedding 3, layers of 5 units"));
  const std::string eval = "eval --json --data " + path + "/text.txt --checkpoint " + path;
  const Output ours = run_unroll(eval + "/run");
  ASSERT_EQ(ours.status, 0) << ours.err;
  EXPECT_EQ(ours.out, run_unroll(eval + "/trained").out);
  EXPECT_TRUE(contains(read_text(path + "/run/best/config.json"), "imported_from"));

  EXPECT_TRUE(
      contains(run_unroll(weights + " --save " + path + "/run").err, "already holds a run"));
  folder.write("few.txt", "<eos>\n<unk>\n");
  const Output few = run_unroll(weights + " --vocab " + path + "/few.txt --save " + path + "/b");
  EXPECT_EQ(few.status, 1);
  EXPECT_TRUE(contains(few.err, "few.txt: got 2 tokens, expected 4"));
  EXPECT_EQ(run_unroll(weights + " --model gru --save " + path + "/b").status, 1);
  EXPECT_EQ(run_unroll(weights + " --model lstn --save " + path + "/b").status, 2);
  EXPECT_FALSE(std::filesystem::exists(path + "/b"));
}

}  // namespace
}  // namespace unroll::test
