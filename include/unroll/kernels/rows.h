/// Kernels on rows of a table that ids name, and on the sparse gradients of such rows.
#pragma once

#include <cstddef>
#include <cstdint>

#include "unroll/tensor.h"

namespace unroll {

struct GatherRows {
  View table;  // [V, E], any element type
  View ids;    // [M] int32 in: rows outside [0, V) give zeros
  View out;    // [M, E]
};

/// Ids as int32; those that it cannot hold become -1.
struct NarrowIds {
  View ids;     // [M] int64
  View narrow;  // [M] int32 out
};

/// table[id] += row for every pair, in order of position. Ids outside [0, V) are skipped.
struct ScatterAddRows {
  View ids;    // [M] int32
  View rows;   // [M, E]
  View table;  // [V, E] in and out
};

/// Sums the rows that share an id, in order of position. Ids outside [0, limit) are dropped.
struct CoalesceRows {
  View ids;   // [M] int32 in
  View rows;  // [M, E] in
  std::int64_t limit;
  View unique_ids;  // [M] int32 out: ascending; -1 past the last
  View sums;        // [M, E] out: one row per unique id; zeros past the last
  View scratch;     // coalesce_scratch_bytes(M)
};

struct OneHot {
  View ids;  // [M] int32; ids outside [0, V) give a row of zeros
  View out;  // [M, V]
};

class TableRowKernels {
 public:
  virtual ~TableRowKernels() = default;
  virtual void gather_rows(const GatherRows& args) = 0;
  virtual void scatter_add_rows(const ScatterAddRows& args) = 0;
  virtual std::size_t coalesce_scratch_bytes(std::int64_t rows) const = 0;
  virtual void coalesce_rows(const CoalesceRows& args) = 0;
  virtual void one_hot(const OneHot& args) = 0;
  virtual void narrow_ids(const NarrowIds& args) = 0;
};

}  // namespace unroll
