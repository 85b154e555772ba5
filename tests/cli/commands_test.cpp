/// The commands from end to end, on a text small enough for a model to learn in a moment.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "host/base/utf8.h"
#include "host/data/grammar.h"
#include "tests/support/program.h"

namespace unroll::test {
namespace {

using nlohmann::json;

/// One trained model for all tests of the file.
class Commands : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new TempFolder;
    const Grammar grammar = Grammar::english();
    folder_->write("train.txt", grammar.sample(1, 500));
    folder_->write("valid.txt", grammar.sample(2, 40));
    folder_->write("test.txt", grammar.sample(3, 40));
    trained_ = run_unroll(
        "train --data " + data() + " --save " + save() + caches() +
        " --nhid 24 --emsize 16 --nlayers 1 --dropout 0 --epochs 2 --optimizer adam --lr 0.02 "
        "--clip 1 --log-interval 50");
  }
  static void TearDownTestSuite() { delete folder_; }

  static std::string data() { return folder_->path().string(); }
  static std::string save() { return data() + "/run"; }
  static std::string caches() { return " --cache-dir " + data() + "/cache"; }
  static Output ask(const std::string& arguments) {
    return run_unroll(arguments + " --checkpoint " + save());
  }

  static TempFolder* folder_;
  static Output trained_;
};
TempFolder* Commands::folder_ = nullptr;
Output Commands::trained_;

TEST_F(Commands, TrainPrintsItsLinesAndSavesTheBest) {
  ASSERT_EQ(trained_.status, 0) << trained_.err;
  EXPECT_TRUE(contains(trained_.out, "| end of epoch   2 | time:"));
  EXPECT_TRUE(contains(trained_.out, "| End of training | test loss"));
  EXPECT_TRUE(contains(trained_.err, "device: cpu"));
  EXPECT_TRUE(std::filesystem::exists(save() + "/best/model.safetensors"));
}

TEST_F(Commands, TrainRefusesAFolderThatHoldsARun) {
  const Output again = run_unroll("train --data " + data() + " --save " + save());
  EXPECT_EQ(again.status, 1);
  EXPECT_TRUE(contains(again.err, "already holds a run"));
}

TEST_F(Commands, EvalReportsWhatTheLastLineOfTrainingSaid) {
  const Output result = ask("eval --json --data " + data() + "/test.txt");
  ASSERT_EQ(result.status, 0) << result.err;
  const json report = json::parse(result.out);
  const std::string text = read_text(data() + "/test.txt");
  EXPECT_EQ(report["tokens"], std::count(text.begin(), text.end(), ' ') +
                                  2 * std::count(text.begin(), text.end(), '\n'));
  const double loss = report["loss"];
  EXPECT_NEAR(report["ppl"], std::exp(loss), 1e-9 * std::exp(loss));
  EXPECT_NEAR(report["bpc"], loss * double(report["tokens"]) / std::log(2.0) / double(text.size()),
              1e-9);
  EXPECT_GT(report["accuracy"], 0.1);
  char printed[16];
  std::snprintf(printed, sizeof(printed), "ppl %8.2f", double(report["ppl"]));
  EXPECT_TRUE(contains(trained_.out, printed));
}

TEST_F(Commands, PredictsADistribution) {
  const Output top = ask("predict --text 'he ate the cake with the' --top 100000 --json");
  ASSERT_EQ(top.status, 0) << top.err;
  const json report = json::parse(top.out);
  EXPECT_EQ(report["history"], "he ate the cake with the");
  double sum = 0, last = 1;
  for (const json& next : report["next"]) {
    const double p = next["probability"];
    EXPECT_LE(p, last);
    last = p;
    sum += p;
  }
  EXPECT_NEAR(sum, 1, 1e-4);  // float32 logarithms of some 170 words

  const std::string third = report["next"][2]["token"];
  const Output word =
      ask("predict --text 'he ate the cake with the' --json --word '" + third + "'");
  const json own = json::parse(word.out);
  EXPECT_EQ(own["word"], third);
  EXPECT_EQ(own["rank"], 3);
  EXPECT_EQ(own["probability"], report["next"][2]["probability"]);
}

