#include "host/infer/classifier.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <utility>

namespace unroll {
namespace {

/// Where a batch of TextBatches has what a prediction graph is not fed with.
constexpr std::size_t kTargets = 2;

}  // namespace

TextClassifier::TextClassifier(std::shared_ptr<const SequenceClassifier> model,
                               std::shared_ptr<VariableStore> store, std::int64_t batch)
    : model_(std::move(model)),
      batch_(batch),
      graph_(batch >= 1 ? model_->prediction_graph(batch)
                        : throw std::invalid_argument(
                              fmt::format("batches of {} texts, expected 1 or more", batch))),
      session_(graph_->graph, std::move(store)) {}

std::vector<float> TextClassifier::log_prob(std::span<const std::string> texts) {
  if (texts.empty()) return {};
  LabelledSplit split;
  for (const std::string& text : texts)
    split.add(encode_text(model_->tokenizer(), text), kIgnoredId);
  const auto classes = std::size_t(model_->labels().size());
  std::vector<float> all(texts.size() * classes);
  for_each(std::make_shared<const LabelledSplit>(std::move(split)),
           [&](std::int64_t text, std::span<const float> log_prob) {
             if (std::isnan(log_prob[0]))  // then all are, because they have one sum
               throw std::runtime_error(
                   "got probabilities from the model that are no numbers, expected some that are");
             std::ranges::copy(log_prob, all.begin() + text * std::ptrdiff_t(classes));
           });
  return all;
}

void TextClassifier::for_each(const std::shared_ptr<const LabelledSplit>& texts, const Use& use) {
  TextBatches batches(texts, model_->batches(batch_));
  Batch batch = batches.largest();
  const auto classes = std::size_t(model_->labels().size());
  std::vector<float> log_prob(std::size_t(batch_) * classes);
  while (batches.next(batch)) {
    std::vector<Feed> feeds;
    for (std::size_t k = 0; k < batch.columns.size(); ++k) {
      if (k == kTargets) continue;
      const Column& column = batch.columns[k];
      const auto size = std::size_t(column.shape.elements());
      const Tensor input = graph_->inputs[feeds.size()];
      if (column.dtype == DType::kInt32)
        feeds.emplace_back(input, std::span(column.ids).first(size), column.shape);
      else
        feeds.emplace_back(input, std::span(column.values).first(size), column.shape);
    }
    session_.run(std::span(&graph_->log_prob, 1), feeds);
    session_.read(graph_->log_prob, std::span(log_prob));
    for (std::size_t row = 0; row < batches.rows().size(); ++row)
      use(batches.rows()[row], std::span(log_prob).subspan(row * classes, classes));
  }
}

ClassifierEvaluation evaluate(TextClassifier& classifier,
                              const std::shared_ptr<const LabelledSplit>& texts,
                              const std::string& name) {
  ClassifierEvaluation result{{}, ConfusionTable(classifier.model().labels().size())};
  classifier.for_each(texts, [&](std::int64_t text, std::span<const float> log_prob) {
    const std::int32_t its_class = texts->classes[std::size_t(text)];
    const auto best = std::int32_t(std::ranges::max_element(log_prob) - log_prob.begin());
    result.sums.loss_sum -= double(log_prob[std::size_t(its_class)]);
    result.sums.hits += best == its_class ? 1 : 0;
    ++result.sums.count;
    result.confusion.add(its_class, best);
  });
  if (!std::isfinite(result.sums.loss()))
    throw std::runtime_error(
        fmt::format("{}: got a loss of {} nats per text from the model, expected a finite one",
                    name, result.sums.loss()));
  return result;
}

}  // namespace unroll
