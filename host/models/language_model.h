/// The task of a recurrent language model: the next token of a text. Its batches are streams of
/// tokens: ids [T, N], and targets [T N] of which each is the next id. A stream's state goes on
/// from batch to batch.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "host/data/tokenizer.h"
#include "host/models/encoder.h"
#include "host/models/task.h"

namespace unroll {

struct LanguageModelConfig : EncoderConfig {
  bool tied = false;  // decoder.weight is encoder.weight

  /// Throws std::invalid_argument as EncoderConfig::check(), or for tied weights whose shapes
  /// differ.
  void check() const;
};

/// The `model` member of config.json.
nlohmann::json to_json(const LanguageModelConfig& config);
/// Errors    std::runtime_error if it is not a language model's, or not one that check() passes.
LanguageModelConfig language_model_from_json(const JsonObject& model);

/// From token ids to the decoder, with the state carried in variables.
struct LanguageModelBody {
  SoftmaxDecoder decoder;
  Tensor h;                          // [T N, R] what the decoder reads
  std::vector<Tensor> carries;       // assignments of the new state
  std::vector<std::string> carried;  // names of the variables that hold it
};

struct LanguageModelInputs {
  Tensor ids;          // [T, N] int32
  std::int64_t batch;  // N
  std::string name;    // the carried variables are NAME/PLACEh_l0, ..., NAME/PLACEc_l0, ...
  std::string place = {};
  double zero_state = 0;  // in training: how probably a stream begins at zero instead
};

/// Declares the parameters and builds the body. `training`: with dropout, and so that a state that
/// is not finite is not carried.
LanguageModelBody language_model_body(Graph& graph, const LanguageModelConfig& config,
                                      const LanguageModelInputs& inputs, bool training,
                                      const Initialization& how = {});

/// What is no part of the model, but of its training.
struct LanguageModelTraining {
  /// How often the training text has each token. The decoder's bias then starts so that a model
  /// that knows nothing else gives these frequencies, unless Initialization::range says how all
  /// parameters start. Empty: not known.
  std::vector<std::int64_t> counts = {};
  /// How probably a stream's state is zero before a batch, in [0, 1): a model that has seen none
  /// but long histories answers short ones badly.
  double zero_state = 0;
};

class LanguageModelTask final : public Task {
 public:
  static constexpr const char* kName = "language_model";
  static constexpr int kVersion = 1;

  /// Without a tokenizer it has graphs, but no files.
  /// Errors    std::invalid_argument as config.check(), if there is not a count for each token, or
  ///           `zero_state` is not in [0, 1).
  explicit LanguageModelTask(const LanguageModelConfig& config, Tokenizer tokenizer = {},
                             LanguageModelTraining training = {});

  /// Errors    std::runtime_error if the configuration or the vocabulary is not one of its own.
  static std::shared_ptr<const LanguageModelTask> read(const Checkpoint& checkpoint);
  /// From the `model` member of config.json, without a tokenizer.
  static std::shared_ptr<const LanguageModelTask> configured(const JsonObject& model);

  const LanguageModelConfig& config() const { return config_; }
  const Tokenizer& tokenizer() const { return tokenizer_; }

  std::string name() const override { return kName; }
  int version() const override { return kVersion; }
  std::vector<VariableInfo> parameters() const override;
  std::vector<std::pair<std::string, std::string>> copies() const override;
  std::int64_t gradient_bytes() const override;
  std::string describe() const override;
  TrainingPart training_part(Graph& graph, const TrainingPartOptions& options) const override;
  std::unique_ptr<EvaluationGraph> evaluation_graph(std::int64_t batch,
                                                    const std::string& name) const override;
  void initialize(const Initialization& how, VariableStore& store) const override;
  std::string unit() const override { return "tokens"; }
  double loss_ceiling() const override;
  std::vector<Measure> measures(const Evaluation& evaluation) const override;
  nlohmann::json to_json() const override;
  TaskFiles files() const override;
  TensorMetadata metadata() const override;

 private:
  LanguageModelConfig config_;
  Tokenizer tokenizer_;
  LanguageModelTraining training_;
};

/// What the metadata of model.safetensors say, beside names and shapes: the whole model, so that
/// the file can be read without the others of its checkpoint.
struct StoredModel {
  LanguageModelConfig config;
  TokenizerKind tokenizer = TokenizerKind::kWord;
  std::string start = {};  // as Tokenizer::given_start()
};
TensorMetadata metadata_of(const StoredModel& model);
/// Nothing if a file with such metadata is not a language model of ours, or an older version wrote
/// it.
/// Errors    std::runtime_error as language_model_from_json().
std::optional<StoredModel> stored_model(const TensorMetadata& metadata, const std::string& where);

}  // namespace unroll
