/// The CPU's kernels for tensors of any shape: broadcasting, reductions, copies, rows by id.
#pragma once

#include "host/cpu/device.h"
#include "unroll/backend.h"

namespace unroll::host {

void elementwise(Device& device, const Elementwise& args);
void reduce(Device& device, const Reduce& args);
void copy_region(Device& device, const CopyRegion& args);
void softmax(Device& device, const Softmax& args);
void softmax_gradient(Device& device, const SoftmaxGradient& args);
void gather_rows(Device& device, const GatherRows& args);
void scatter_add_rows(Device& device, const ScatterAddRows& args);
std::size_t coalesce_scratch_bytes(std::int64_t rows);
void coalesce_rows(Device& device, const CoalesceRows& args);
void one_hot(Device& device, const OneHot& args);

}  // namespace unroll::host
