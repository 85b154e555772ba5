/// Texts that join and leave: each is told what it is told alone, in the same bits on the CPU.
#include "host/infer/continuous_batch.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <stdexcept>

#include "host/infer/generate.h"
#include "host/infer/host_sampler.h"
#include "host/infer/predict.h"
#include "tests/support/asked_model.h"
#include "tests/support/backends.h"
#include "tests/support/temp_folder.h"

namespace unroll::test {
namespace {

using Ids = std::vector<std::int32_t>;

/// Reads texts one after the other, and keeps what it is told after the last token of each.
class ReadingText : public BatchText {
 public:
  explicit ReadingText(std::vector<Ids> texts) : texts_(std::move(texts)) {}
  explicit ReadingText(Ids text) : ReadingText(std::vector<Ids>{std::move(text)}) {}

  State state() const override { return now; }
  bool asks() const override { return read_ == texts_[told.size()].size(); }
  TextStep next(std::span<const float> log_prob) override {
    if (fails_at == std::ptrdiff_t(read_)) throw std::runtime_error("it cannot go on");
    const Ids& text = texts_[told.size()];
    EXPECT_EQ(log_prob.empty(), !asks());
    ++calls;
    if (read_ < text.size()) return TextStep::read(text[read_++]);
    told.emplace_back(log_prob.begin(), log_prob.end());
    read_ = 0;
    return told.size() < texts_.size() ? TextStep::begin() : TextStep::end();
  }
  void fail(const std::string& why) override { failure = why; }

  bool ended() const { return told.size() == texts_.size(); }

  State now = State::kReads;
  std::ptrdiff_t fails_at = -1;
  int calls = 0;
  std::vector<std::vector<float>> told;
  std::string failure;

 private:
  std::vector<Ids> texts_;
  std::size_t read_ = 0;
};

void run(ContinuousBatch& batch) {
  while (batch.step()) {
  }
}

class Batched : public OnEachBackend {
 protected:
  /// The same bits on the CPU. On a GPU a product of several rows may be made by another kernel
  /// than one of a single row: see tests/infer/token_states_test.cpp.
  void expect_alone(const std::vector<float>& told, const Ids& text) {
    TokenStates states(model_, {.name = "alone"});
    const std::vector<float> expected = predict(states, std::span(&text, 1))[0];
    if (backend_->kind() == DeviceKind::kCpu) {
      EXPECT_EQ(told, expected) << text.size();
      return;
    }
    ASSERT_EQ(told.size(), expected.size());
    for (std::size_t id = 0; id < told.size(); ++id) EXPECT_NEAR(told[id], expected[id], 1e-4);
  }
  void expect_alone(const std::vector<std::shared_ptr<ReadingText>>& texts,
                    const std::vector<Ids>& ids) {
    for (std::size_t k = 0; k < texts.size(); ++k) {
      ASSERT_TRUE(texts[k]->ended()) << k;
      expect_alone(texts[k]->told[0], ids[k]);
    }
  }

  void SetUp() override {
    OnEachBackend::SetUp();
    if (backend_) model_ = asked_model(backend_);
  }