TEST_F(Commands, PredictSaysWhatItDoesNotKnow) {
  const Output history = ask("predict --text 'he ate the zzyzx' --top 1");
  EXPECT_EQ(history.status, 0);
  EXPECT_TRUE(contains(history.err, "'zzyzx' is not in the model's vocabulary"));
  const Output often = ask("predict --text 'zzyzx he zzyzx ate qq zzyzx' --top 1");
  EXPECT_TRUE(contains(often.err,
                       "warning: 'qq', 'zzyzx' are not in the model's vocabulary and are read as "
                       "<unk>, 4 times in all\n"));
  EXPECT_EQ(std::ranges::count(often.err, '\n'), 2);  // and the device
  const Output many = ask("predict --text 'q1 q2 q3 q4 q5 q6 q7' --top 1");
  EXPECT_TRUE(contains(many.err, "warning: 'q1', 'q2', 'q3', 'q4', 'q5' and 2 more are not in"));
  const Output word = ask("predict --text 'he ate the' --word zzyzx");
  EXPECT_EQ(word.status, 1);
  EXPECT_TRUE(contains(word.err, "--word: 'zzyzx'"));
  EXPECT_EQ(word.out, "");
}

TEST_F(Commands, GeneratesTheSameTextForTheSameSeed) {
  const Output first = ask("generate --prompt 'he ate' --length 30 --seed 3");
  ASSERT_EQ(first.status, 0) << first.err;
  EXPECT_TRUE(first.out.starts_with("he ate "));
  EXPECT_EQ(first.out, ask("generate --prompt 'he ate' --length 30 --seed 3").out);
  EXPECT_NE(first.out, ask("generate --prompt 'he ate' --length 30 --seed 4").out);

  const json report =
      json::parse(ask("generate --prompt 'he ate' --length 30 --seed 3 --json").out);
  EXPECT_EQ(report["tokens"].size(), 30U);
  EXPECT_TRUE(first.out.starts_with(std::string(report["text"])));
}

TEST_F(Commands, GreedyTextTakesTheMostProbableWord) {
  const json greedy =
      json::parse(ask("generate --prompt 'he ate the' --length 1 --temperature 0 --json").out);
  const json top = json::parse(ask("predict --text 'he ate the' --top 1 --json").out);
  EXPECT_EQ(greedy["tokens"][0], top["next"][0]["token"]);
}

/// A small model of `data` with other tokens than words; its folder.
std::string train_tokens(const TempFolder& folder, const std::string& flags) {
  const std::string save = folder.path().string() + "/run";
  const Output result = run_unroll("train --data " + folder.path().string() + "/text.txt --save " +
                                   save + " --cache-dir " + folder.path().string() +
                                   "/cache --nhid 16 --emsize 8 --nlayers 1 --epochs 1 " + flags);
  EXPECT_EQ(result.status, 0) << result.err;
  return " --checkpoint " + save;
}

TEST(CommandsOfCharacters, TrainEvalPredictAndGenerate) {
  const TempFolder folder;
  folder.write("text.txt", Grammar::english().sample(1, 300) + "caf\xC3\xA9\n");
  const std::string model =
      train_tokens(folder, "--tokenizer char --split streams --batch-size 10 --bptt 20");
  const json eval = json::parse(
      run_unroll("eval --json --data " + folder.path().string() + "/text.txt" + model).out);
  EXPECT_NEAR(double(eval["bpc"]), double(eval["loss"]) / std::log(2.0), 1e-9);
  EXPECT_EQ(eval["unknown"], 0);
  const json own = json::parse(run_unroll("predict --json --text he --word ' '" + model).out);
  EXPECT_EQ(own["word"], " ");
  EXPECT_GT(own["probability"], 0.0);
  EXPECT_EQ(run_unroll("predict --text he --word 'ab'" + model).status, 1);
  EXPECT_TRUE(contains(run_unroll("predict --text he --top 99" + model).out, "  \\n\n"));
  const json text =
      json::parse(run_unroll("generate --json --prompt 'he ' --length 9" + model).out);
  std::string joined = "he ";
  for (const json& token : text["tokens"]) joined += std::string(token);
  EXPECT_EQ(text["text"], joined);
}

/// The byte that a token in JSON stands for, as docs/training.md says it.
int byte_of(const std::string& token) {
  return token.size() == 4 ? std::stoi(token.substr(2), nullptr, 16)
                           : static_cast<unsigned char>(token.at(0));
}

