/// Logistic regression on bags of words: the logits of a text are the sum of a row per word, so
/// that its order cannot matter. The words of a text are sorted, so that it cannot matter in the
/// last bit either.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "host/data/labelled_texts.h"
#include "host/data/text_batches.h"
#include "unroll/unroll.h"

namespace unroll::benchmark {

struct BagOfWordsOptions {
  std::int64_t epochs = 3, batch = 64;
  double learning_rate = 0.01;
  std::uint64_t seed = 1;
};

class BagOfWords {
 public:
  BagOfWords(const LabelledTexts& texts, const BagOfWordsOptions& options,
             std::shared_ptr<Backend> backend)
      : options_(options), classes_(texts.labels.size()) {
    ids_ = graph_.placeholder("ids", {kOpen, options.batch}, DType::kInt32);
    targets_ = graph_.placeholder("targets", {options.batch}, DType::kInt32);
    const Tensor table =
        graph_.variable("table", {texts.tokenizer.size(), classes_}, uniform(-0.01, 0.01));
    const Tensor bias = graph_.variable("bias", {classes_}, constant(0));
    // Rows of ids below 0 and of targets below 0 are zero.
    log_prob_ = log_softmax(reduce_sum(embedding(table, ids_), 0) + bias);
    const Tensor chosen = reduce_sum(log_prob_ * one_hot(targets_, classes_), 1);
    step_ = AdamOptimizer(options.learning_rate).minimize(-reduce_mean(chosen));
    session_ = std::make_unique<Session>(graph_, std::move(backend), options.seed);
  }

  void train(const LabelledSplit& split) {
    TextBatches batches(bags_of(split), {.batch = options_.batch, .seed = options_.seed});
    Batch batch = batches.largest();
    for (std::int64_t epoch = 1; epoch <= options_.epochs; ++epoch)
      for (batches.seek(epoch, 0); batches.next(batch);) {
        session_->run(step_, {ids_of(batch), {targets_, batch.columns[2].ids}});
      }
  }

  /// The predicted class of each text.
  std::vector<std::int32_t> predict(const LabelledSplit& split) {
    std::vector<std::int32_t> predicted(std::size_t(split.size()));
    TextBatches batches(bags_of(split), {.batch = options_.batch});
    for (Batch batch = batches.largest(); batches.next(batch);) {
      const std::vector<float> log_prob = session_->evaluate(log_prob_, {ids_of(batch)});
      for (std::size_t row = 0; row < batches.rows().size(); ++row) {
        const auto of_row =
            std::span(log_prob).subspan(row * std::size_t(classes_), std::size_t(classes_));
        predicted[std::size_t(batches.rows()[row])] =
            std::int32_t(std::ranges::max_element(of_row) - of_row.begin());
      }
    }
    return predicted;
  }

 private:
  static std::shared_ptr<const LabelledSplit> bags_of(const LabelledSplit& split) {
    LabelledSplit bags = split;
    for (std::int64_t k = 0; k < bags.size(); ++k)
      std::sort(bags.ids.begin() + bags.begins[std::size_t(k)],
                bags.ids.begin() + bags.begins[std::size_t(k) + 1]);
    return std::make_shared<const LabelledSplit>(std::move(bags));
  }

  /// The ids of a batch, with -1 where it is padded.
  Feed ids_of(Batch& batch) const {
    Column& ids = batch.columns[0];
    const std::int64_t steps = ids.shape[0], n = ids.shape[1];
    for (std::int64_t t = 0; t < steps; ++t)
      for (std::int64_t row = 0; row < n; ++row)
        if (t >= batch.columns[1].ids[std::size_t(row)] ||
            batch.columns[2].ids[std::size_t(row)] == kIgnoredId)
          ids.ids[std::size_t(t * n + row)] = -1;
    return {ids_, std::span<const std::int32_t>(ids.ids).first(std::size_t(steps * n)), ids.shape};
  }

  BagOfWordsOptions options_;
  std::int64_t classes_;
  Graph graph_;
  Tensor ids_, targets_, log_prob_, step_;
  std::unique_ptr<Session> session_;
};

/// How many predictions are the texts' classes.
inline std::int64_t count_hits(const LabelledSplit& split,
                               const std::vector<std::int32_t>& predicted) {
  std::int64_t hits = 0;
  for (std::size_t k = 0; k < predicted.size(); ++k)
    hits += predicted[k] == split.classes[k] ? 1 : 0;
  return hits;
}

}  // namespace unroll::benchmark
