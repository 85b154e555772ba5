/// Some rows of a batch, as a batch: what one shard is fed with.
#pragma once

#include <cstdint>

#include "host/data/examples.h"
#include "host/parallel/shard_tree.h"

namespace unroll {

/// Makes `part` the rows `range` of a batch that has `rows`. Its position and count stay those of
/// the whole batch. Allocates nothing if `part` has held as many values before.
/// Errors    std::logic_error if a column's shape does not have so many rows on its axis.
void take_rows(const Batch& batch, std::int64_t rows, const IndexRange& range, Batch& part);

}  // namespace unroll
