/// The public class of unroll::lm.
#include "unroll/language_model.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <string_view>
#include <utility>

#include "host/infer/score.h"
#include "host/infer/token_states.h"
#include "host/train/checkpoint_writer.h"
#include "tests/cuda_emulation/calls.h"
#include "tests/support/asked_model.h"
#include "tests/support/temp_folder.h"
#include "unroll/backend.h"
#include "unroll/device.h"

namespace unroll::test {
namespace {

/// A run folder with a model.
class AskedModel : public ::testing::TestWithParam<TokenizerKind> {
 protected:
  static std::filesystem::path save(const std::filesystem::path& folder, TokenizerKind kind) {
    const Tokenizer tokenizer = asked_tokenizer(kind);
    const LanguageModelConfig config = asked_config(tokenizer);
    SavedLanguageModel{config, tokenizer}.save(folder, 5,
                                               *asked_model(cpu(1), config, tokenizer).store);
    return folder;
  }

  void SetUp() override { save(folder_.path(), GetParam()); }

  unroll::LanguageModel load(const std::string& device = "cpu") {
    return unroll::LanguageModel::load(
        folder_.path(), {.device = device,
                         .threads = device == "cpu" ? 1 : 0,
                         .warn = [this](const std::string& l) { warnings_.push_back(l); }});
  }
  /// Texts of the kind, with and without a line end.
  std::vector<std::string> texts() const {
    if (GetParam() == TokenizerKind::kWord) return {"w3 w4 w5\nw6", "", "w1", "w64 w0 w7 w7 w7\n"};
    return {"he said\nno", "", "a", "word after word\n"};
  }
  std::string token() const { return GetParam() == TokenizerKind::kWord ? "w9" : "q"; }

