#include "cuda/ops/rows.h"

#include <algorithm>
#include <bit>
#include <cub/device/device_scan.cuh>

#include "cuda/device/launch.h"
#include "cuda/kernels/pack.cuh"
#include "cuda/ops/reduction.cuh"
#include "cuda/ops/sort.h"

namespace unroll::gpu {
namespace {

constexpr int kThreads = 256;

/// Blocks of a grid over [rows, columns]: one warp's packs wide, several rows high.
constexpr int kGridRows = 8;
dim3 row_grid(std::int64_t rows, std::int64_t columns, int width) {
  return {blocks_for(rows, kGridRows), std::min(blocks_for(columns, kWarp * width), 65535u), 1};
}
const dim3 kRowBlock(kWarp, kGridRows);

/// Calls f(column) for this thread's columns in a grid of row_grid().
template <int width, typename F>
__device__ void for_each_column(std::int64_t columns, const F& f) {
  const std::int64_t step = std::int64_t(gridDim.y) * kWarp * width;
  for (std::int64_t c = std::int64_t(blockIdx.y * kWarp + threadIdx.x) * width; c < columns;
       c += step)
    f(c);
}

/// Rows as words of 4 bytes, or of 1 where elements are smaller.
template <typename Word, int width>
__global__ __launch_bounds__(kThreads) void gather_rows_kernel(
    const Word* __restrict__ table, const std::int32_t* __restrict__ ids, Word* __restrict__ out,
    std::int64_t rows, std::int64_t columns, std::int64_t limit) {
  const std::int64_t row = std::int64_t(blockIdx.x) * kGridRows + threadIdx.y;
  if (row >= rows) return;
  const std::int64_t id = ids[row];
  const bool known = id >= 0 && id < limit;
  for_each_column<width>(columns, [&](std::int64_t c) {
    store(out + row * columns + c,
          known ? load<width>(table + id * columns + c) : Pack<Word, width>{});
  });
}

__global__ __launch_bounds__(kThreads) void narrow_ids_kernel(const std::int64_t* ids,
                                                              std::int32_t* narrow,
                                                              std::int64_t count) {
  const std::int64_t k = std::int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (k < count) narrow[k] = std::int32_t(ids[k]) == ids[k] ? std::int32_t(ids[k]) : -1;
}

template <int width>
__global__ __launch_bounds__(kThreads) void one_hot_kernel(const std::int32_t* __restrict__ ids,
                                                           float* __restrict__ out,
                                                           std::int64_t rows,
                                                           std::int64_t columns) {
  const std::int64_t row = std::int64_t(blockIdx.x) * kGridRows + threadIdx.y;
  if (row >= rows) return;
  const std::int64_t id = ids[row];
  for_each_column<width>(columns, [&](std::int64_t c) {
    Pack<float, width> pack;
    for (int k = 0; k < width; ++k) pack.v[k] = c + k == id ? 1.0F : 0.0F;
    store(out + row * columns + c, pack);
  });
}

/// total + rows[positions[0]] + rows[positions[1]] ..., in this order, for one element of the rows.
template <int width, typename Position>
__device__ Pack<float, width> add_rows(Pack<float, width> total, const float* rows,
                                       std::int64_t columns, const Position* positions,
                                       std::int64_t count) {
  const auto row = [&](std::int64_t k) {
    return load<width>(rows + std::int64_t(positions[k]) * columns);
  };
  const auto add = [&](const Pack<float, width>& x) {
    for (int j = 0; j < width; ++j) total.v[j] += x.v[j];
  };
  constexpr int kInFlight = 4;
  std::int64_t k = 0;
  for (; k + kInFlight <= count; k += kInFlight) {
    Pack<float, width> read[kInFlight];
    for (int j = 0; j < kInFlight; ++j) read[j] = row(k + j);
    for (int j = 0; j < kInFlight; ++j) add(read[j]);
  }
  for (; k < count; ++k) add(row(k));
  return total;
}

struct Scatter {
  const std::int32_t* ids;
  const float* rows;
  float* table;
  std::int64_t count, columns, limit;
};

constexpr int kScatterThreads = 128, kScatterWarps = kScatterThreads / kWarp;
constexpr int kWindow = kWarp * kWarp;  // ids examined at a time: one ballot per lane of a warp

/// One block per pair. The block of the first pair with an id adds all pairs with this id; the
/// others do nothing. Every block scans the ids until it knows which it is.
template <int width>
__global__ __launch_bounds__(kScatterThreads) void scatter_add_rows_kernel(
    __grid_constant__ const Scatter args) {
  __shared__ unsigned same[kWarp];      // one bit per id of the window
  __shared__ std::int64_t at[kWindow];  // the positions of those bits, ascending
  const std::int32_t id = args.ids[blockIdx.x];
  if (id < 0 || id >= args.limit) return;
  const int lane = int(threadIdx.x) % kWarp, warp = int(threadIdx.x) / kWarp;
  float* sum = args.table + id * args.columns;
  for (std::int64_t start = 0; start < args.count; start += kWindow) {
#pragma unroll
    for (int k = warp; k < kWarp; k += kScatterWarps) {
      const std::int64_t pair = start + k * kWarp + lane;
      const unsigned bits = __ballot_sync(kAllLanes, pair < args.count && args.ids[pair] == id);
      if (lane == 0) same[k] = bits;
    }
    __syncthreads();
    unsigned mine = same[lane];
    const int own = __popc(mine);
    int found = own;
    for (int distance = 1; distance < kWarp; distance *= 2) {
      const int left = __shfl_up_sync(kAllLanes, found, distance);
      if (lane >= distance) found += left;
    }
    if (warp == 0)
      for (int k = found - own; mine != 0; ++k, mine &= mine - 1)
        at[k] = start + lane * kWarp + __ffs(int(mine)) - 1;
    found = __shfl_sync(kAllLanes, found, kWarp - 1);
    __syncthreads();
    if (found == 0) continue;
    if (at[0] < blockIdx.x) return;
    for (std::int64_t c = threadIdx.x * width; c < args.columns; c += kScatterThreads * width)
      store(sum + c, add_rows(load<width>(sum + c), args.rows + c, args.columns, at, found));
    __syncthreads();
  }
}

/// Ids as keys, and their positions. Ids out of range get a key that sorts last.
__global__ __launch_bounds__(kThreads) void coalesce_keys_kernel(const std::int32_t* ids,
                                                                 std::uint32_t* keys,
                                                                 std::uint32_t* positions,
                                                                 std::int64_t count,
                                                                 std::uint32_t dropped) {
  const std::int64_t k = std::int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (k >= count) return;
  const auto id = std::uint32_t(ids[k]);  // a negative id becomes large
  keys[k] = id < dropped ? id : dropped;
  positions[k] = std::uint32_t(k);
}

/// 1 at the first of several equal keys.
__global__ __launch_bounds__(kThreads) void coalesce_heads_kernel(const std::uint32_t* keys,
                                                                  std::uint32_t* heads,
                                                                  std::int64_t count,
                                                                  std::uint32_t dropped) {
  const std::int64_t k = std::int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (k < count) heads[k] = keys[k] != dropped && (k == 0 || keys[k - 1] != keys[k]);
}

struct Coalesce {
  const std::uint32_t *keys, *positions;  // sorted
  const std::uint32_t* heads;             // their count up to and including this place
  const float* rows;
  std::int32_t* unique_ids;
  float* sums;
  std::int64_t count, columns;
  std::uint32_t dropped;
};

/// One block per sorted place: the first of several equal keys adds their rows. Places past the
/// number of unique ids clear the row of that index.
template <int width>
__global__ __launch_bounds__(kThreads) void coalesce_rows_kernel(
    __grid_constant__ const Coalesce args) {
  const std::int64_t place = blockIdx.x, first = threadIdx.x * width, step = blockDim.x * width;
  if (place >= args.heads[args.count - 1]) {
    if (threadIdx.x == 0) args.unique_ids[place] = -1;
    for (std::int64_t c = first; c < args.columns; c += step)
      store(args.sums + place * args.columns + c, Pack<float, width>{});
  }
  const std::uint32_t key = args.keys[place];
  if (key == args.dropped || (place > 0 && args.keys[place - 1] == key)) return;
  std::int64_t equal = 0;
  for (unsigned same = kAllLanes; same == kAllLanes; equal += __popc(same)) {
    const std::int64_t at = place + equal + threadIdx.x % kWarp;
    same = __ballot_sync(kAllLanes, at < args.count && args.keys[at] == key);
  }
  const std::int64_t row = std::int64_t(args.heads[place]) - 1;
  if (threadIdx.x == 0) args.unique_ids[row] = std::int32_t(key);
  for (std::int64_t c = first; c < args.columns; c += step)
    store(
        args.sums + row * args.columns + c,
        add_rows(Pack<float, width>{}, args.rows + c, args.columns, args.positions + place, equal));
}

unsigned threads_for(std::int64_t columns, int width) {
  return std::min(blocks_for(columns, kWarp * width) * kWarp, unsigned(kThreads));
}

}  // namespace

void gather_rows(Device& device, const GatherRows& args) {
  const std::int64_t rows = args.ids.elements(), limit = args.table.shape[0];
  const auto bytes = args.table.shape[1] * std::int64_t(size_of(args.table.dtype));
  if (rows * bytes == 0) return;
  const std::int32_t* ids = args.ids.as<std::int32_t>();
  if (size_of(args.table.dtype) == 1)
    return launch(device.stream(), row_grid(rows, bytes, 1), kRowBlock,
                  gather_rows_kernel<std::uint8_t, 1>,
                  static_cast<const std::uint8_t*>(args.table.data), ids,
                  static_cast<std::uint8_t*>(args.out.data), rows, bytes, limit);
  const std::int64_t words = bytes / 4;
  const auto* table = static_cast<const std::uint32_t*>(args.table.data);
  auto* out = static_cast<std::uint32_t*>(args.out.data);
  const bool packs = packs_of_four(table, words) && packs_of_four(out, words);
  launch(device.stream(), row_grid(rows, words, packs ? 4 : 1), kRowBlock,
         packs ? gather_rows_kernel<std::uint32_t, 4> : gather_rows_kernel<std::uint32_t, 1>, table,
         ids, out, rows, words, limit);
}

void narrow_ids(Device& device, const NarrowIds& args) {
  const std::int64_t count = args.ids.elements();
  launch(device.stream(), blocks_for(count, kThreads), kThreads, narrow_ids_kernel,
         args.ids.as<std::int64_t>(), args.narrow.as<std::int32_t>(), count);
}

void one_hot(Device& device, const OneHot& args) {
  const std::int64_t rows = args.ids.elements(), columns = args.out.shape[1];
  if (rows * columns == 0) return;
  float* out = args.out.as<float>();
  const bool packs = packs_of_four(out, columns);
  launch(device.stream(), row_grid(rows, columns, packs ? 4 : 1), kRowBlock,
         packs ? one_hot_kernel<4> : one_hot_kernel<1>, args.ids.as<std::int32_t>(), out, rows,
         columns);
}

void scatter_add_rows(Device& device, const ScatterAddRows& args) {
  const Scatter scatter{args.ids.as<std::int32_t>(), args.rows.as<float>(), args.table.as<float>(),
                        args.ids.elements(),         args.table.shape[1],   args.table.shape[0]};
  if (scatter.count * scatter.columns == 0) return;
  const bool packs =
      packs_of_four(scatter.rows, scatter.columns) && packs_of_four(scatter.table, scatter.columns);
  launch(device.stream(), unsigned(scatter.count), kScatterThreads,
         packs ? scatter_add_rows_kernel<4> : scatter_add_rows_kernel<1>, scatter);
}

std::size_t coalesce_scratch_bytes(std::int64_t rows) {
  std::uint32_t* none = nullptr;
  std::size_t scan = 0;
  UNROLL_CUDA_CHECK(cub::DeviceScan::InclusiveSum(nullptr, scan, none, none, int(rows)));
  return sort_scratch_bytes(rows, scan);
}

void coalesce_rows(Device& device, const CoalesceRows& args) {
  const std::int64_t rows = args.ids.elements(), columns = args.rows.shape[1];
  if (rows == 0) return;
  const SortScratch scratch(args.scratch, rows);
  const auto dropped = std::uint32_t(std::min(args.limit, std::int64_t{1} << 31));
  const unsigned blocks = blocks_for(rows, kThreads);

  launch(device.stream(), blocks, kThreads, coalesce_keys_kernel, args.ids.as<std::int32_t>(),
         scratch.keys, scratch.positions, rows, dropped);
  sort_pairs(device, scratch, rows, int(std::bit_width(dropped | 1)));
  std::uint32_t *heads = scratch.keys, *heads_so_far = scratch.positions;  // no longer needed
  launch(device.stream(), blocks, kThreads, coalesce_heads_kernel, scratch.sorted_keys, heads, rows,
         dropped);
  std::size_t bytes = scratch.rest_bytes;
  UNROLL_CUDA_CHECK(cub::DeviceScan::InclusiveSum(scratch.rest, bytes, heads, heads_so_far,
                                                  int(rows), device.stream()));
  const Coalesce coalesce{scratch.sorted_keys,
                          scratch.sorted_positions,
                          heads_so_far,
                          args.rows.as<float>(),
                          args.unique_ids.as<std::int32_t>(),
                          args.sums.as<float>(),
                          rows,
                          columns,
                          dropped};
  const bool packs = packs_of_four(coalesce.rows, columns) && packs_of_four(coalesce.sums, columns);
  launch(device.stream(), unsigned(rows), threads_for(columns, packs ? 4 : 1),
         packs ? coalesce_rows_kernel<4> : coalesce_rows_kernel<1>, coalesce);
}

}  // namespace unroll::gpu
