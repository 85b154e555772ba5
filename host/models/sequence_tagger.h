/// A tagger of token sequences: embeddings of words, learned or given, beside what a recurrent
/// stack makes of each word's characters; a recurrent stack over the sentence; a tag for each word,
/// by a softmax or by a linear-chain conditional random field (CRF). Sentences come in batches of
/// TaggedBatches.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "host/base/strict_json.h"
#include "host/data/class_labels.h"
#include "host/data/tagged_batches.h"
#include "host/data/tagged_corpus.h"
#include "host/data/word_vectors.h"
#include "host/models/encoder.h"
#include "host/models/task.h"
#include "unroll/ops/crf.h"

namespace unroll {

/// The encoder is that of the sentence; its vocabulary is of words.
struct SequenceTaggerConfig : EncoderConfig {
  std::int64_t tags = 0;
  /// Units of each direction of the stack over a word's characters; 0: words have none.
  std::int64_t char_hidden = 0;
  std::int64_t characters = 0;      // kinds of them
  std::int64_t char_embedding = 0;  // of a character
  bool crf = false;
  TagColumn column = TagColumn::kUpos;  // of CoNLL-U

  /// Throws std::invalid_argument as EncoderConfig::check() of both stacks, or unless there are 2
  /// to most_tags() tags.
  void check() const;
  std::int64_t most_tags() const { return crf ? kMaxCrfTags : ClassLabels::kMost; }
  /// The stack over the sentence, with room for the characters' states.
  EncoderConfig sentence() const;
  /// The stack over the characters of a word, in both directions, of the same cell.
  EncoderConfig spelling() const;
};

/// The `model` member of config.json.
nlohmann::json to_json(const SequenceTaggerConfig& config);
/// Errors    std::runtime_error if it is not a sequence tagger's, or not one that check() passes.
SequenceTaggerConfig sequence_tagger_from(const JsonObject& model);

/// What a model says of a batch. Without the loss, a run needs no targets.
struct TaggingGraph {
  Graph graph;
  std::vector<Tensor> inputs;  // a batch's columns
  Tensor loss;                 // [M] -ln p of the tags: M is T N, of a CRF the N sentences
  Tensor tags;                 // [T, N] int32, the most probable; any after a sentence's end
  Tensor mean_score;           // [] no number if a tag's probability is none

  static constexpr std::size_t kTargets = 2;  // their place among the columns
};

class SequenceTagger final : public Task {
 public:
  static constexpr const char* kName = "tag";
  static constexpr int kVersion = 1;

  /// Without its files: it has graphs. Errors: std::invalid_argument as config.check().
  explicit SequenceTagger(SequenceTaggerConfig config);
  /// `vectors`: what the embeddings of their words start with, or null.
  /// Errors    std::invalid_argument as config.check(), or if it has another number of words,
  ///           characters or tags than these, or vectors of another size.
  SequenceTagger(SequenceTaggerConfig config, std::shared_ptr<const TaggingVocabulary> vocabulary,
                 std::shared_ptr<const WordVectors> vectors = nullptr);

  /// Errors    std::runtime_error if config.json is not a sequence tagger's, or a file is missing,
  ///           surplus, damaged, or of another size than config.json says.
  static std::shared_ptr<const SequenceTagger> read(const Checkpoint& checkpoint);
  /// From the `model` member of config.json, without its files.
  static std::shared_ptr<const SequenceTagger> configured(const JsonObject& model);

  std::string name() const override { return kName; }
  int version() const override { return kVersion; }

  std::vector<VariableInfo> parameters() const override;
  std::int64_t gradient_bytes() const override;
  std::string describe() const override;

  TrainingPart training_part(Graph& graph, const TrainingPartOptions& options) const override;
  std::unique_ptr<EvaluationGraph> evaluation_graph(std::int64_t batch,
                                                    const std::string& name) const override;
  std::unique_ptr<TaggingGraph> tagging_graph(std::int64_t batch) const;
  void initialize(const Initialization& how, VariableStore& store) const override;

  std::string unit() const override { return "words"; }
  double loss_ceiling() const override;
  std::vector<Measure> measures(const Evaluation& evaluation) const override;

  nlohmann::json to_json() const override;
  TaskFiles files() const override;
  TensorMetadata metadata() const override;

  const SequenceTaggerConfig& config() const { return config_; }
  const TaggingVocabulary& vocabulary() const { return *vocabulary_; }
  /// Sentences as its graphs take them, in the order of their lengths.
  TaggedBatches::Options batches(std::int64_t batch) const {
    return {.batch = batch, .characters = config_.char_hidden > 0};
  }

 private:
  SequenceTaggerConfig config_;
  std::shared_ptr<const TaggingVocabulary> vocabulary_;  // null: without its files
  std::shared_ptr<const WordVectors> vectors_;
};

}  // namespace unroll
