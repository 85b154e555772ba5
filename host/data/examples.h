/// What a model learns from or is measured on, batch by batch. A batch has values for each of the
/// placeholders of the model's graph: ids or real numbers, in the order of the graph's `inputs`.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "unroll/tensor.h"

namespace unroll {

/// A target that counts for nothing: padding.
inline constexpr std::int32_t kIgnoredId = -1;

/// Which values of a column belong to a row of the batch (a stream, a text). An axis may go over
/// timesteps and rows together, timestep by timestep.
enum class RowAxis : std::uint8_t {
  kNone,    // all values belong to every row
  kFirst,   // [rows, ...], or [timesteps x rows, ...]
  kSecond,  // [timesteps, rows, ...]
};

/// The values of one placeholder. Its memory is used again by the batches that follow, so `ids` or
/// `values` may be longer than the shape says: the first elements count.
struct Column {
  DType dtype = DType::kInt32;         // or kFloat32
  Shape shape = {};                    // in this batch
  std::vector<std::int32_t> ids = {};  // kInt32
  std::vector<float> values = {};      // kFloat32
  RowAxis row_axis = RowAxis::kNone;
};

struct Batch {
  std::vector<Column> columns;
  std::int64_t position_after = 0;  // for seek(): where the batch after it begins
  std::int64_t count = 0;           // what a mean is over: targets or rows that are not padding
};

/// Batches in the order in which an epoch hands them out. Not thread-safe.
class Examples {
 public:
  virtual ~Examples() = default;

  /// A batch with room for every batch that next() may write, and with the largest shapes.
  virtual Batch largest() const = 0;

  /// Writes the next batch; false at the end of the epoch. Never allocates if `batch` is a copy of
  /// largest().
  /// Errors    std::runtime_error if the data turn out to be damaged.
  virtual bool next(Batch& batch) = 0;

  /// Continues in that epoch at that position. Epochs, from 1, may differ in their order, which
  /// depends on nothing else.
  /// Errors    std::invalid_argument unless epoch >= 1 and position lies in [0, length()].
  virtual void seek(std::int64_t epoch, std::int64_t position) = 0;

  /// Rows of a batch: streams or texts. It is the same for every batch.
  virtual std::int64_t batch_size() const = 0;
  /// Positions of an epoch, which depend on nothing but the data and how they were asked for.
  virtual std::int64_t length() const = 0;
  /// Positions of a whole batch; the last one of an epoch may have fewer.
  virtual std::int64_t stride() const = 0;

  std::int64_t batches() const { return length() == 0 ? 0 : 1 + (length() - 1) / stride(); }

 protected:
  Examples() = default;
  Examples(const Examples&) = default;
  Examples& operator=(const Examples&) = default;
};

/// What a task is learned from and measured on. The trainer moves through them.
struct TaskExamples {
  std::unique_ptr<Examples> train, valid;
  std::unique_ptr<Examples> test;  // null: there is none
  /// To be called now and then if the data may be overwritten; throws std::runtime_error if so.
  std::function<void()> require_unchanged = [] {};
};

}  // namespace unroll
