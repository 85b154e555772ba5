/// What all kernels of one CPU backend share: threads, buffers of matrix products, packed weights.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <utility>

#include "host/cpu/gemm.h"
#include "host/cpu/thread_pool.h"
#include "unroll/device.h"

namespace unroll::host {

/// Memory aligned to 256 bytes. Throws std::runtime_error, with the requested size, if there is too
/// little.
std::shared_ptr<void> aligned_memory(std::size_t bytes);
/// The memory that aligned_memory() has handed out; `available` is not set.
DeviceMemoryUse aligned_memory_use();

/// op(W) packed for gemm_packed(), and the version of W that it holds.
class PackedWeight {
 public:
  /// op(weight) has k rows. Its columns form `blocks` equal groups, each padded to a multiple of
  /// `column_unit`. `weight` is stored as [blocks * columns, k] if `transpose`, otherwise as [k,
  /// columns] with blocks = 1.
  struct Form {
    std::int64_t k, columns;
    int blocks = 1;
    std::int64_t column_unit = 1;
    bool transpose = true;
    auto operator<=>(const Form&) const = default;
  };

  PackedWeight(const Form& form, Precision precision);

  /// Packs `weight`, unless it is a variable whose current version is packed already.
  void update(ThreadPool& pool, const View& weight);

  const float* data() const { return static_cast<const float*>(memory_.get()); }
  std::int64_t padded_columns() const { return form_.blocks * block_columns_; }

 private:
  std::size_t bytes_of(std::int64_t columns) const {
    return gemm_packed_bytes(form_.k, columns, precision_);
  }

  Form form_;
  Precision precision_;
  std::int64_t block_columns_;
  std::shared_ptr<void> memory_;
  std::uint64_t version_ = 0;  // variables' versions start at 1
};

class Device {
 public:
  explicit Device(int threads, Precision in = Precision::kFp32)
      : pool(threads), workspace(pool), precision(in) {}

  // In the device's precision, whatever the arguments say.
  void multiply(Gemm args) {
    args.precision = precision;
    gemm(pool, workspace, args);
  }
  void multiply(PackedGemm args) {
    args.precision = precision;
    gemm_packed(pool, workspace, args);
  }
  /// Only the `columns` of C, which begin and end with a panel, by the calling thread of a run().
  void multiply_columns(PackedGemm args, const Range& columns, int thread) {
    args.precision = precision;
    const std::int64_t width = gemm_panel_width();
    gemm_packed_panels(args, {columns.begin / width, columns.end / width}, workspace.of(thread));
  }

  bool is_bf16() const { return precision == Precision::kBf16; }

  /// The packed form of `weight`, up to date. Callers that ask for the same form of a variable
  /// share it; `mine` keeps it alive between calls.
  const PackedWeight& packed(const View& weight, const PackedWeight::Form& form,
                             std::shared_ptr<PackedWeight>& mine);

  /// The number of entries in the list of shared packed weights.
  std::size_t shared_weights() const { return shared_.size(); }

  ThreadPool pool;
  GemmWorkspace workspace;
  const Precision precision;

 private:
  void forget_unused_weights();

  std::map<std::pair<const void*, PackedWeight::Form>, std::weak_ptr<PackedWeight>> shared_;
  std::size_t in_use_ = 0;  // entries in use at the last count
};

/// The number of elements that justifies another thread.
constexpr std::int64_t kGrain = 8192;
/// The same in rows of this many elements.
constexpr std::int64_t grain_of(std::int64_t row) {
  return std::max<std::int64_t>(1, kGrain / std::max<std::int64_t>(1, row));
}

inline std::int64_t round_up(std::int64_t n, std::int64_t unit) {
  return (n + unit - 1) / unit * unit;
}

}  // namespace unroll::host
