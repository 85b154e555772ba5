/// Batches of sentences for a tagger: padded to [T, N], with the lengths, and with the characters
/// of the batch's distinct words. length_batches.h says which sentences a batch has, and T.
///
/// U, the room for distinct words, and C, that for their characters, are the same for all batches
/// of a T in an epoch: what the largest of these needs, rounded up. So an epoch has no more shapes
/// than it has T, and a session can keep a plan for each.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "host/data/examples.h"
#include "host/data/length_batches.h"
#include "host/data/tagged_corpus.h"

namespace unroll {

/// Columns: words [T, N] int32, 0 after the end of a sentence; lengths [N] int32; targets [T, N]
/// int32, which are tags, kIgnoredId after the end and where the tag is one that training lacks.
/// With characters also: characters [C, U] int32, 0 after the end of a word; character_lengths [U]
/// int32; forms [T, N] int32, which of the U distinct words each token is, 0 after the end of a
/// sentence. A row without a sentence or without a word has length 1. A position is a batch.
class TaggedBatches final : public Examples {
 public:
  static constexpr std::int64_t kMostSteps = 20;  // with other U in the next epoch, below 64 plans
  /// C at most. A longer word is its first half and its last half of this.
  static constexpr std::int64_t kMostCharacters = 32;

  struct Options {
    std::int64_t batch = 1;  // N
    bool characters = false;
    /// With a seed: a word that these sentences have once becomes KnownWords::kUnknown with this
    /// probability, so that the model learns what to do with words that it does not know. Its
    /// characters stay. It depends on the seed, the epoch and the token.
    double unknown_rate = 0;
    std::optional<std::uint64_t> seed = {};  // as in LengthBatches
  };
  /// Errors    std::invalid_argument if N is below 1, there is no sentence, or the rate is not in
  ///           [0, 1].
  TaggedBatches(std::shared_ptr<const TaggedSplit> sentences, const Options& options);

  Batch largest() const override;
  /// A batch's count is its tokens.
  bool next(Batch& batch) override;
  void seek(std::int64_t epoch, std::int64_t position) override;
  std::int64_t batch_size() const override { return options_.batch; }
  std::int64_t length() const override { return places_.size(); }
  std::int64_t stride() const override { return 1; }

  /// Which sentences the last batch has, row by row; fewer than N if rows are without one.
  std::span<const std::int64_t> rows() const { return rows_; }

 private:
  /// Room for the distinct words of a batch.
  struct FormRoom {
    std::int64_t forms = 1, characters = 1;  // U, C
  };

  FormRoom find_forms(const LengthBatches::Place& place);
  void measure_forms();
  void write_sentences(const LengthBatches::Place& place, Batch& batch);
  void write_characters(const LengthBatches::Place& place, Batch& batch);
  std::int32_t word_of(std::int64_t token) const;

  std::shared_ptr<const TaggedSplit> sentences_;
  Options options_;
  LengthBatches places_;
  std::int64_t epoch_ = 1;
  std::span<const std::int64_t> rows_;
  std::vector<FormRoom> form_rooms_;           // of each batch by its rank, in this epoch
  std::vector<std::int32_t> batch_forms_;      // the distinct forms of a batch
  std::vector<std::int32_t> places_of_forms_;  // [distinct forms]: where batch_forms_ has it, or -1
};

}  // namespace unroll
