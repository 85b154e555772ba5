#include "cuda/ops/layout.h"

#include "cuda/device/launch.h"
#include "cuda/kernels/strided.cuh"
#include "unroll/kernels/elementwise.h"

namespace unroll::gpu {
namespace {

constexpr int kThreads = 256;
constexpr int kTile = 32, kTileRows = 8;

enum Side { kIn, kOut };

/// `Word` has the size of an element: copies keep its bits, whatever they mean.
template <typename Word>
struct Walk {
  const Word* in;
  Word* out;
  Strided<2> nest;
  std::int64_t elements;
};

/// One pack per thread, in the order of the grid.
template <typename Word, int width>
__global__ __launch_bounds__(kThreads) void copy_kernel(__grid_constant__ const Walk<Word> walk) {
  const std::int64_t first = (std::int64_t(blockIdx.x) * kThreads + threadIdx.x) * width;
  if (first >= walk.elements) return;
  std::int64_t at[2];
  walk.nest.locate(std::uint64_t(first), at);
  const Word* in = walk.in + at[kIn];
  Word* out = walk.out + at[kOut];
  if (const std::int64_t rest = walk.elements - first; rest < width) {
    for (std::int64_t k = 0; k < rest; ++k) out[k] = in[k];  // one axis, both strides 1
    return;
  }
  store(out, load<width>(in));
}

/// A transposition: the input is contiguous along axis p, the output along axis q.
template <typename Word>
struct Transposition {
  const Word* in;
  Word* out;
  std::int64_t p, q;  // extents
  std::int64_t out_stride_p, in_stride_q;
  Strided<2> others;
};

/// One tile per block, read along one axis and written along the other.
template <typename Word>
__global__ __launch_bounds__(kTile* kTileRows) void transpose_kernel(
    __grid_constant__ const Transposition<Word> walk) {
  __shared__ Word tile[kTile][kTile + 1];  // the extra column avoids bank conflicts
  const std::uint64_t tiles_p = std::uint64_t((walk.p + kTile - 1) / kTile),
                      tiles_q = std::uint64_t((walk.q + kTile - 1) / kTile);
  std::uint64_t index = blockIdx.x;
  const std::int64_t p = std::int64_t(index % tiles_p) * kTile;
  index /= tiles_p;
  const std::int64_t q = std::int64_t(index % tiles_q) * kTile;
  std::int64_t at[2];
  walk.others.locate(index / tiles_q, at);
  const Word* in = walk.in + at[kIn];
  Word* out = walk.out + at[kOut];
  const int x = int(threadIdx.x);
  for (int y = int(threadIdx.y); y < kTile; y += kTileRows)
    if (p + x < walk.p && q + y < walk.q) tile[y][x] = in[p + x + (q + y) * walk.in_stride_q];
  __syncthreads();
  for (int y = int(threadIdx.y); y < kTile; y += kTileRows)
    if (p + y < walk.p && q + x < walk.q) out[(p + y) * walk.out_stride_p + q + x] = tile[x][y];
}

/// The axis along which a side is contiguous; -1 if no axis is long enough for a tile.
int neighbours_axis(const Strided<2>& nest, Side side) {
  for (int axis = 0; axis < nest.rank; ++axis)
    if (nest.stride[side][axis] == 1 && nest.extent[axis] >= kTile / 2) return axis;
  return -1;
}

template <typename Word>
void transpose(const Device& device, const Walk<Word>& walk, int axis_p, int axis_q) {
  const Strided<2>& nest = walk.nest;
  Transposition<Word> tiled{walk.in,
                            walk.out,
                            nest.extent[axis_p],
                            nest.extent[axis_q],
                            nest.stride[kOut][axis_p],
                            nest.stride[kIn][axis_q],
                            {}};
  for (int axis = 0; axis < nest.rank; ++axis)
    if (axis != axis_p && axis != axis_q)
      tiled.others.push(nest.extent[axis], {nest.stride[kIn][axis], nest.stride[kOut][axis]});
  const std::int64_t tiles = ((tiled.p + kTile - 1) / kTile) * ((tiled.q + kTile - 1) / kTile);
  launch(device.stream(), blocks_for(tiles * tiled.others.elements(), 1), dim3(kTile, kTileRows),
         transpose_kernel<Word>, tiled);
}

template <typename Word>
void copy_words(const Device& device, const CopyRegion& args) {
  Walk<Word> walk{static_cast<const Word*>(args.in.data) + args.in_offset,
                  static_cast<Word*>(args.out.data) + args.out_offset,
                  {},
                  args.extent.elements()};
  if (walk.elements == 0) return;
  for (int axis = 0; axis < args.extent.rank(); ++axis)
    walk.nest.push(args.extent[axis], {args.in_stride[axis], args.out_stride[axis]});
  const int axis_p = neighbours_axis(walk.nest, kIn), axis_q = neighbours_axis(walk.nest, kOut);
  if (axis_p >= 0 && axis_q >= 0 && axis_p != axis_q)
    return transpose(device, walk, axis_p, axis_q);
  if constexpr (sizeof(Word) == 4) {  // four fill the widest access
    if (walk.nest.inner_stride(kIn) == 1 && walk.nest.inner_stride(kOut) == 1 &&
        walk.nest.packs_of_four(kIn, walk.in) && walk.nest.packs_of_four(kOut, walk.out))
      return launch(device.stream(), blocks_for(walk.elements, kThreads * 4), kThreads,
                    copy_kernel<Word, 4>, walk);
  }
  launch(device.stream(), blocks_for(walk.elements, kThreads), kThreads, copy_kernel<Word, 1>,
         walk);
}

template <typename T>
__global__ __launch_bounds__(kThreads) void fill_kernel(T* out, std::int64_t elements, T value) {
  const std::int64_t k = std::int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (k < elements) out[k] = value;
}

template <typename T>
void fill_with(const Device& device, const View& out, T value) {
  launch(device.stream(), blocks_for(out.elements(), kThreads), kThreads, fill_kernel<T>,
         out.as<T>(), out.elements(), value);
}

}  // namespace

void copy_region(Device& device, const CopyRegion& args) {
  switch (size_of(args.in.dtype)) {
    case 1:
      return copy_words<std::uint8_t>(device, args);
    case 4:
      return copy_words<std::uint32_t>(device, args);
    default:
      return copy_words<std::uint64_t>(device, args);
  }
}

void fill(Device& device, const Fill& args) {
  with_type(args.out.dtype, [&]<typename T>(T) { fill_with(device, args.out, T(args.value)); });
}

}  // namespace unroll::gpu
