/// Tags sentences with a sequence tagger, a batch at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "host/data/tagged_corpus.h"
#include "host/infer/confusion.h"
#include "host/models/evaluation.h"
#include "host/models/sequence_tagger.h"
#include "unroll/session.h"

namespace unroll {

/// How well sentences were tagged. A tag that the training sentences lack is a class of its own,
/// the last, and no part of the loss.
struct TaggerEvaluation {
  Evaluation sums;  // of -ln p of the tags
  ConfusionTable confusion;
  Evaluation unknown;  // words that the training sentences have not; without their loss
  std::int64_t sentences = 0;
};

/// Not thread-safe.
class Tagger {
 public:
  /// Sentences that are tagged at once, fewer if they have more words than this together: memory
  /// does not grow with the longest sentence until that has more.
  static constexpr std::int64_t kBatch = 32, kBatchWords = 16'384;

  /// `store` holds the model's parameters.
  Tagger(std::shared_ptr<const SequenceTagger> model, std::shared_ptr<VariableStore> store);

  const SequenceTagger& model() const { return *model_; }

  /// Receives the tags of a sentence, which is named by its place among the sentences.
  using Use = std::function<void(std::int64_t sentence, std::span<const std::int32_t> tags)>;
  /// Calls `use` once for each sentence, the shortest first. Their own tags do not matter.
  /// Errors    std::runtime_error if the model's outputs are no numbers.
  void for_each(const std::shared_ptr<const TaggedSplit>& sentences, const Use& use);

  /// Errors    as for_each(), and with the name of the sentences if the loss is not finite.
  TaggerEvaluation evaluate(const std::shared_ptr<const TaggedSplit>& sentences,
                            const std::string& name);

 private:
  /// The graph for a batch size; the one for the last is kept.
  struct Pass {
    std::int64_t batch;
    std::unique_ptr<TaggingGraph> graph;
    Session session;

    Pass(const SequenceTagger& model, const std::shared_ptr<VariableStore>& store,
         std::int64_t batch);
  };

  Pass& pass_for(const TaggedSplit& sentences);
  double run(const std::shared_ptr<const TaggedSplit>& sentences, bool with_loss, const Use& use);

  std::shared_ptr<const SequenceTagger> model_;
  std::shared_ptr<VariableStore> store_;
  std::unique_ptr<Pass> pass_;
};

}  // namespace unroll