  TempFolder folder_;
  std::vector<std::string> warnings_;
};

TEST_P(AskedModel, DistributionsAreOfAllTokensInOrder) {
  unroll::LanguageModel model = load();
  const NextTokens next = model.next(texts()[0]);
  EXPECT_EQ(next.size(), model.vocabulary());
  const std::vector<NextToken> all = next.most_probable(1000);
  ASSERT_EQ(all.size(), model.vocabulary());
  double sum = 0;
  for (std::size_t k = 0; k < all.size(); ++k) {
    sum += all[k].probability;
    EXPECT_LE(all[k].probability, all[k == 0 ? 0 : k - 1].probability);
    EXPECT_EQ(next.probability(all[k].token), all[k].probability);
  }
  EXPECT_NEAR(sum, 1, 1e-5);
  EXPECT_EQ(next.most_probable(2)[1].token, all[1].token);
  EXPECT_EQ(std::exp(next.log_probability(token())), next.probability(token()));
  EXPECT_TRUE(warnings_.empty());
}

TEST_P(AskedModel, TextsAtOnceAreWhatTheyAreOneByOne) {
  unroll::LanguageModel model = load();
  const std::vector<NextTokens> next = model.next_batch(texts());
  const std::vector<TextScore> scores = model.score_batch(texts());
  ASSERT_EQ(next.size(), texts().size());
  ASSERT_EQ(scores.size(), texts().size());
  for (std::size_t n = 0; n < texts().size(); ++n) {
    EXPECT_EQ(next[n].probability(token()), model.next(texts()[n]).probability(token()));
    const TextScore one = model.score(texts()[n]);
    EXPECT_EQ(scores[n].log_probability, one.log_probability);
    EXPECT_EQ(scores[n].tokens.size(), one.tokens.size());
  }
  const GenerateOptions options{.length = 12, .top_p = 0.9, .seed = 3};
  const std::vector<std::string> drawn = model.generate_batch(texts(), options);
  GenerateOptions first = options;
  first.prompt = texts()[0];
  EXPECT_EQ(drawn[0], model.generate(first));
  EXPECT_EQ(drawn, model.generate_batch(texts(), options));
  for (std::size_t n = 0; n < texts().size(); ++n)
    EXPECT_TRUE(drawn[n].starts_with(texts()[n])) << drawn[n];
  EXPECT_TRUE(model.next_batch({}).empty());
  EXPECT_TRUE(model.score_batch({}).empty());
  EXPECT_TRUE(model.generate_batch({}).empty());
}

TEST_P(AskedModel, TheOptionsOfOneCallAreNotTheNextOnes) {
  unroll::LanguageModel model = load();
  std::vector<std::string> drawn;
  for (const GenerateOptions& options : {GenerateOptions{.length = 30},
                                         {.length = 30, .seed = 4},
                                         {.length = 30, .temperature = 0.1},
                                         {.length = 30, .top_k = 2},
                                         {.length = 30, .top_p = 0.5}}) {
    drawn.push_back(model.generate(options));
    EXPECT_EQ(drawn.back(), load().generate(options));
  }
  for (std::size_t k = 1; k < drawn.size(); ++k) EXPECT_NE(drawn[k], drawn[k - 1]) << k;
}

TEST_P(AskedModel, WhatIsDrawnGoesOnWhereThePromptEnds) {
  const std::string prompt = texts()[2], text = load().generate({.prompt = prompt, .length = 1});
  const bool words = GetParam() == TokenizerKind::kWord;
  EXPECT_TRUE(text.starts_with(prompt + (words && !text.ends_with('\n') ? " " : ""))) << text;
  EXPECT_GT(text.size(), prompt.size());
}

// P(a b) = P(a) P(b | a), and the end of the text is no token.
TEST_P(AskedModel, AScoreIsTheProductOfWhatIsNext) {
  unroll::LanguageModel model = load();
  const bool words = GetParam() == TokenizerKind::kWord;
  const std::vector<std::string> history =
      words ? std::vector<std::string>{"", "w3", "w3 w4"} : std::vector<std::string>{"", "h", "he"};
  const std::string text = words ? "w3 w4\n" : "he\n";
  const std::vector<std::string> tokens = words ? std::vector<std::string>{"w3", "w4", "<eos>"}
                                                : std::vector<std::string>{"h", "e", "\n"};
  const TextScore score = model.score(text);
  ASSERT_EQ(score.tokens.size(), 3U);
  double sum = 0;
  for (std::size_t k = 0; k < 3; ++k) {
    EXPECT_EQ(score.tokens[k].token, tokens[k]);
    EXPECT_NEAR(score.tokens[k].log_probability, model.next(history[k]).log_probability(tokens[k]),
                1e-5);
    sum += score.tokens[k].log_probability;
  }
  EXPECT_EQ(score.log_probability, sum);
  EXPECT_NEAR(score.perplexity(), std::exp(-sum / 3), 1e-9);
  EXPECT_EQ(model.score(text.substr(0, text.size() - 1)).tokens.size(), 2U);
  EXPECT_TRUE(std::isnan(model.score("").perplexity()));
}

TEST_P(AskedModel, UnknownTokensAreToldAndReadAsUnk) {
  unroll::LanguageModel model = load();
  const std::string text = GetParam() == TokenizerKind::kWord ? "w3 zzyzx w3" : "he É";
  const TextScore score = model.score(text);
  if (GetParam() == TokenizerKind::kByte || GetParam() == TokenizerKind::kBpe) {
    EXPECT_TRUE(warnings_.empty());
    EXPECT_EQ(score.tokens.size(), 5U);  // É is two bytes
    return;
  }
  ASSERT_EQ(warnings_.size(), 1U);
  EXPECT_TRUE(warnings_[0].ends_with(" is not in the model's vocabulary and is read as <unk>"))
      << warnings_[0];
  EXPECT_EQ(std::ranges::count_if(score.tokens, [](const auto& t) { return t.token == "<unk>"; }),
            1);
  EXPECT_EQ(error_of<std::invalid_argument>([&] { model.next("").probability("zzyzx"); }),
            "token: got 'zzyzx', expected one of the " + std::to_string(model.vocabulary()) +
                " of the model's vocabulary");
}

TEST_P(AskedModel, TheEmulatedGpuSaysTheSame) {
  if (!emulation::calls()) GTEST_SKIP() << "not on the emulation";
  unroll::LanguageModel host = load(), gpu = load("cuda");
  for (const std::string& text : texts()) {
    EXPECT_NEAR(gpu.score(text).log_probability, host.score(text).log_probability, 1e-3);
    EXPECT_NEAR(gpu.next(text).probability(token()), host.next(text).probability(token()), 1e-5);
    EXPECT_EQ(gpu.generate({.prompt = text, .length = 5, .temperature = 0}),
              host.generate({.prompt = text, .length = 5, .temperature = 0}));
  }
}

TEST_P(AskedModel, MovesAndItsDistributionsOutliveIt) {
  std::optional<NextTokens> next;
  double expected = 0;
  {
    unroll::LanguageModel model = load();
    unroll::LanguageModel moved = std::move(model);
    next = moved.next("");
    expected = moved.next("").probability(token());
    EXPECT_TRUE(moved.describe().starts_with("lstm"));
  }
  EXPECT_EQ(next->probability(token()), expected);
}

std::string kind_name(const ::testing::TestParamInfo<TokenizerKind>& info) {
  return to_string(info.param);
}
INSTANTIATE_TEST_SUITE_P(Of, AskedModel, ::testing::ValuesIn(kTokenizerKinds), kind_name);

class BadQuestions : public AskedModel {};
INSTANTIATE_TEST_SUITE_P(Of, BadQuestions, ::testing::Values(TokenizerKind::kWord), kind_name);

TEST_P(BadQuestions, GetOneLine) {
  unroll::LanguageModel model = load();
  const auto invalid = [](const auto& act) {
    const std::string said = error_of<std::invalid_argument>(act);
    EXPECT_EQ(said.find('\n'), said.npos) << said;
    return said;
  };
  EXPECT_EQ(invalid([&] { model.generate({.length = -1}); }), "length: got -1, expected 0 or more");
  EXPECT_TRUE(
      invalid([&] { model.generate({.temperature = -1}); }).starts_with("temperature: got -1"));
  EXPECT_TRUE(invalid([&] { model.generate({.top_k = -1}); }).starts_with("top-k: got -1"));
  EXPECT_TRUE(invalid([&] { model.generate({.top_p = 0}); }).starts_with("top-p: got 0"));
  EXPECT_EQ(invalid([&] { model.score("w3 \xFF w4"); }),
            "text: got a byte 3 that is not UTF-8, expected a text of UTF-8");
  EXPECT_EQ(model.generate({.prompt = "w3", .length = 0}), "w3");
  // It answers as before.
  EXPECT_EQ(model.next("w3").size(), 67U);
}

TEST_P(BadQuestions, OfWhatCannotBeLoadedGetOneLine) {
  const auto load_error = [&](const std::filesystem::path& path,
                              const LanguageModelOptions& options = {.device = "cpu"}) {
    const std::string said =
        error_of<std::runtime_error>([&] { unroll::LanguageModel::load(path, options); });
    EXPECT_EQ(said.find('\n'), said.npos) << said;
    return said;
  };
  EXPECT_TRUE(contains(load_error(folder_.path() / "nothing"), "nothing"));
  EXPECT_EQ(error_of<std::invalid_argument>([&] { load("gpu"); }),
            "device: got 'gpu', expected auto, cpu, cuda or cuda:N");
  for (const char* name : {"cuda:", "cuda:x", "cuda:-1", "cuda:1x", "", "CPU"})
    EXPECT_THROW(load(name), std::invalid_argument) << name;
  EXPECT_NE(load_error(folder_.path(), {.device = "cuda:999"}), "");
  std::ofstream(folder_.path() / "best/model.safetensors", std::ios::app) << "x";
  EXPECT_TRUE(contains(load_error(folder_.path() / "best"), "model.safetensors"));
}

// Versions before there were tasks wrote no `task`.
TEST_P(BadQuestions, OldCheckpointsStillAnswer) {
  const double expected = load().next("w3").probability("w4");
  const Checkpoint now = load_checkpoint(folder_.path());
  CheckpointContent old;
  old.config = now.config;
  EXPECT_EQ(old.config.erase("task"), 1U);
  old.vocabulary = now.vocabulary;
  for (const TensorData& tensor : now.model.tensors()) old.tensors.push_back(tensor);
  old.metadata = now.model.metadata();
  old.metadata.erase("format");
  const TempFolder run;
  save_checkpoint(run.path(), 3, old, {.best = true});
  EXPECT_EQ(unroll::LanguageModel::load(run.path(), {.device = "cpu"}).next("w3").probability("w4"),
            expected);
}

TEST_P(BadQuestions, ADamagedCheckpointIsToldOf) {
  const Tokenizer tokenizer = asked_tokenizer();
  const LanguageModelConfig config = asked_config(tokenizer);
  SavedLanguageModel{config, tokenizer}.save(folder_.path(), 9,
                                             *asked_model(cpu(1), config, tokenizer).store);
  std::ofstream(folder_.path() / "best/model.safetensors", std::ios::app) << "x";
  EXPECT_EQ(load().vocabulary(), 67U);
  ASSERT_EQ(warnings_.size(), 1U);
}

TEST(OpenDevice, AutoIsTheFirstGpuOrElseTheProcessor) {
  std::string why;
  const int devices = cuda_device_count(&why);
  const FoundGpu gpu = find_gpu();
  EXPECT_EQ(bool(gpu.backend), gpu.why_not.empty());
  const OpenedDevice chosen = open_device("auto", 1);
  ASSERT_TRUE(chosen.backend);
  EXPECT_EQ(chosen.backend->kind(), gpu.backend ? DeviceKind::kCuda : DeviceKind::kCpu);
  EXPECT_EQ(chosen.why_no_gpu, gpu.why_not);
  EXPECT_EQ(chosen.why_no_gpu.empty(), gpu.backend != nullptr);
  if (devices == 0) {
    EXPECT_EQ(gpu.why_not, why);
    EXPECT_EQ(gpu.ordinal, -1);
  }
  EXPECT_EQ(open_device("cpu", 1).why_no_gpu, "");
}

// The block of C++ in docs/inference.md is a part of the example, word for word.
TEST(InferencePage, ShowsTheExample) {
  const std::filesystem::path root = UNROLL_SOURCE_DIR;
  const std::string page = read_text(root / "docs/inference.md");
  constexpr std::string_view kBegin = "```cpp\n", kEnd = "```\n";
  ASSERT_NE(page.find(kBegin), page.npos);
  const std::size_t at = page.find(kBegin) + kBegin.size();
  const std::string snippet = page.substr(at, page.find(kEnd, at) - at);
  EXPECT_GT(std::count(snippet.begin(), snippet.end(), '\n'), 5);
  EXPECT_TRUE(contains(read_text(root / "examples/language_model.cpp"), snippet));
}

}  // namespace
}  // namespace unroll::test