  LoadedModel model_;
};

TEST_P(Batched, TextsJoinAtAnyTimeAndAreWhatTheyAreAlone) {
  const std::vector<Ids> ids = asked_texts({3, 0, 17, 1, 8, 30, 5, 5, 12, 0, 2}, 67);
  for (const std::int64_t rows : {1, 3, 4, 5, 33}) {
    SCOPED_TRACE(rows);
    ContinuousBatch batch(model_, rows);
    std::vector<std::shared_ptr<ReadingText>> texts;
    for (std::size_t k = 0; k < ids.size(); ++k) {
      texts.push_back(std::make_shared<ReadingText>(ids[k]));
      batch.add(texts.back());
      for (std::size_t steps = 0; steps < k % 3; ++steps) batch.step();
      EXPECT_LE(batch.reading(), rows);
    }
    run(batch);
    expect_alone(texts, ids);
    EXPECT_EQ(batch.reading(), 0);
    EXPECT_EQ(batch.waiting(), 0);
    EXPECT_FALSE(batch.step());
  }
}

TEST_P(Batched, ATextThatLeavesMakesRoomAndChangesNoOther) {
  const std::vector<Ids> ids = asked_texts({9, 20, 9, 6}, 67);
  ContinuousBatch batch(model_, 2);
  std::vector<std::shared_ptr<ReadingText>> texts;
  for (const Ids& text : ids) {
    texts.push_back(std::make_shared<ReadingText>(text));
    batch.add(texts.back());
  }
  for (int k = 0; k < 4; ++k) batch.step();
  EXPECT_EQ(texts[2]->calls, 0);
  texts[1]->now = BatchText::State::kLeaves;
  const int calls = texts[1]->calls;
  batch.step();
  EXPECT_EQ(texts[1]->calls, calls);
  EXPECT_EQ(texts[2]->calls, 1);
  EXPECT_EQ(batch.waiting(), 1);
  texts[3]->now = BatchText::State::kLeaves;  // before it had a row
  run(batch);
  EXPECT_TRUE(texts[1]->told.empty());
  EXPECT_EQ(texts[3]->calls, 0);
  EXPECT_EQ(batch.waiting(), 0);
  expect_alone(texts[0]->told[0], ids[0]);
  expect_alone(texts[2]->told[0], ids[2]);
}

TEST_P(Batched, ATextThatWaitsGivesItsRowAwayAndGoesOnWhereItWas) {
  const std::vector<Ids> ids = asked_texts({12, 9, 4}, 67);
  ContinuousBatch batch(model_, 1);
  std::vector<std::shared_ptr<ReadingText>> texts;
  for (const Ids& text : ids) {
    texts.push_back(std::make_shared<ReadingText>(text));
    batch.add(texts.back());
  }
  for (int k = 0; k < 5; ++k) batch.step();
  texts[0]->now = BatchText::State::kWaits;
  run(batch);
  EXPECT_EQ(texts[0]->calls, 5);
  EXPECT_TRUE(texts[1]->ended() && texts[2]->ended());
  EXPECT_EQ(batch.waiting(), 1);
  texts[0]->now = BatchText::State::kReads;
  run(batch);
  expect_alone(texts, ids);
}

TEST_P(Batched, ShortTextsDoNotWaitForTheEndOfLongOnes) {
  const std::vector<Ids> ids = asked_texts({400, 300, 10}, 67);
  ContinuousBatch batch(model_, 2);
  std::vector<std::shared_ptr<ReadingText>> texts;
  for (const Ids& text : ids) {
    texts.push_back(std::make_shared<ReadingText>(text));
    batch.add(texts.back());
  }
  for (std::int64_t k = 0; k < ContinuousBatch::kTurn + 11; ++k) batch.step();
  EXPECT_TRUE(texts[2]->ended());
  EXPECT_FALSE(texts[1]->ended());
  run(batch);
  expect_alone(texts, ids);
}

TEST_P(Batched, ATextBeginsAnewAsAnother) {
  const std::vector<Ids> ids = asked_texts({7, 0, 3}, 67);
  const auto text = std::make_shared<ReadingText>(ids);
  ContinuousBatch batch(model_, 3);
  batch.add(std::make_shared<ReadingText>(asked_texts({11}, 67)[0]));
  batch.add(text);
  run(batch);
  ASSERT_EQ(text->told.size(), 3U);
  for (std::size_t k = 0; k < 3; ++k) expect_alone(text->told[k], ids[k]);
}

TEST_P(Batched, OneThatFailsIsToldAndTheOthersGoOn) {
  const std::vector<Ids> ids = asked_texts({7, 9, 3}, 67);
  ContinuousBatch batch(model_, 4);
  std::vector<std::shared_ptr<ReadingText>> texts;
  for (const Ids& text : ids) {
    texts.push_back(std::make_shared<ReadingText>(text));
    batch.add(texts.back());
  }
  texts[1]->fails_at = 4;
  run(batch);
  EXPECT_EQ(texts[1]->failure, "it cannot go on");
  EXPECT_TRUE(texts[1]->told.empty());
  expect_alone(texts[0]->told[0], ids[0]);
  expect_alone(texts[2]->told[0], ids[2]);
  EXPECT_EQ(texts[0]->failure + texts[2]->failure, "");
}

TEST_P(Batched, ProbabilitiesThatAreNoNumbersAreAFailure) {
  const float value = std::numeric_limits<float>::quiet_NaN();
  const View bias = model_.store->view("decoder.bias");
  model_.store->backend().upload(bias.data, &value, sizeof value);
  model_.store->touch("decoder.bias");
  const auto text = std::make_shared<ReadingText>(Ids{3, 4});
  ContinuousBatch batch(model_, 1);
  batch.add(text);
  run(batch);
  EXPECT_NE(text->failure.find("not numbers"), text->failure.npos) << text->failure;
}

TEST_P(Batched, AStepHasFewRowsForFewTexts) {
  ContinuousBatch batch(model_, 10);
  EXPECT_EQ(batch.rows(), 1);
  std::vector<std::shared_ptr<ReadingText>> texts;
  const std::vector<Ids> ids = asked_texts({90, 20, 20, 20, 20}, 67);
  const auto add = [&](std::size_t k) {
    texts.push_back(std::make_shared<ReadingText>(ids[k]));
    batch.add(texts.back());
  };
  add(0);
  batch.step();
  EXPECT_EQ(batch.rows(), 1);
  add(1);
  batch.step();
  EXPECT_EQ(batch.rows(), 4);
  for (const std::size_t k : {2, 3, 4}) add(k);
  batch.step();
  EXPECT_EQ(batch.rows(), 10);
  for (int k = 0; k < 50; ++k) batch.step();
  EXPECT_EQ(batch.rows(), 1);
  run(batch);
  expect_alone(texts, ids);
}

UNROLL_FOR_EACH_BACKEND(Batched);

/// Draws a text as generate() does, but among others and on the host.
class DrawnText : public BatchText {
 public:
  DrawnText(Ids prompt, std::size_t length, SamplingOptions options, HostSampler& sampler)
      : text(std::move(prompt)),
        size_(text.size() + length),
        options_(options),
        sampler_(sampler) {}

