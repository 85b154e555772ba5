/// What the passes of a linear-chain conditional random field share: a block per sequence, which
/// takes all its timesteps in one launch. unroll/kernels/crf.h has the formulas.
///
/// A thread has one tag j of a timestep and a group's share of the tags i before it, so a step is
/// two barriers: after the groups' sums, and after they are added up. The [K, K] matrix that every
/// step reads lies in shared memory where it fits (K up to 229 with 227 KiB, 191 with 163 KiB),
/// else it comes from the L2 cache. Threads of a warp read neighbouring columns: no bank conflict.
#pragma once

#include <algorithm>
#include <cmath>

#include "cuda/device/device.h"
#include "cuda/device/launch.h"
#include "cuda/device/memory_layout.h"
#include "cuda/kernels/block_reduce.cuh"
#include "cuda/kernels/shared_memory.cuh"
#include "unroll/kernels/crf.h"

namespace unroll::gpu {

constexpr int kChainThreads = 1024;  // per block: the hardware's limit
constexpr int kTermsPerGroup = 8;    // fewer would cost more in the sum over groups. Not measured
constexpr int kChainRows = 6;        // of shared work memory, beside two for each group
constexpr int kStageBytes = 8192;    // of tags on the way back: some timesteps at a time
constexpr int kPairTile = 32, kPairTileRows = 8;  // the threads of a tile of a matrix
constexpr std::int64_t kSliceRows = 128;          // at least, of a slice of a long product
constexpr std::int64_t kPairBlocks = 256;         // at most, unless the tiles are more

using WhereTag = std::uint16_t;

/// What the blocks of all passes know.
struct Chain {
  std::int64_t steps, batch;
  int tags;
  int columns, groups;  // threads: tags rounded up to whole warps, times groups
  const float *transitions, *start, *end;
  const float* matrix;  // [K, K] of this pass, in global memory
  const std::int32_t* lengths;

  __device__ std::int64_t at(std::int64_t t, std::int64_t n) const {
    return (t * batch + n) * tags;
  }
};

/// A thread's place in its block.
struct ChainThread {
  int tag;                       // j; tags and more are padding
  int column;                    // j, or a tag that may be read in place of padding
  int lane, group, first, last;  // the tags i of its group

  __device__ explicit ChainThread(const Chain& a)
      : tag(int(threadIdx.x) % a.columns),
        column(tag < a.tags ? tag : a.tags - 1),
        lane(int(threadIdx.x) % kWarp),
        group(int(threadIdx.x) / a.columns) {
    const int share = (a.tags + a.groups - 1) / a.groups;
    first = group * share < a.tags ? group * share : a.tags;
    last = first + share < a.tags ? first + share : a.tags;
  }
  __device__ bool adds(const Chain& a) const { return group == 0 && tag < a.tags; }
};

/// The shared memory of a block.
struct ChainMemory {
  const float* matrix;
  float* parts;          // [groups, columns]
  std::int32_t* places;  // [groups, columns]
  float* rows;           // [kChainRows, columns]
  WhereTag* stage;       // kStageBytes

  template <bool in_shared>
  static __device__ ChainMemory of(const Chain& a) {
    auto* floats = reinterpret_cast<float*>(dynamic_shared());
    ChainMemory m{};
    m.stage = reinterpret_cast<WhereTag*>(floats);
    m.parts = floats + kStageBytes / sizeof(float);
    m.places = reinterpret_cast<std::int32_t*>(m.parts + a.groups * a.columns);
    m.rows = m.parts + 2 * a.groups * a.columns;
    m.matrix = a.matrix;
    if constexpr (in_shared) {
      float* const copy = m.rows + kChainRows * a.columns;
      for (int k = int(threadIdx.x); k < a.tags * a.tags; k += int(blockDim.x))
        copy[k] = a.matrix[k];
      m.matrix = copy;
    }
    return m;
  }
};

/// The maximum of a row of shared memory whose padding is -inf. Every thread gets it; no barrier.
__device__ inline float row_max(const Chain& a, const float* row) {
  float most = -INFINITY;
  for (int k = int(threadIdx.x) % kWarp; k < a.columns; k += kWarp) most = fmaxf(most, row[k]);
  for (int distance = kWarp / 2; distance > 0; distance /= 2)
    most = fmaxf(most, __shfl_xor_sync(kAllLanes, most, distance));
  return most;
}

/// ln sum_i e^row[i] of such a row. Every thread gets it; no barrier.
__device__ inline float row_log_sum(const Chain& a, const float* row) {
  const float most = row_max(a, row);
  float sum = 0;
  for (int k = int(threadIdx.x) % kWarp; k < a.columns; k += kWarp)
    sum += most == -INFINITY ? row[k] : expf(row[k] - most);
  sum = warp_reduce(sum, Sum());
  return most == -INFINITY ? sum : most + logf(sum);
}

/// ln sum_i e^(alpha[i] - most + transitions[i, j]), by one thread.
__device__ inline float exact_column(const Chain& a, const float* alpha, float most, int j) {
  float greatest = -INFINITY;
  for (int i = 0; i < a.tags; ++i)
    greatest = fmaxf(greatest, (alpha[i] - most) + a.transitions[i * a.tags + j]);
  if (greatest == -INFINITY) return greatest;
  float sum = 0;
  for (int i = 0; i < a.tags; ++i)
    sum += expf((alpha[i] - most) + a.transitions[i * a.tags + j] - greatest);
  return greatest + logf(sum);
}

/// The sum of a column over the groups.
__device__ inline float sum_of_parts(const Chain& a, const ChainMemory& memory, int column) {
  float sum = memory.parts[column];
  for (int g = 1; g < a.groups; ++g) sum += memory.parts[g * a.columns + column];
  return sum;
}

enum class Counts : std::int32_t { kYes, kIgnored, kInvalid };

/// Whether sequence n counts. Every thread gets the answer.
__device__ inline Counts counts(const Chain& a, const std::int32_t* tags, std::int64_t n) {
  const std::int64_t length = a.lengths[n];
  if (length < 1 || length > a.steps) return Counts::kInvalid;
  int ignored = 0, invalid = 0;
  for (std::int64_t t = threadIdx.x; t < length; t += blockDim.x) {
    const std::int32_t tag = tags[t * a.batch + n];
    ignored |= tag == -1 ? 1 : 0;
    invalid |= tag < 0 || tag >= a.tags ? 1 : 0;
  }
  ignored = __syncthreads_or(ignored);
  invalid = __syncthreads_or(invalid);
  return ignored ? Counts::kIgnored : invalid ? Counts::kInvalid : Counts::kYes;
}

/// How a pass is launched.
struct ChainLaunch {
  int columns, groups;
  std::size_t shared_bytes;
  bool in_shared;

