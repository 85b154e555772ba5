/// Rows of a table by id. Rows with the same id are added in order of position.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda/device/device.h"
#include "unroll/kernels/rows.h"

namespace unroll::gpu {

void gather_rows(Device& device, const GatherRows& args);
void scatter_add_rows(Device& device, const ScatterAddRows& args);
std::size_t coalesce_scratch_bytes(std::int64_t rows);
void coalesce_rows(Device& device, const CoalesceRows& args);
void one_hot(Device& device, const OneHot& args);
void narrow_ids(Device& device, const NarrowIds& args);

}  // namespace unroll::gpu
