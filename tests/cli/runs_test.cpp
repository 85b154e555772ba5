/// Runs after the first: their folders, other settings for one that goes on, and what a run shows.
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <string>

#include "host/data/grammar.h"
#include "tests/support/program.h"

namespace unroll::test {
namespace {

using nlohmann::json;

class Runs : public ::testing::Test {
 protected:
  Runs() {
    folder_.write("sentences.txt", Grammar::english().sample(1, 200));
    std::filesystem::create_directory(folder_.path() / "ptb");
    std::uint64_t seed = 2;
    for (const char* name : {"train", "valid", "test"})
      folder_.write(std::string("ptb/") + name + ".txt", Grammar::english().sample(seed++, 60));
  }

  static std::string train(const std::string& flags) {
    return "unroll train --cache-dir cache --device cpu --threads 1 " + flags + " ";
  }
  static std::string small(const std::string& flags) {
    return train("--nhid 8 --emsize 8 --nlayers 1 --batch-size 4 --bptt 7 --epochs 1 " + flags);
  }
  Output run(const std::string& script) const { return run_script(script, folder_.path()); }
  Output done(const std::string& script) const {
    Output output = run(script);
    EXPECT_EQ(output.status, 0) << script << "\n" << output.err;
    return output;
  }
  std::string read(const std::string& file) const { return read_text(folder_.path() / file); }
  json training(const std::string& run) const {
    return json::parse(read(run + "/latest/config.json"))["training"];
  }
  bool is_there(const std::string& file) const {
    return std::filesystem::exists(folder_.path() / file);
  }
  /// The bits of a run that has ended.
  std::string bits(const std::string& run) const {
    return read(run + "/latest/model.safetensors") + read(run + "/latest/state.safetensors");
  }