  ChainLaunch(const Device& device, std::int64_t tags) {
    columns = int(round_up(tags, kWarp));
    groups = int(std::clamp<std::int64_t>(tags / kTermsPerGroup, 1, kChainThreads / columns));
    const std::size_t work =
        kStageBytes + std::size_t(columns * (2 * groups + kChainRows)) * sizeof(float);
    const std::size_t matrix = std::size_t(tags * tags) * sizeof(float);
    in_shared = work + matrix <= device.shared_memory();
    shared_bytes = work + (in_shared ? matrix : 0);
  }

  template <typename Args>
  void run(const Device& device, void (*shared)(Args), void (*global)(Args),
           const Args& args) const {
    const cudaLaunchConfig_t config = launch_config(device.stream(), unsigned(args.chain.batch),
                                                    unsigned(columns * groups), shared_bytes);
    UNROLL_CUDA_CHECK(cudaLaunchKernelEx(&config, in_shared ? shared : global, args));
  }
};

/// The parts of the scratch memory: offsets, or with a base addresses.
class CrfScratch {
 public:
  CrfScratch(void* memory, CrfPass pass, const CrfSize& size) : base_(memory) {
    const std::int64_t pairs = size.tags * size.tags, places = size.steps * size.batch;
    if (pass == CrfPass::kDecode) {
      where = take<WhereTag>(places * size.tags);
      return;
    }
    matrix = take<float>(pairs);
    shift = take<float>(size.tags);
    if (pass == CrfPass::kLoss) return;
    const std::int64_t tiles = (size.tags + kPairTile - 1) / kPairTile;
    pair_rows = std::max<std::int64_t>(0, size.steps - 1) * size.batch;
    slices = int(std::clamp<std::int64_t>(
        pair_rows / kSliceRows, 1, std::max<std::int64_t>(1, kPairBlocks / (tiles * tiles))));
    for (float** part : {&dscores, &left, &right, &exact}) *part = take<float>(places * size.tags);
    pair_sums = take<float>(slices * pairs);
    has_exact = take<std::int32_t>(places);
    counted = take<std::int32_t>(size.batch);
  }

  std::size_t bytes() const { return layout_.bytes(); }

  float *matrix = nullptr, *shift = nullptr;
  float *dscores = nullptr, *left = nullptr, *right = nullptr, *exact = nullptr;
  float* pair_sums = nullptr;  // [slices, K, K]
  std::int32_t *has_exact = nullptr, *counted = nullptr;
  WhereTag* where = nullptr;
  std::int64_t pair_rows = 0;
  int slices = 0;

 private:
  template <typename T>
  T* take(std::int64_t count) {
    const std::size_t at = layout_.take(count, sizeof(T));
    return base_ ? reinterpret_cast<T*>(static_cast<std::byte*>(base_) + at) : nullptr;
  }

  void* base_;
  MemoryLayout layout_;
};

inline CrfSize size_of_scores(const View& scores) {
  return {scores.shape[0], scores.shape[1], scores.shape[2]};
}

inline float* floats_of(const View& view) {
  return view ? view.as<float>() : nullptr;
}

inline Chain make_chain(const ChainLaunch& block, const CrfSize& size,
                        const CrfWeightViews& weights, const View& lengths) {
  return {.steps = size.steps,
          .batch = size.batch,
          .tags = int(size.tags),
          .columns = block.columns,
          .groups = block.groups,
          .transitions = weights.transitions.as<float>(),
          .start = weights.start_transitions.as<float>(),
          .end = weights.end_transitions.as<float>(),
          .matrix = weights.transitions.as<float>(),
          .lengths = lengths.as<std::int32_t>()};
}

/// Writes the matrix and the shift of the scratch memory: e^(transitions - shift), or its
/// transpose.
void exp_transitions(const Device& device, const Chain& chain, const CrfScratch& scratch,
                     bool transposed);

// Once for each device, before a capture.
void prepare_crf_loss(const Device& device);
void prepare_crf_gradient(const Device& device);
void prepare_crf_decode(const Device& device);

template <typename Args>
void allow_chain_memory(const Device& device, void (*shared)(Args), void (*global)(Args)) {
  device.make_current();
  allow_shared_memory(shared, device.shared_memory());
  allow_shared_memory(global, device.shared_memory());
}

}  // namespace unroll::gpu