// Training, going on, report, evaluation, generation, and the import of the file.
TEST(CommandsOfAnLstmWithEverything, SayWhichItIs) {
  const TempFolder folder;
  const std::string path = folder.path().string(), run = path + "/run";
  folder.write("text.txt", Grammar::english().sample(5, 60));
  const std::string go = " --save " + run + " --cache-dir " + path + "/cache";
  const std::string which =
      "lstm with layer norm, coupled gates and a projection to 6, embedding 6";
  const Output trained = run_unroll(
      "train --verbose --proj 6 --layer-norm --lstm-gates coupled --nhid 9 --emsize 6 --tied "
      "--dropout 0.2 --epochs 1 --data " +
      path + "/text.txt" + go);
  ASSERT_EQ(trained.status, 0) << trained.err;
  EXPECT_TRUE(
      contains(trained.err, "model: " + which + ", layers of 9, 9 units, dropout 0.2, tied"));
  EXPECT_TRUE(contains(trained.err, "rnn.weight_hr_l1"));
  for (const auto& [flag, message] :
       {std::pair("--proj 5", "--proj: got 5, expected 6: "),
        {"--lstm-gates capped", "--lstm-gates: got capped, expected coupled: "},
        {"--layer-norm=false", "--layer-norm: got false, expected true: "}}) {
    const Output other = run_unroll("train --resume " + std::string(flag) + go);
    EXPECT_EQ(other.status, 2) << other.err;
    EXPECT_TRUE(contains(other.err, message)) << other.err;
  }
  const Output longer = run_unroll("train --resume --epochs 2 --proj 6 --layer-norm" + go);
  ASSERT_EQ(longer.status, 0) << longer.err;
  EXPECT_TRUE(contains(longer.out, "| end of epoch   2 |"));

  ASSERT_EQ(run_unroll("report " + run).status, 0);
  EXPECT_TRUE(contains(read_text(run + "/report.html"), which.substr(0, which.rfind(','))));
  const Output imported = run_unroll("import --weights " + run + "/best/model.safetensors --save " +
                                     path + "/imported");
  ASSERT_EQ(imported.status, 0) << imported.err;
  EXPECT_TRUE(contains(imported.err, "model: " + which));
  for (const std::string& command :
       {"eval --data " + path + "/text.txt", std::string("generate --seed 3")}) {
    const Output ours = run_unroll(command + " --checkpoint " + run);
    ASSERT_EQ(ours.status, 0) << ours.err;
    EXPECT_EQ(ours.out, run_unroll(command + " --checkpoint " + path + "/imported").out);
  }
}

TEST(CommandsOfBytes, TakeAnyBytes) {
  const TempFolder folder;
  std::string bytes;
  for (int k = 0; k < 3000; ++k)
    bytes += k % 50 == 49 ? '\n' : static_cast<char>(0x80 + k * 7 % 100);
  folder.write("text.txt", bytes);
  const std::string model = train_tokens(folder, "--tokenizer byte --test-fraction 0");
  EXPECT_FALSE(std::filesystem::exists(folder.path() / "run" / "best" / "vocab.txt"));
  const Output generated = run_unroll("generate --json --length 50 --seed 1" + model);
  ASSERT_EQ(generated.status, 0) << generated.err;
  EXPECT_EQ(json::parse(generated.out)["tokens"].size(), 50U);  // valid JSON of invalid UTF-8
  const json drawn = json::parse(generated.out);
  ASSERT_EQ(drawn["ids"].size(), 50U);
  for (int k = 0; k < 50; ++k) EXPECT_EQ(byte_of(drawn["tokens"][k]), drawn["ids"][k]) << k;

  const json all = json::parse(run_unroll("predict --json --top 256" + model).out);
  std::set<int> ids;
  for (const json& next : all["next"]) {
    EXPECT_EQ(byte_of(next["token"]), next["id"]);
    ids.insert(int(next["id"]));
  }
  EXPECT_EQ(ids.size(), 256U);
  const json one =
      json::parse(run_unroll("predict --json --word \"$(printf '\\310')\"" + model).out);
  EXPECT_EQ(one["id"], 200);
  EXPECT_EQ(one["word"], "\\xc8");
  const Output table = run_unroll("predict --top 256" + model);
  EXPECT_TRUE(contains(table.out, "  \\xc8\n"));
  EXPECT_TRUE(contains(table.out, "  \\x1b\n"));
  EXPECT_EQ(find_invalid_utf8(table.out), table.out.size());

  const Output words = run_unroll("train --data " + folder.path().string() + "/text.txt --save " +
                                  folder.path().string() + "/words --cache-dir " +
                                  folder.path().string() + "/cache");
  EXPECT_EQ(words.status, 1);
  EXPECT_TRUE(contains(words.err, "text.txt: line 1, byte offset 0: got byte 0x80"));
  EXPECT_TRUE(contains(words.err, "the tokenizer byte takes"));
}

