/// The public class says what the commands say.
#include "unroll/language_model.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <string>

#include "host/data/grammar.h"
#include "tests/support/program.h"

namespace unroll::test {
namespace {

using nlohmann::json;

class ClassAndCommands : public ::testing::TestWithParam<std::string> {};

TEST_P(ClassAndCommands, SayTheSame) {
  const TempFolder folder;
  const std::string text = Grammar::english().sample(7, 30), history = "he ate the";
  folder.write("train.txt", Grammar::english().sample(1, 200));
  folder.write("valid.txt", Grammar::english().sample(2, 20));
  folder.write("test.txt", text);
  const Output trained = run_script(
      "unroll train --device cpu --data . --save run --cache-dir cache --nhid 16 --emsize 8 "
      "--nlayers 1 --dropout 0 --epochs 1 --optimizer adam --lr 0.02 --tokenizer " +
          GetParam(),
      folder.path());
  ASSERT_EQ(trained.status, 0) << trained.err;
  const auto ask = [&](const std::string& command) {
    const Output said =
        run_script("unroll " + command + " --json --device cpu --checkpoint run", folder.path());
    EXPECT_EQ(said.status, 0) << said.err;
    return json::parse(said.out);
  };
  LanguageModel model = LanguageModel::load(folder.path() / "run", {.device = "cpu"});

  const json next = ask("predict --top 5 --text '" + history + "'")["next"];
  const std::vector<NextToken> best = model.next(history).most_probable(5);
  ASSERT_EQ(next.size(), 5U);
  for (std::size_t k = 0; k < best.size(); ++k) {
    EXPECT_EQ(next[k]["token"], best[k].token);
    EXPECT_EQ(next[k]["probability"], best[k].probability);
  }

  const json evaluated = ask("eval --data test.txt");
  const TextScore score = model.score(text);
  EXPECT_EQ(evaluated["tokens"], score.tokens.size());
  // The same numbers and the same order of the sum.
  EXPECT_EQ(evaluated["loss"], -score.log_probability / double(score.tokens.size()));
  EXPECT_EQ(evaluated["ppl"], score.perplexity());

  // The bytes as they were drawn, and the end of the last line.
  const auto drawn = [&](const std::string& flags) {
    return run_script("unroll generate --device cpu --checkpoint run" + flags, folder.path()).out;
  };
  const auto ended = [](const std::string& text) {
    return text.ends_with('\n') ? text : text + "\n";
  };
  EXPECT_EQ(drawn(" --prompt '" + history +
                  "' --length 40 --top-k 20 --top-p 0.9 --temperature 0.8 --seed 3"),
            ended(model.generate({.prompt = history,
                                  .length = 40,
                                  .temperature = 0.8,
                                  .top_k = 20,
                                  .top_p = 0.9,
                                  .seed = 3})));
  EXPECT_EQ(drawn(" --seed 1111"), ended(model.generate()));
}

INSTANTIATE_TEST_SUITE_P(Of, ClassAndCommands, ::testing::Values("word", "char", "byte"),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace unroll::test
