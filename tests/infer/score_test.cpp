/// How probable texts are: against an evaluation, and against reading token by token.
#include "host/infer/score.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "host/data/batches.h"
#include "host/data/language_corpus.h"
#include "host/infer/token_states.h"
#include "host/models/evaluate.h"
#include "tests/support/asked_model.h"
#include "tests/support/backends.h"
#include "tests/support/temp_folder.h"

namespace unroll::test {
namespace {

using Ids = std::vector<std::int32_t>;

class Scores : public OnEachBackend {};

TEST_P(Scores, SumToWhatAnEvaluationSays) {
  const LoadedModel model = asked_model(backend_);
  const auto& task = task_of<LanguageModelTask>(model);
  for (const std::size_t length : {1U, 31U, 256U, 257U, 700U}) {
    const auto text = asked_texts({length}, 67);
    BatchStream stream(text[0], {.steps = kEvaluationSteps, .start = task.tokenizer().start()});
    const Evaluation expected = Evaluator(task, model.store).evaluate(stream);
    const auto log_prob = Scorer(model).score(text);
    double sum = 0;
    for (const float p : log_prob[0]) sum -= double(p);
    EXPECT_EQ(std::ssize(log_prob[0]), expected.count);
    // The same sums in pieces of other sizes: on a GPU by other kernels.
    EXPECT_NEAR(sum, expected.loss_sum,
                backend_->kind() == DeviceKind::kCpu ? 0 : 1e-5 * expected.loss_sum)
        << length;
  }
}

TEST_P(Scores, AreWhatIsSaidTokenByToken) {
  const LoadedModel model = asked_model(backend_);
  const auto text = asked_texts({40}, 67);
  const auto log_prob = Scorer(model).score(text);
  TokenStates states(model, {});
  for (std::size_t t = 0; t < text[0].size(); ++t) {
    // Softmax with and without its cross-entropy: a few roundings of numbers of about 5.
    EXPECT_NEAR(log_prob[0][t], states.log_prob(0)[std::size_t(text[0][t])], 1e-5) << t;
    states.advance(std::span(&text[0][t], 1));
  }
}

TEST_P(Scores, ManyTextsAreWhatEachIsAlone) {
  for (const CellKind cell : {CellKind::kLstm, CellKind::kGru}) {
    const LoadedModel model = asked_model(backend_, asked_config(asked_tokenizer(), cell));
    std::vector<std::size_t> lengths{0, 300, 1, 33};
    for (std::size_t k = 0; k < 37; ++k) lengths.push_back(k * 5 % 23);
    const auto texts = asked_texts(lengths, 67);
    Scorer scorer(model);
    const auto together = scorer.score(texts);
    ASSERT_EQ(together.size(), texts.size());
    for (std::size_t n = 0; n < texts.size(); ++n) {
      const auto alone = scorer.score(std::span(&texts[n], 1));
      ASSERT_EQ(together[n].size(), texts[n].size());
      for (std::size_t t = 0; t < texts[n].size(); ++t)
        EXPECT_NEAR(together[n][t], alone[0][t], backend_->kind() == DeviceKind::kCpu ? 0 : 1e-4)
            << n << ", " << t;
    }
  }
}

// One text in pieces of any size, with and without another text in between.
TEST_P(Scores, OfPiecesAreWhatAnEvaluationSays) {
  const LoadedModel model = asked_model(backend_);
  const auto& task = task_of<LanguageModelTask>(model);
  const auto text = asked_texts({600}, 67);
  const std::span<const std::int32_t> all = text[0];
  BatchStream stream(text[0], {.steps = kEvaluationSteps, .start = task.tokenizer().start()});
  const Evaluation expected = Evaluator(task, model.store).evaluate(stream);
  for (const std::size_t piece : {1U, 7U, 255U, 256U, 600U}) {
    Scorer scorer(model);
    double sum = 0;
    std::int64_t count = 0;
    for (std::size_t at = 0; at < all.size(); at += piece) {
      for (const float p : scorer.score_next(all.subspan(at, std::min(piece, all.size() - at)))) {
        sum -= double(p);
        ++count;
      }
      if (at == 0) scorer.score(asked_texts({9, 3}, 67));
      EXPECT_TRUE(scorer.score_next({}).empty());
    }
    EXPECT_EQ(count, expected.count);
    EXPECT_NEAR(sum, expected.loss_sum,
                backend_->kind() == DeviceKind::kCpu ? 0 : 1e-5 * expected.loss_sum)
        << piece;
  }
}

TEST_P(Scores, OfAModelThatOverflowsAreOneError) {
  const LoadedModel model =
      asked_model(backend_, asked_config(asked_tokenizer()), asked_tokenizer(), 1e38);
  EXPECT_EQ(error_of<std::runtime_error>([&] { Scorer(model).score(asked_texts({3}, 67)); }),
            "the model gives probabilities of the next token that are not numbers, expected finite "
            "ones");
}

INSTANTIATE_TEST_SUITE_P(On, Scores, ::testing::Values("Cpu", "CpuBf16", "Cuda"), backend_name);

TEST(ScoresArguments, AreChecked) {
  const LoadedModel model = asked_model(cpu(1));
  Scorer scorer(model);
  EXPECT_TRUE(scorer.score({}).empty());
  for (const std::int32_t bad : {-1, 67}) {
    const std::vector<Ids> texts{{1, bad}};
    EXPECT_EQ(error_of<std::invalid_argument>([&] { scorer.score(texts); }),
              "token: got " + std::to_string(bad) + ", expected an id below 67");
    EXPECT_THROW(scorer.score_next(texts[0]), std::invalid_argument);
  }
}

}  // namespace
}  // namespace unroll::test