/// Text of a model reaches a file unchanged, and a terminal escaped.
TEST(CommandsOfWords, EscapeWhatATerminalObeys) {
  const TempFolder folder;
  std::string text;
  for (int k = 0; k < 200; ++k) text += "the \x1b[31mred \xC2\x9B \xE2\x80\xAEturned end\n";
  folder.write("text.txt", text);
  const std::string model = train_tokens(folder, "--batch-size 4 --bptt 8");
  const Output table = run_unroll("predict --text the --top 9" + model);
  EXPECT_TRUE(contains(table.out, "  \\x1b[31mred\n")) << table.out;
  EXPECT_TRUE(contains(table.out, "  \\u009b\n"));
  EXPECT_TRUE(contains(table.out, "  \\u202eturned\n"));
  EXPECT_EQ(table.out.find_first_of("\x1b\xC2\xE2"), std::string::npos);
  EXPECT_TRUE(contains(run_unroll("predict --word \"$(printf '\\033[31mred')\"" + model).out,
                       "P(\\x1b[31mred | "));
  const Output report = run_unroll("predict --text the --top 9 --json" + model);
  EXPECT_EQ(report.out.find_first_of("\x1b\xC2\xE2"), std::string::npos);
  std::set<std::string> tokens;
  const json parsed = json::parse(report.out);
  for (const json& next : parsed["next"]) tokens.insert(next["token"]);
  for (const char* token : {"\x1b[31mred", "\xC2\x9B", "\xE2\x80\xAEturned"})
    EXPECT_TRUE(tokens.contains(token)) << token;
  const Output drawn = run_unroll("generate --length 60" + model);
  EXPECT_TRUE(contains(drawn.out, "\x1b[31mred")) << "a pipe gets the text itself";
}

struct BadLine {
  const char* arguments;
  const char* says;
};

// With the default flags: no plateau on a text that is not learnt lowers the rate, and no dropout
// keeps the loss from falling.
TEST(OverfitOneBatch, DrivesTheLossTowardsZero) {
  const TempFolder folder;
  const Grammar grammar = Grammar::english();
  folder.write("train.txt", grammar.sample(1, 40));
  folder.write("valid.txt", grammar.sample(2, 10));
  folder.write("test.txt", grammar.sample(3, 10));
  const std::string path = folder.path().string();
  const Output result =
      run_unroll("train --data " + path + " --save " + path + "/run --cache-dir " + path +
                 "/cache --nhid 48 --emsize 32 --nlayers 1 --batch-size 4 --bptt 20 "
                 "--overfit-one-batch --epochs 60");
  ASSERT_EQ(result.status, 0) << result.err;
  const std::size_t last = result.out.rfind("| epoch  60 |"), loss = result.out.find("loss", last);
  ASSERT_NE(last, std::string::npos) << result.out;
  EXPECT_LT(std::stod(result.out.substr(loss + 4)), 0.2);
}

