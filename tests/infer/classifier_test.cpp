#include "host/infer/classifier.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/support/backends.h"
#include "tests/support/classifier.h"
#include "tests/support/compare.h"
#include "tests/support/random_store.h"
#include "tests/support/temp_folder.h"

namespace unroll::test {
namespace {

std::shared_ptr<const SequenceClassifier> small_model(Pooling pooling) {
  SequenceClassifierConfig config;
  config.vocabulary = 9;
  config.embedding = 4;
  config.hidden = {5};
  config.directions = 2;
  config.classes = 3;
  config.pooling = pooling;
  return std::make_shared<const SequenceClassifier>(classifier_of(config));
}

class TextClassifiers : public OnEachBackend {};
UNROLL_FOR_EACH_BACKEND(TextClassifiers);

TEST_P(TextClassifiers, AnswerInTheOrderOfTheTexts) {
  const std::vector<std::string> texts = {"w2 w3 w4 w5", "w4",    "w8 w8 w2", "unheard",
                                          "w3\nw4\n",    "w5 w2", "w4",       "w3 w4"};
  for (const Pooling pooling : kPoolings) {
    const auto model = small_model(pooling);
    const auto store = random_store(*model, backend_);
    TextClassifier many(model, store, 3), one(model, store, 1);
    const std::vector<float> got = many.log_prob(texts);
    ASSERT_EQ(got.size(), texts.size() * 3);
    for (std::size_t k = 0; k < texts.size(); ++k) {
      const std::vector<float> alone = one.log_prob(std::span(&texts[k], 1));
      EXPECT_TRUE(close(
          std::vector(got.begin() + std::ptrdiff_t(3 * k), got.begin() + std::ptrdiff_t(3 * k + 3)),
          doubles(alone), 32))
          << texts[k];
      double sum = 0;
      for (const float p : alone) sum += std::exp(double(p));
      EXPECT_NEAR(sum, 1, 1e-6);
    }
    const auto row = [&](std::size_t k) {
      return std::vector(got.begin() + std::ptrdiff_t(3 * k),
                         got.begin() + std::ptrdiff_t(3 * k + 3));
    };
    EXPECT_EQ(row(4), row(7));  // a newline is a blank
    EXPECT_NE(row(0), row(1));
    EXPECT_TRUE(many.log_prob({}).empty());
  }
}

TEST_P(TextClassifiers, AreEvaluatedAsTheTaskIs) {
  const auto model = small_model(Pooling::kMean);
  const auto store = random_store(*model, backend_);
  const auto texts = random_texts(model->config(), {3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5}, 4);
  TextClassifier classifier(model, store, 4);
  const ClassifierEvaluation result = evaluate(classifier, texts, "texts");

  const auto graph = model->evaluation_graph(4, "evaluate");
  Session session(graph->graph, store);
  TextBatches batches(texts, model->batches(4));
  Evaluation expected;
  for (Batch batch = batches.largest(); batches.next(batch); expected.count += batch.count) {
    session.run(graph->fetches, feeds_of(graph->inputs, batch));
    for (const float loss : session.read(graph->loss)) expected.loss_sum += double(loss);
    for (const float hit : session.read(graph->hit)) expected.hits += hit > 0 ? 1 : 0;
  }
  EXPECT_EQ(result.sums.count, 11);
  EXPECT_EQ(result.sums.count, expected.count);
  EXPECT_EQ(result.sums.hits, expected.hits);
  EXPECT_NEAR(result.sums.loss_sum, expected.loss_sum, 1e-5 * expected.loss_sum);
  EXPECT_EQ(result.confusion.texts(), 11);
  EXPECT_DOUBLE_EQ(result.confusion.accuracy(), expected.accuracy());
  for (std::int32_t k = 0; k < 3; ++k)
    EXPECT_EQ(result.confusion.score(k).texts, texts->statistics.per_class[std::size_t(k)]);
}

TEST_P(TextClassifiers, SayWhenAModelIsNone) {
  const auto model = small_model(Pooling::kLast);
  const auto store = random_store(*model, backend_);
  TextClassifier classifier(model, store, 2);
  const std::vector<std::string> texts{"w2"};
  const std::vector<float> bias{0, std::numeric_limits<float>::quiet_NaN(), 0};
  store->write<float>(kDecoderBias, bias);
  EXPECT_TRUE(contains(error_of<std::runtime_error>([&] { classifier.log_prob(texts); }),
                       "got probabilities from the model that are no numbers"));
  EXPECT_TRUE(contains(error_of<std::runtime_error>([&] {
                         evaluate(classifier, random_texts(model->config(), {2, 3}, 1), "test.tsv");
                       }),
                       "test.tsv: got a loss of "));
}

TEST(TextClassifier, RefusesABatchOfNothingAndATextOfNothing) {
  const auto model = small_model(Pooling::kLast);
  const auto store = random_store(*model, cpu(1));
  EXPECT_THROW(TextClassifier(model, store, 0), std::invalid_argument);
  TextClassifier classifier(model, store);
  const std::vector<std::string> texts{"w2", " "};
  EXPECT_EQ(error_of<std::runtime_error>([&] { classifier.log_prob(texts); }),
            "got no word in the text, expected one or more");
}

}  // namespace
}  // namespace unroll::test