  State state() const override { return State::kReads; }
  bool asks() const override { return read_ == text.size(); }
  TextStep next(std::span<const float> log_prob) override {
    if (read_ == text.size()) {
      text.push_back(sampler_.draw(log_prob, options_, std::int64_t(read_)));
      if (text.size() == size_) return TextStep::end();
    }
    return TextStep::read(text[read_++]);
  }
  void fail(const std::string& why) override { ADD_FAILURE() << why; }

  Ids text;

 private:
  std::size_t read_ = 0, size_;
  SamplingOptions options_;
  HostSampler& sampler_;
};

TEST(HostSampler, ATextAmongOthersIsTheOneThatIsDrawnAlone) {
  const LoadedModel model = asked_model(cpu(2));
  const std::vector<Ids> prompts = asked_texts({3, 0, 17, 8}, 67);
  const std::vector<SamplingOptions> options{
      {.seed = 5},
      {.temperature = 0.8, .top_k = 20, .top_p = 0.9, .seed = 6},
      {.temperature = 1.5, .min_p = 0.05, .seed = std::uint64_t(-1), .excluded_id = 1},
      {.temperature = 0}};
  HostSampler sampler;
  ContinuousBatch batch(model, 3);
  std::vector<std::shared_ptr<DrawnText>> texts;
  for (std::size_t k = 0; k < prompts.size(); ++k) {
    texts.push_back(std::make_shared<DrawnText>(prompts[k], 25, options[k], sampler));
    batch.add(texts.back());
    batch.step();
  }
  run(batch);
  for (std::size_t k = 0; k < prompts.size(); ++k) {
    TokenStates states(model, {.sampler = options[k], .name = "alone"});
    Ids expected = prompts[k];
    generate(states, std::span(&prompts[k], 1), 25, [&](std::int64_t, std::int32_t token) {
      expected.push_back(token);
      return true;
    });
    EXPECT_EQ(texts[k]->text, expected) << k;
  }
}

TEST(HostSampler, RefusesWhatCannotBeDrawn) {
  HostSampler sampler;
  const std::vector<float> log_prob{-1, std::numeric_limits<float>::quiet_NaN()};
  EXPECT_NE(error_of<std::runtime_error>([&] { sampler.draw(log_prob, {}, 0); }), "");
  EXPECT_EQ(error_of<std::invalid_argument>([&] {
              sampler.draw(std::vector<float>{-1, -2}, {.top_p = 0}, 0);
            }),
            "top-p: got 0, expected one in (0, 1]");
}

}  // namespace
}  // namespace unroll::test
