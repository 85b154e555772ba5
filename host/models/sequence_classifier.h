/// A classifier of token sequences: embedding, recurrent stack, a state that stands for the whole
/// text, decoder of classes. Texts come in batches of TextBatches.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "host/base/strict_json.h"
#include "host/data/class_labels.h"
#include "host/data/text_batches.h"
#include "host/data/tokenizer.h"
#include "host/models/encoder.h"
#include "host/models/task.h"

namespace unroll {

/// Which state stands for a text.
enum class Pooling : std::uint8_t {
  kLast,  // the last of each direction, so with two the one after the first token, too
  kMean,  // the mean over the text's steps
};

inline constexpr std::array kPoolings{Pooling::kLast, Pooling::kMean};

/// "last" or "mean".
std::string to_string(Pooling pooling);
/// The pooling of that name, if there is one.
std::optional<Pooling> pooling_of(std::string_view name);

struct SequenceClassifierConfig : EncoderConfig {
  std::int64_t classes = 0;
  Pooling pooling = Pooling::kLast;

  /// Throws std::invalid_argument as EncoderConfig::check(), or unless there are 2 to
  /// ClassLabels::kMost classes.
  void check() const;
};

/// The `model` member of config.json.
nlohmann::json to_json(const SequenceClassifierConfig& config);
/// Errors    std::runtime_error if it is not a sequence classifier's, or not one that check()
///           passes.
SequenceClassifierConfig sequence_classifier_from(const JsonObject& model);

/// What a model says of a batch.
struct ClassPredictionGraph {
  Graph graph;
  std::vector<Tensor> inputs;  // a batch's columns without the targets
  Tensor log_prob;             // [N, classes]
};

class SequenceClassifier final : public Task {
 public:
  static constexpr const char* kName = "classify";
  static constexpr int kVersion = 1;

  /// Without its files: it has graphs. Errors: std::invalid_argument as config.check().
  explicit SequenceClassifier(SequenceClassifierConfig config);
  /// Errors    std::invalid_argument as config.check(), or if it has another number of tokens or
  ///           classes than these.
  SequenceClassifier(SequenceClassifierConfig config, Tokenizer tokenizer, ClassLabels labels);

  /// Errors    std::runtime_error if config.json is not a sequence classifier's, or vocab.txt or
  ///           labels.txt is missing, surplus, damaged, or of another size than config.json says.
  static std::shared_ptr<const SequenceClassifier> read(const Checkpoint& checkpoint);
  /// From the `model` member of config.json, without its files.
  static std::shared_ptr<const SequenceClassifier> configured(const JsonObject& model);

  std::string name() const override { return kName; }
  int version() const override { return kVersion; }

  std::vector<VariableInfo> parameters() const override;
  std::int64_t gradient_bytes() const override;
  std::string describe() const override;

  TrainingPart training_part(Graph& graph, const TrainingPartOptions& options) const override;
  std::unique_ptr<EvaluationGraph> evaluation_graph(std::int64_t batch,
                                                    const std::string& name) const override;
  std::unique_ptr<ClassPredictionGraph> prediction_graph(std::int64_t batch) const;
  void initialize(const Initialization& how, VariableStore& store) const override;

  std::string unit() const override { return "texts"; }
  double loss_ceiling() const override;
  std::vector<Measure> measures(const Evaluation& evaluation) const override;

  nlohmann::json to_json() const override;
  TaskFiles files() const override;
  TensorMetadata metadata() const override;

  const SequenceClassifierConfig& config() const { return config_; }
  const Tokenizer& tokenizer() const { return tokenizer_; }
  const ClassLabels& labels() const { return labels_; }
  /// The texts as its graphs take them. `seed`: as in TextBatches.
  TextBatches::Options batches(std::int64_t batch, std::optional<std::uint64_t> seed = {}) const {
    return {.batch = batch, .mean = config_.pooling == Pooling::kMean, .seed = seed};
  }

 private:
  SequenceClassifierConfig config_;
  Tokenizer tokenizer_;
  ClassLabels labels_;
};

}  // namespace unroll