TEST(CommandLine, WhatIsWrongGetsOneLineAndStatus2) {
  for (const BadLine& bad : std::initializer_list<BadLine>{
           {"", "no command given"},
           {"trian", "unknown command 'trian'; did you mean train?"},
           {"train --epoch 3", "unknown flag --epoch; did you mean --epochs?"},
           {"train --dropuot=0.5", "did you mean --dropout?"},
           {"train extra", "unexpected word 'extra'"},
           {"train --model lstn", "got 'lstn', expected one of lstm, gru"},
           {"train --model lstn", "did you mean lstm?"},
           {"train --optimizer foo", "--optimizer: got 'foo'"},
           {"train --lr nan", "--lr: got nan, expected a number above 0"},
           {"train --lr -1", "--lr: got -1"},
           {"train --lr abc", "abc"},
           {"train --dropout 1", "--dropout: got 1, expected 0 or more and below 1"},
           {"train --batch-size 0", "--batch-size: got 0"},
           {"train --nhid 10,20,30", "--nhid: got 3 sizes, expected 1, as --nlayers"},
           {"train --nlayers 3 --nhid 1,2,3 --nhid 4,5",
            "--nhid: got 2 sizes, expected 1 or 3, as"},
           {"train --nhid -5", "--nhid: got -5"},
           {"train --tied --emsize 10", "--tied: got --emsize 10 and 128"},
           {"train --tied --proj 32", "--tied: got --emsize 64 and --proj 32, expected the same"},
           {"train --proj 128", "--proj: got 128, expected fewer than the 128 units of a layer"},
           {"train --proj 20 --nlayers 2 --nhid 30,20",
            "--proj: got 20, expected fewer than the 20 units"},
           {"train --proj -1", "--proj: got -1"},
           {"train --proj 64 --model gru",
            "--model: got gru with --proj 64, expected lstm: no other cell has it"},
           {"train --layer-norm --model rnn_tanh", "--model: got rnn_tanh with --layer-norm, exp"},
           {"train --lstm-gates capped --model gru",
            "--model: got gru with --lstm-gates capped, expected lstm"},
           {"train --lstm-gates couple",
            "--lstm-gates: got 'couple', expected one of separate, coupled, capped; did you mean "
            "c"},
           {"import --weights w --save s --lstm-gates shut", "--lstm-gates: got 'shut', expected"},
           {"train --recipe zaremba-smal", "did you mean zaremba-small?"},
           {"train --device gpu", "expected auto, cpu, cuda or cuda:N"},
           {"train --device cuda:x", "--device: got 'cuda:x', expected auto, cpu, cuda or cuda:N"},
           {"train --device cuda:-1", "--device: got 'cuda:-1'"},
           {"train --precision fp16",
            "--precision: got 'fp16', expected one of fp32, tf32, bf16; di"},
           {"train --device cpu --precision tf32",
            "--precision: got tf32, expected fp32 or bf16: the CPU has no tf32"},
           {"eval --checkpoint x --device cpu --precision tf32", "--precision: got tf32"},
           {"train --rnn-algorithm cudnn:fast",
            "--rnn-algorithm: got 'cudnn:fast', expected auto, stepwise, stepwise:K with K "
            "timesteps, 1 or more, persistent, two of these as FORWARD+BACKWARD, cudnn, or "
            "cudnn:FORM or cudnn:FORM:packed with FORM standard, "},
           {"train --rnn-algorithm cudnn:standard:fp16", "got 'cudnn:standard:fp16', expected"},
           {"train --rnn-algorithm cudnn:standard:bare", "got 'cudnn:standard:bare', expected"},
           {"train --device cpu --rnn-algorithm cudnn",
            "--rnn-algorithm: got cudnn:standard, expected auto or stepwise: cuDNN computes only "
            "on a "
            "GPU"},
           {"train --rnn-algorithm cudnn --model rnn_logistic",
            "--rnn-algorithm: got cudnn:standard, expected auto or stepwise: cuDNN has no "
            "rnn_logistic"},
           {"train --rnn-algorithm cudnn:standard --model gru --gru-reset before",
            "--rnn-algorithm: got cudnn:standard, expected auto or stepwise: cuDNN has no gru with "
            "reset before"},
           {"train --device cpu --rnn-algorithm persistent",
            "--rnn-algorithm: got persistent, expected auto or stepwise: the CPU has one"},
           {"train --rnn-algorithm persistent --model gru --gru-reset before",
            "--rnn-algorithm: got persistent, expected auto or stepwise: persistent kernels have "
            "no "
            "gru with reset before, which takes two products a timestep"},
           {"train --rnn-algorithm persistent:2", "--rnn-algorithm: got 'persistent:2', expected"},
           {"train --rnn-algorithm persistent+cudnn", "got 'persistent+cudnn', expected"},
           {"train --rnn-algorithm stepwise+", "got 'stepwise+', expected"},
           {"train --device cpu --rnn-algorithm persistent+stepwise",
            "--rnn-algorithm: got persistent+stepwise, expected auto or stepwise"},
           {"train --rnn-algorithm stepwise:0", "--rnn-algorithm: got 'stepwise:0'"},
           {"train --rnn-algorithm stepwise:-4", "--rnn-algorithm: got 'stepwise:-4'"},
           {"train --rnn-algorithm stepwise:", "--rnn-algorithm: got 'stepwise:'"},
           {"train --rnn-algorithm stepwise:8x", "--rnn-algorithm: got 'stepwise:8x'"},
           {"train --rnn-algorithm stepwise:99999999999", "--rnn-algorithm: got 'stepwise:9999"},
           {"train --device cpu --rnn-algorithm stepwise:8",
            "--rnn-algorithm: got stepwise:8, expected auto or stepwise"},
           {"doctor extra", "unexpected word 'extra'"},
           {"doctor --jsn", "did you mean --json?"},
           {"train --threads -2", "--threads: got -2"},
           {"train --vocab-size 2", "--vocab-size: got 2"},
           {"train --tokenizer bpe",
            "--tokenizer: got 'bpe', expected one of word, char, byte, bpe:SIZE, FILE.json"},
           {"train --tokenizer bpe:256",
            "--tokenizer: got 'bpe:256', expected bpe: and a size from 257 to 1000000"},
           {"train --tokenizer bpe:8k", "--tokenizer: got 'bpe:8k', expected bpe: and a size"},
           {"train --tokenizer bpe:300 --vocab-size 9",
            "--vocab-size, --min-count: got --tokenizer bpe:300, expected word or char"},
           {"tokenizer train --data x --size 256",
            "--size: got 256, expected a number of at least 257"},
           {"tokenizer train", "--data is required"},
           {"train --split stream", "did you mean streams?"},
           {"train --valid-fraction 0", "--valid-fraction: got 0, expected more than 0"},
           {"train --test-fraction 0.96",
            "--test-fraction: got 0.05 and 0.96, expected less than 1 together"},
           {"train --split streams --test-fraction 0.1", "--test-fraction: got 0.1, expected none"},
           {"eval", "--checkpoint"},
           {"predict --checkpoint x --top 0", "--top: got 0"},
           {"predict --checkpoint x --top 3 --word y", "--word"},
           {"generate --checkpoint x --temperature -1", "--temperature: got -1"},
           {"generate --checkpoint x --top-p 1.5", "--top-p: got 1.5"},
       }) {
    SCOPED_TRACE(bad.arguments);
    const Output result = run_unroll(bad.arguments);
    EXPECT_EQ(result.status, 2);
    EXPECT_EQ(result.out, "");
    EXPECT_TRUE(contains(result.err, bad.says));
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  }
}

