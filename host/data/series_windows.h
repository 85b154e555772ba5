/// Windows of a series in batches: what a model reads, and what comes after it. The targets of a
/// row are those of the rows after it, so no window looks into its own future.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "host/data/examples.h"
#include "host/data/series.h"

namespace unroll {

/// Columns: the windows [T, N, I] float32; targets [S N, I ahead] float32, those of row t of window
/// n at t N + n, and of these column i, k + 1 rows after, at i ahead + k; weights [S N] float32,
/// which are 1, or 0 where the last batch has no window. S is 1, for the last row of each window,
/// or T. A position is a window.
class SeriesWindows final : public Examples {
 public:
  struct Options {
    /// Rows [begin, end) that targets of a window's last row may be. The window may begin before.
    std::int64_t begin = 0, end = 0;
    std::int64_t window = 1, ahead = 1;  // rows
    std::int64_t batch = 1;              // N
    bool every_row = false;              // S is T
    /// Set: each epoch has an order of its own, which depends on this seed and the epoch. Else
    /// windows come in time order.
    std::optional<std::uint64_t> seed = {};
  };
  /// Errors    std::invalid_argument if an option is out of its range, or there is no window.
  SeriesWindows(std::shared_ptr<const Series> series, const Options& options);

  Batch largest() const override;
  bool next(Batch& batch) override;
  void seek(std::int64_t epoch, std::int64_t position) override;
  std::int64_t batch_size() const override { return options_.batch; }
  std::int64_t length() const override { return std::int64_t(order_.size()); }
  std::int64_t stride() const override { return options_.batch; }

  /// The row after a window: windows are counted in the order of the epoch.
  std::int64_t row_after(std::int64_t window) const { return order_[std::size_t(window)]; }

 private:
  std::int64_t target_rows() const { return options_.every_row ? options_.window : 1; }

  std::shared_ptr<const Series> series_;
  Options options_;
  std::int64_t first_ = 0;           // the row after the first window
  std::vector<std::int64_t> order_;  // the rows after the windows, in the order of this epoch
  std::int64_t position_ = 0;
};

}  // namespace unroll