  TempFolder folder_;
};

TEST_F(Runs, HaveAFolderOfTheirOwn) {
  const Output first = done(small("--data ptb"));
  EXPECT_TRUE(contains(first.err, "run: runs/ptb-1\n"));
  EXPECT_TRUE(contains(first.err, "/runs/ptb-1/step-"));
  EXPECT_TRUE(contains(done(small("--data ptb/")).err, "run: runs/ptb-2\n"));
  EXPECT_TRUE(contains(done(small("--data sentences.txt")).err, "run: runs/sentences-1\n"));
  EXPECT_TRUE(contains(done("cd ptb; " + small("--data . --epochs 1")).err, "run: runs/ptb-1\n"));
  for (const char* run : {"runs/ptb-1", "runs/ptb-2", "runs/sentences-1", "ptb/runs/ptb-1"})
    EXPECT_TRUE(is_there(std::string(run) + "/best/model.safetensors")) << run;
}

TEST_F(Runs, ThatBeginAtOnceShareNoFolder) {
  done("for k in 1 2 3 4; do " + small("--data ptb") + " >out$k 2>&1 & done; wait");
  for (int k = 1; k <= 4; ++k)
    EXPECT_TRUE(is_there("runs/ptb-" + std::to_string(k) + "/best/model.safetensors"));
}

TEST_F(Runs, LeaveNoFolderWithoutData) {
  EXPECT_EQ(run(small("--data missing")).status, 1);
  EXPECT_FALSE(is_there("runs/missing-1"));
}

TEST_F(Runs, GoOnWithTheNewestUnlessOneIsNamed) {
  EXPECT_TRUE(contains(run(train("--resume")).err, "--resume: got no run in runs/, expected one"));
  EXPECT_TRUE(contains(done(small("--data ptb --resume auto")).err, "run: runs/ptb-1\n"));
  done("sleep 0.05; " + small("--data sentences.txt"));
  EXPECT_TRUE(
      contains(done(train("--resume --epochs 2")).err, "run: runs/sentences-1, the newest"));
  EXPECT_TRUE(
      contains(done(train("--data ptb --resume --epochs 2")).err, "run: runs/ptb-1, the newest"));
  EXPECT_TRUE(contains(done(small("--data ptb --epochs 2 --resume auto")).err,
                       "run: runs/ptb-1, the newest"));
  EXPECT_TRUE(contains(run(train("--data missing --resume")).err, "no run in runs/missing-N"));
  EXPECT_FALSE(is_there("runs/ptb-2"));
}

TEST_F(Runs, GiveWayOnlyIfTheyAreToldTo) {
  done(small("--data ptb --save run --seed 1"));
  const std::string old = bits("run");
  folder_.write("run/notes.txt", "mine");
  EXPECT_TRUE(contains(run(small("--data ptb --save run")).err, "--overwrite replaces it"));
  EXPECT_EQ(run(small("--data missing --save run --overwrite")).status, 1);
  EXPECT_EQ(bits("run"), old) << "a run that does not begin replaces nothing";
  done(small("--data ptb --save run --seed 2 --overwrite"));
  EXPECT_NE(bits("run"), old);
  EXPECT_EQ(read("run/notes.txt"), "mine");
  const std::string metrics = read("run/metrics.jsonl");
  EXPECT_EQ(std::ranges::count(metrics, '\n'), 3) << "lines of one run: train, valid, test";
  EXPECT_EQ(run(small("--data ptb --overwrite")).status, 2);
  EXPECT_EQ(run(train("--save run --overwrite --resume")).status, 2);
}

TEST_F(Runs, SayWhenALineWasWritten) {
  done(small("--data ptb --save run --log-interval 5"));
  const std::regex line(
      R"re(.*"time":"20\d\d-[01]\d-[0-3]\dT[0-2]\d:[0-5]\d:[0-6]\d\.\d{3}Z"\})re");
  std::istringstream lines(read("run/metrics.jsonl"));
  std::string last;
  int count = 0;
  for (std::string text; std::getline(lines, text); ++count) {
    EXPECT_TRUE(std::regex_match(text, line)) << text;
    const std::string time = json::parse(text)["time"];
    EXPECT_LE(last, time);
    last = time;
  }
  EXPECT_GT(count, 3);
}

TEST_F(Runs, GoOnWithOtherSettingsThatAreWrittenDown) {
  done(small("--data ptb --save run --optimizer sgd --lr 4 --lr-schedule plateau --dropout 0.2"));
  const Output on = done(train(
      "--save run --resume --epochs 2 --lr 0.5 --lr-schedule cosine --clip 0.1 --dropout 0.3"));
  EXPECT_TRUE(contains(on.err, "from here on: lr 0.5, before 4.0\n"));
  const json training = this->training("run");
  EXPECT_EQ(training["lr"], 0.5);
  EXPECT_EQ(training["lr_schedule"], "cosine");
  ASSERT_EQ(training["changes"].size(), 1U);
  const json& changes = training["changes"][0]["changes"];
  EXPECT_EQ(changes["lr"], (json{{"from", 4.0}, {"to", 0.5}}));
  EXPECT_EQ(changes["epochs"], (json{{"from", 1}, {"to", 2}}));
  EXPECT_EQ(changes.size(), 5U);
  EXPECT_TRUE(contains(read("run/metrics.jsonl"), R"("changes":{"dropout":{"from":0.2,"to":0.3})"));
  done(train("--save run --resume --epochs 3"));
  EXPECT_EQ(this->training("run")["changes"].size(), 2U);
  EXPECT_TRUE(contains(done(train("--save run --resume --lr 0.1")).err,
                       "nothing was left to train: the run has had its 3 epochs"));
  EXPECT_EQ(run(train("--save run --resume --nhid 9")).status, 2);
  EXPECT_EQ(run(train("--save run --resume --optimizer adam")).status, 2);
}

// Killed as soon as the change is written down, the run keeps it.
TEST_F(Runs, ThatWentOnWithOtherSettingsEndWithTheSameBitsAfterAKill) {
  done(small("--data ptb --save a --optimizer sgd --lr 4 --lr-schedule plateau"));
  done("cp -r a b; cp -r a c");
  const std::string change = " --resume --lr 2 --clip 0.1 --dropout 0.4 --epochs 4";
  done(train("--save a" + change));
  // The program itself, which is to be killed, and not a shell that waits for it.
  done(UNROLL_PROGRAM " train --device cpu --threads 1 --cache-dir cache --save b" + change +
       " >/dev/null 2>&1 & p=$!; until grep -q '\"changes\"' b/latest/config.json; do :; done; "
       "kill -9 $p; wait $p; " +
       train("--save b --resume"));
  EXPECT_TRUE(bits("a") == bits("b"));
  EXPECT_EQ(training("b")["changes"].size(), 1U);
  done(train("--save c --resume --epochs 4"));
  EXPECT_FALSE(bits("a") == bits("c")) << "the settings made no difference";
}

TEST_F(Runs, DrawSamplesThatTrainingDoesNotNotice) {
  for (const std::string tokenizer : {"char", "word", "bpe:300"}) {
    SCOPED_TRACE(tokenizer);
    const std::string flags =
        "--data ptb --tokenizer " + tokenizer + " --epochs 2 --eval-interval 20 --dropout 0.2 ";
    done("rm -rf a b");
    const Output with = done(small(flags + "--save a --sample"));
    const Output without = done(small(flags + "--save b --no-sample"));
    EXPECT_TRUE(contains(with.err, "\nsample:\n  "));
    EXPECT_EQ(without.err.find("sample:"), std::string::npos);
    EXPECT_EQ(with.out.find("sample:"), std::string::npos);
    EXPECT_TRUE(bits("a") == bits("b"));
  }
  EXPECT_EQ(done(small("--data ptb --tokenizer char --save c")).err.find("sample:"),
            std::string::npos)
      << "no terminal";
  EXPECT_TRUE(contains(run("unroll train --task series --data x.csv --target y --sample").err,
                       "--sample: got --task series, expected language_model"));
}

TEST_F(Runs, AreQuietOrVerbose) {
  const Output quiet = done(small("--data ptb --save a --quiet"));
  EXPECT_EQ(quiet.err, "");
  EXPECT_TRUE(std::regex_match(
      quiet.out,
      std::regex(R"(\| End of training \| test loss .* \| test ppl .*\nsaved: /.*/a/step-\d+\n)")))
      << quiet.out;
  const Output warned = run(small("--data ptb --save a --quiet"));
  EXPECT_TRUE(contains(warned.err, "unroll: --save: a already holds a run"));
  const Output plain = done(small("--data ptb --save b"));
  EXPECT_TRUE(std::regex_search(
      plain.err, std::regex(R"(\nparameters: encoder \d+ \+ rnn \d+ \+ decoder \d+ = \d+\n)")))
      << plain.err;
  EXPECT_EQ(plain.err.find("rnn.weight_hh_l0"), std::string::npos);
  EXPECT_TRUE(contains(done(small("--data ptb --save c --verbose")).err, "rnn.weight_hh_l0"));
  EXPECT_EQ(run(small("--data ptb --verbose --quiet")).status, 2);
  const Output json = done(small("--data ptb --save d --quiet --json"));
  EXPECT_EQ(json.err, "");
  EXPECT_TRUE(json::parse(json.out).contains("test_loss"));
}

TEST_F(Runs, SayThatValidationHasNotImproved) {
  const Output run = done(small("--data ptb --save a --optimizer sgd --lr 1e-30 --epochs 12"));
  EXPECT_TRUE(
      contains(run.err, "validation has not improved for 5 epochs; --patience ends such a run\n"));
  EXPECT_TRUE(contains(run.err, "not improved for 10 epochs"));
  EXPECT_EQ(run.err.find("not improved for 6 epochs"), std::string::npos);
}

TEST_F(Runs, ShowBitsPerCharacter) {
  const Output run = done(small("--data ptb --save a --tokenizer char"));
  EXPECT_TRUE(contains(run.out, " | valid ppl "));
  EXPECT_TRUE(contains(run.out, " | valid bpc "));
  const json valid =
      json::parse(read("a/metrics.jsonl").substr(0, read("a/metrics.jsonl").find('\n')));
  EXPECT_NEAR(valid["bpc"], double(valid["loss"]) / std::log(2.0), 1e-12);
  EXPECT_EQ(done(small("--data ptb --save b")).out.find("bpc"), std::string::npos);
}

TEST_F(Runs, WriteEventsForTensorboard) {
  done(small("--data ptb --save a --tensorboard"));
  const std::string events = "ls a/events.out.tfevents.*.unroll | wc -l";
  EXPECT_EQ(done(events).out, "1\n");
  done(train("--save a --resume --epochs 2"));
  EXPECT_EQ(done(events).out, "1\n");
  done(small("--data ptb --save a --overwrite"));
  EXPECT_EQ(run(events).out, "0\n");
}

TEST_F(Runs, HaveHelpForMostRunsAndForAll) {
  const auto flags = [&](const std::string& arguments) {
    std::set<std::string> names;
    const std::string help = done("unroll train " + arguments).out;
    const std::regex flag(R"(\n  (?:-h,)?(--[a-z-]+))");
    for (std::sregex_iterator at(help.begin(), help.end(), flag), end; at != end; ++at)
      names.insert((*at)[1]);
    return names;
  };
  const std::set<std::string> common = flags("--help"), all = flags("--help-all");
  EXPECT_LE(common.size(), 30U);
  for (const char* name : {"--data", "--lr", "--save", "--resume", "--config", "--device"})
    EXPECT_TRUE(common.contains(name)) << name;
  EXPECT_TRUE(std::ranges::includes(all, common));
  for (const char* name : {"--precision", "--gru-reset", "--keep", "--json", "--tensorboard"})
    EXPECT_TRUE(all.contains(name) && !common.contains(name)) << name;
  const std::set<std::string> tagger = flags("--task tag --help");
  EXPECT_TRUE(tagger.contains("--crf"));
  EXPECT_FALSE(tagger.contains("--tied"));
  EXPECT_FALSE(all.contains("--crf"));
  EXPECT_TRUE(flags("--task tag --help-all").contains("--gru-reset"));
}

TEST_F(Runs, ThatHaveNotValidatedSayWhichStepAnswers) {
  done(UNROLL_PROGRAM
       " train --device cpu --threads 1 --cache-dir cache --data sentences.txt --nhid "
       "8 --emsize 8 --nlayers 1 --batch-size 1 --bptt 2 --epochs 1 --save-every 7 --save run "
       ">/dev/null 2>&1 & p=$!; until ls run | grep -q step-00000007; do :; done; kill -9 $p; wait "
       "$p || true");
  const Output asked = done("unroll generate --checkpoint run --length 3");
  if (is_there("run/best")) GTEST_SKIP() << "the run was over before it was killed";
  EXPECT_TRUE(std::regex_search(
      asked.err,
      std::regex(R"(the run has not validated yet: the parameters of step \d+ answer\n)")))
      << asked.err;
  EXPECT_TRUE(std::regex_search(asked.err, std::regex(R"(\nseed: \d+\n)"))) << asked.err;
}

TEST_F(Runs, GenerateWithASeedThatIsSaid) {
  done(small("--data ptb --save run"));
  const std::string ask = "unroll generate --checkpoint run --length 40 ";
  const Output first = done(ask), second = done(ask);
  EXPECT_NE(first.out, second.out);
  std::smatch seed;
  ASSERT_TRUE(std::regex_search(first.err, seed, std::regex(R"(seed: (\d+)\n)"))) << first.err;
  EXPECT_EQ(done(ask + "--seed " + seed[1].str()).out, first.out);
  EXPECT_EQ(first.err.find("validated"), std::string::npos);
  EXPECT_EQ(json::parse(done(ask + "--json --seed 7").out)["seed"], 7);
  EXPECT_EQ(done(ask + "--temperature 0").err.find("seed"), std::string::npos);
  EXPECT_EQ(run(ask + "--beam 2 --seed 3").status, 2);
}

TEST_F(Runs, AreCompared) {
  const std::string both = "--data ptb --log-interval 5 --optimizer sgd ";
  done(small(both + "--save first --lr 20 --dropout 0.2"));
  done(small(both + "--save 'second <2>' --lr 0.125 --dropout 0.3"));
  const Output compared = done("unroll report first 'second <2>'");
  EXPECT_TRUE(contains(compared.err, "saved: comparison.html"));
  const std::string page = read("comparison.html");
  EXPECT_TRUE(contains(page, "second &lt;2&gt;"));
  EXPECT_TRUE(contains(page, "<tr><th>training: lr</th><td>20</td><td>0.125</td></tr>"));
  EXPECT_TRUE(contains(page, "<tr><th>training: dropout</th><td>0.2</td><td>0.3</td></tr>"));
  EXPECT_EQ(page.find("training: clip"), std::string::npos);
  done("unroll report first 'second <2>' --output both.html");
  EXPECT_EQ(read("both.html"), page);
  EXPECT_EQ(run("unroll report first nothing").status, 1);
  EXPECT_EQ(run("unroll report 1 2 3 4 5 6 7 8 9").status, 2);
}

}  // namespace
}  // namespace unroll::test
