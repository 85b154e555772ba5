#include "host/cpu/rows.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <utility>

#include "host/cpu/kernels.h"

namespace unroll::host {

void gather_rows(Device& device, const GatherRows& args) {
  const std::int64_t columns = args.table.shape[1], rows = args.table.shape[0];
  const std::int32_t* ids = args.ids.as<std::int32_t>();
  const std::size_t bytes = std::size_t(columns) * size_of(args.table.dtype);
  const auto* table = static_cast<const std::byte*>(args.table.data);
  auto* out = static_cast<std::byte*>(args.out.data);
  device.pool.parallel_for(args.ids.elements(), grain_of(columns),
                           [&](std::int64_t begin, std::int64_t end) {
                             for (std::int64_t k = begin; k < end; ++k) {
                               std::byte* to = out + std::size_t(k) * bytes;
                               if (ids[k] >= 0 && ids[k] < rows)
                                 std::memcpy(to, table + std::size_t(ids[k]) * bytes, bytes);
                               else
                                 std::memset(to, 0, bytes);
                             }
                           });
}

void scatter_add_rows(Device& device, const ScatterAddRows& args) {
  const std::int64_t columns = args.table.shape[1], rows = args.table.shape[0];
  const std::int32_t* ids = args.ids.as<std::int32_t>();
  // Threads own columns: one thread makes each sum, in order.
  device.pool.parallel_for(columns, 64, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t k = 0; k < args.ids.elements(); ++k)
      if (ids[k] >= 0 && ids[k] < rows)
        row_kernels().accumulate(args.rows.as<float>() + k * columns + begin,
                                 args.table.as<float>() + ids[k] * columns + begin, end - begin);
  });
}

std::size_t coalesce_scratch_bytes(std::int64_t rows) {
  return std::size_t(rows) * sizeof(std::uint64_t);
}

void coalesce_rows(Device& device, const CoalesceRows& args) {
  const std::int64_t count = args.ids.elements(), columns = args.rows.shape[1];
  const std::int32_t* ids = args.ids.as<std::int32_t>();
  std::int32_t* unique = args.unique_ids.as<std::int32_t>();
  auto* pairs = reinterpret_cast<std::uint64_t*>(args.scratch.as<std::byte>());
  std::int64_t used = 0;
  for (std::int64_t k = 0; k < count; ++k)
    if (ids[k] >= 0 && ids[k] < args.limit)
      pairs[used++] = (std::uint64_t(ids[k]) << 32) | std::uint64_t(k);
  std::sort(pairs, pairs + used);  // by id, then by position

  std::memset(args.sums.data, 0, args.sums.bytes());
  device.pool.parallel_for(columns, 64, [&](std::int64_t begin, std::int64_t end) {
    std::int64_t row = -1;
    for (std::int64_t k = 0; k < used; ++k) {
      if (k == 0 || pairs[k] >> 32 != pairs[k - 1] >> 32) ++row;
      row_kernels().accumulate(
          args.rows.as<float>() + std::int64_t(pairs[k] & 0xFFFFFFFFu) * columns + begin,
          args.sums.as<float>() + row * columns + begin, end - begin);
    }
  });
  std::int64_t found = 0;
  for (std::int64_t k = 0; k < used; ++k)
    if (k == 0 || pairs[k] >> 32 != pairs[k - 1] >> 32)
      unique[found++] = std::int32_t(pairs[k] >> 32);
  std::fill(unique + found, unique + count, -1);
}

void one_hot(Device& device, const OneHot& args) {
  const std::int64_t classes = args.out.shape[1];
  const std::int32_t* ids = args.ids.as<std::int32_t>();
  float* out = args.out.as<float>();
  device.pool.parallel_for(args.ids.elements(), grain_of(classes),
                           [&](std::int64_t begin, std::int64_t end) {
                             std::fill(out + begin * classes, out + end * classes, 0.0F);
                             for (std::int64_t k = begin; k < end; ++k)
                               if (ids[k] >= 0 && ids[k] < classes) out[k * classes + ids[k]] = 1;
                           });
}

void narrow_ids(Device& device, const NarrowIds& args) {
  const std::int64_t* ids = args.ids.as<std::int64_t>();
  std::int32_t* narrow = args.narrow.as<std::int32_t>();
  device.pool.parallel_for(args.ids.elements(), kGrain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t k = begin; k < end; ++k)
      narrow[k] = std::in_range<std::int32_t>(ids[k]) ? std::int32_t(ids[k]) : -1;
  });
}

}  // namespace unroll::host
