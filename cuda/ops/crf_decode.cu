/// The most probable tags of a linear-chain conditional random field, by Viterbi.
#include "cuda/ops/crf.h"
#include "cuda/ops/crf_chain.cuh"

namespace unroll::gpu {
namespace {

struct Decode {
  Chain chain;          // with the transitions as its matrix
  const float* scores;  // [T, N, K]
  WhereTag* where;      // [N, T, K]: the best tag before
  std::int32_t* out;    // [T, N] out
};

/// A sum of scores and the tag that it belongs to.
struct Candidate {
  float sum;
  std::int32_t tag;

  /// Takes what is greater. A NaN counts as greater than all, and of equals the first stays.
  __device__ void consider(float other, std::int32_t its_tag) {
    if (!(other > sum || other != other)) return;
    sum = other;
    tag = its_tag;
  }
};

/// The best tag at the last timestep, or -1 if its score is not finite. Every lane gets it.
__device__ std::int32_t best_of_row(const Chain& c, const float* row) {
  Candidate best{-INFINITY, -1};
  for (int k = int(threadIdx.x) % kWarp; k < c.tags; k += kWarp) best.consider(row[k], k);
  for (int distance = kWarp / 2; distance > 0; distance /= 2) {
    const float sum = __shfl_xor_sync(kAllLanes, best.sum, distance);
    const std::int32_t tag = __shfl_xor_sync(kAllLanes, best.tag, distance);
    if (sum == best.sum)
      best.tag = unsigned(tag) < unsigned(best.tag) ? tag : best.tag;
    else
      best.consider(sum, tag);
  }
  return best.sum > -INFINITY && best.sum < INFINITY ? best.tag : -1;
}

/// Follows the tags before from the last timestep to the first, some timesteps at a time.
__device__ void follow(const Decode& a, const ChainMemory& memory, std::int64_t n,
                       std::int32_t tag) {
  const Chain& c = a.chain;
  const WhereTag* where = a.where + n * c.steps * c.tags;
  const std::int64_t rows = kStageBytes / sizeof(WhereTag) / c.tags;
  for (std::int64_t end = c.lengths[n]; end > 0; end -= rows) {
    const std::int64_t begin = end > rows ? end - rows : 0;
    __syncthreads();
    if (tag >= 0)
      for (std::int64_t k = threadIdx.x; k < (end - begin) * c.tags; k += blockDim.x)
        memory.stage[k] = where[begin * c.tags + k];
    __syncthreads();
    if (threadIdx.x > 0) continue;
    for (std::int64_t t = end - 1; t >= begin; --t) {
      a.out[t * c.batch + n] = tag;
      if (tag >= 0 && t > 0) tag = memory.stage[(t - begin) * c.tags + tag];
    }
  }
}

template <bool in_shared>
__global__ __launch_bounds__(kChainThreads,
                             1) void decode_kernel(__grid_constant__ const Decode a) {
  const Chain& c = a.chain;
  const std::int64_t n = blockIdx.x, length = c.lengths[n];
  const bool valid = length >= 1 && length <= c.steps;
  for (std::int64_t t = (valid ? length : 0) + threadIdx.x; t < c.steps; t += blockDim.x)
    a.out[t * c.batch + n] = -1;
  if (!valid) return;
  const ChainThread mine(c);
  const ChainMemory memory = ChainMemory::of<in_shared>(c);
  const bool adds = mine.adds(c);
  float *value = memory.rows, *next = value + c.columns;
  if (mine.group == 0) {
    value[mine.tag] = adds ? c.start[mine.tag] + a.scores[c.at(0, n) + mine.tag] : -INFINITY;
    next[mine.tag] = -INFINITY;
  }
  __syncthreads();
  for (std::int64_t t = 1; t < length; ++t) {
    const float score = adds ? a.scores[c.at(t, n) + mine.tag] : 0.0F;  // early: it takes long
    const float most = row_max(c, value);
    Candidate best{-INFINITY, mine.first};
#pragma unroll 4
    for (int i = mine.first; i < mine.last; ++i)
      best.consider((value[i] - most) + memory.matrix[i * c.tags + mine.column], i);
    memory.parts[threadIdx.x] = best.sum;
    memory.places[threadIdx.x] = best.tag;
    __syncthreads();
    if (adds) {
      for (int g = 1; g < c.groups; ++g)
        best.consider(memory.parts[g * c.columns + mine.tag],
                      memory.places[g * c.columns + mine.tag]);
      a.where[(n * c.steps + t) * c.tags + mine.tag] = WhereTag(best.tag);
      next[mine.tag] = best.sum + score;
    }
    __syncthreads();
    float* const before = value;
    value = next;
    next = before;
  }
  const float most = row_max(c, value);
  if (adds) next[mine.tag] = (value[mine.tag] - most) + c.end[mine.tag];
  __syncthreads();
  follow(a, memory, n, best_of_row(c, next));
}

}  // namespace

void prepare_crf_decode(const Device& device) {
  allow_chain_memory(device, decode_kernel<true>, decode_kernel<false>);
}

void crf_decode(Device& device, const CrfDecode& args) {
  const CrfSize size = size_of_scores(args.scores);
  if (size.batch == 0) return;
  const CrfScratch scratch(args.scratch.data, CrfPass::kDecode, size);
  const ChainLaunch block(device, size.tags);
  block.run(device, decode_kernel<true>, decode_kernel<false>,
            Decode{make_chain(block, size, args.weights, args.lengths), args.scores.as<float>(),
                   scratch.where, args.tags.as<std::int32_t>()});
}

}  // namespace unroll::gpu
