/// Batches of labelled texts for a classifier: padded to [T, N], with the lengths. Texts of similar
/// length share a batch, so that little is padding.
/// length_batches.h says which, and how many steps a batch has.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "host/data/examples.h"
#include "host/data/labelled_texts.h"
#include "host/data/length_batches.h"

namespace unroll {

/// Columns: ids [T, N] int32, 0 after the end of a text; lengths [N] int32; targets [N] int32,
/// which are classes; with `mean` 1 / lengths [N, 1] float32. A row without a text has length 1 and
/// target kIgnoredId. A position is a batch.
class TextBatches final : public Examples {
 public:
  static constexpr std::int64_t kMostSteps = 40;  // of the 64 plans that a session keeps

  struct Options {
    std::int64_t batch = 1;  // N
    bool mean = false;
    /// Set: each epoch has an order of its own, of batches and of texts of equal length among
    /// batches, which depends on this seed and the epoch. Else batches come by length, texts of
    /// equal length in the order of the file.
    std::optional<std::uint64_t> seed = {};
  };
  /// Errors    std::invalid_argument if N is below 1 or there is no text.
  TextBatches(std::shared_ptr<const LabelledSplit> texts, const Options& options);

  Batch largest() const override;
  bool next(Batch& batch) override;
  void seek(std::int64_t epoch, std::int64_t position) override;
  std::int64_t batch_size() const override { return options_.batch; }
  std::int64_t length() const override { return places_.size(); }
  std::int64_t stride() const override { return 1; }

  /// Which texts the last batch has, row by row; fewer than N if rows are without a text.
  std::span<const std::int64_t> rows() const { return rows_; }

 private:
  std::shared_ptr<const LabelledSplit> texts_;
  Options options_;
  LengthBatches places_;
  std::span<const std::int64_t> rows_;
};

}  // namespace unroll
