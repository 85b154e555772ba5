/// Operations on rows of a table that sparse gradients need.
#pragma once

#include "unroll/gradients.h"
#include "unroll/graph.h"

namespace unroll {

/// `table` [V, ...] plus each row of `rows` [M, ..., ...] at its id of `ids` [M, ...].
Tensor scatter_add_rows(Tensor table, Tensor ids, Tensor rows);

struct CoalescedRows {
  Tensor ids;   // [M] ascending, then -1
  Tensor rows;  // [M, E]
};

/// Rows with equal ids summed; `table` gives the number of ids.
CoalescedRows coalesce_rows(Tensor ids, Tensor rows, Tensor table);

}  // namespace unroll