TEST(CommandLine, WhatFailsGetsOneLineAndStatus1) {
  const TempFolder folder;
  const std::string path = folder.path().string();
  folder.write("train.txt", "a b c\n");
  folder.write("valid.txt", "a b c\n");
  folder.write("test.txt", "a b c\n");
  for (const BadLine& bad : std::initializer_list<BadLine>{
           {"--data /nonexistent", "/nonexistent"},
           {"--data FOLDER --batch-size 20", "20"},
       }) {
    std::string arguments = bad.arguments;
    if (const auto at = arguments.find("FOLDER"); at != std::string::npos)
      arguments.replace(at, 6, path);
    SCOPED_TRACE(arguments);
    const Output result =
        run_unroll("train --save " + path + "/run --cache-dir " + path + "/cache " + arguments);
    EXPECT_EQ(result.status, 1) << result.err;
    EXPECT_TRUE(contains(result.err, bad.says));
    EXPECT_FALSE(std::filesystem::exists(path + "/run"));
  }
  const Output missing = run_unroll("eval --checkpoint " + path + "/nothing --data x");
  EXPECT_EQ(missing.status, 1);
  EXPECT_TRUE(contains(missing.err, "nothing"));
}

TEST(CommandLine, HelpAndVersionGoToStdout) {
  EXPECT_TRUE(contains(run_unroll("--help").out, "train"));
  EXPECT_TRUE(contains(run_unroll("train --help").out, "--recipe"));
  EXPECT_TRUE(contains(run_unroll("--version").out, "unroll "));
  EXPECT_EQ(run_unroll("train --help").status, 0);
  EXPECT_TRUE(contains(run_unroll("train --help").out, "Usage: unroll train [OPTIONS]"));
  EXPECT_TRUE(contains(run_unroll("bench rnn --help").out, "Usage: unroll bench rnn [OPTIONS]"));
  EXPECT_TRUE(contains(run_unroll("--help").out, "Usage: unroll [OPTIONS] SUBCOMMAND"));
}

TEST(CommandLine, AFullStdoutIsAFailure) {
  const Output result = run_unroll("--help >/dev/full");
  EXPECT_EQ(result.status, 1);
}

}  // namespace
}  // namespace unroll::test
