/// Asks a sequence classifier about texts, a batch at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "host/data/labelled_texts.h"
#include "host/infer/confusion.h"
#include "host/models/evaluation.h"
#include "host/models/sequence_classifier.h"
#include "unroll/session.h"

namespace unroll {

/// Not thread-safe.
class TextClassifier {
 public:
  static constexpr std::int64_t kBatch = 32;  // texts that are asked about at once

  /// `store` holds the model's parameters.
  /// Errors    std::invalid_argument if `batch` is below 1.
  TextClassifier(std::shared_ptr<const SequenceClassifier> model,
                 std::shared_ptr<VariableStore> store, std::int64_t batch = kBatch);

  const SequenceClassifier& model() const { return *model_; }

  /// ln p of each class, in the order of the texts.
  /// Shapes    [texts, classes], row-major
  /// Errors    std::runtime_error as encode_text(), or if they are no numbers.
  std::vector<float> log_prob(std::span<const std::string> texts);

  /// Receives ln p of each class of a text, which is named by its place among the texts.
  using Use = std::function<void(std::int64_t text, std::span<const float> log_prob)>;
  /// Calls `use` once for each text, the shortest first. Their classes do not matter.
  void for_each(const std::shared_ptr<const LabelledSplit>& texts, const Use& use);

 private:
  std::shared_ptr<const SequenceClassifier> model_;
  std::int64_t batch_;
  std::unique_ptr<ClassPredictionGraph> graph_;
  Session session_;
};

struct ClassifierEvaluation {
  Evaluation sums;  // of -ln p of the texts' classes
  ConfusionTable confusion;
};

/// A text is given its most probable class, the first of them where several are.
/// Errors    std::runtime_error, with the name of the texts, if the model's probabilities are no
///           numbers.
ClassifierEvaluation evaluate(TextClassifier& classifier,
                              const std::shared_ptr<const LabelledSplit>& texts,
                              const std::string& name);

}  // namespace unroll
