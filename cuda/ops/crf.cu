/// The loss of a linear-chain conditional random field, by the forward algorithm.
#include "cuda/ops/crf.h"
#include "cuda/ops/crf_chain.cuh"

namespace unroll::gpu {
namespace {

struct MatrixOfTransitions {
  int tags;
  const float* transitions;  // [K, K]
  float* shift;              // [K] out: the maximum of each column, 0 where that is -inf
  float* matrix;             // [K, K] out: e^(transitions - shift)
  bool transposed;
};

/// A block has kPairTile columns.
__global__ __launch_bounds__(kPairTile* kPairTileRows) void exp_transitions_kernel(
    __grid_constant__ const MatrixOfTransitions a) {
  __shared__ float parts[kPairTileRows][kPairTile];
  const int j = int(blockIdx.x) * kPairTile + int(threadIdx.x);
  const int column = j < a.tags ? j : a.tags - 1;
  const Max max;
  float most = -INFINITY;
  for (int i = int(threadIdx.y); i < a.tags; i += kPairTileRows)
    most = max(most, a.transitions[i * a.tags + column]);
  parts[threadIdx.y][threadIdx.x] = most;
  __syncthreads();
  for (int k = 0; k < kPairTileRows; ++k) most = max(most, parts[k][threadIdx.x]);
  if (most == -INFINITY) most = 0;
  if (j >= a.tags) return;
  if (threadIdx.y == 0) a.shift[j] = most;
  for (int i = int(threadIdx.y); i < a.tags; i += kPairTileRows)
    a.matrix[a.transposed ? j * a.tags + i : i * a.tags + j] =
        expf(a.transitions[i * a.tags + j] - most);
}

struct Forward {
  Chain chain;
  const float* scores;         // [T, N, K]
  const std::int32_t* tags;    // [T, N]
  const float* shift;          // [K]
  float *loss, *alpha, *sums;  // out, or null
};

/// What start, scores, transitions and end give the tags. By one warp; every lane gets it.
__device__ double score_of_tags(const Forward& a, std::int64_t n) {
  const Chain& c = a.chain;
  const std::int64_t length = c.lengths[n];
  double sum = 0;
  for (std::int64_t t = threadIdx.x; t < length; t += kWarp) {
    const std::int32_t tag = a.tags[t * c.batch + n];
    sum += double(a.scores[c.at(t, n) + tag]);
    sum += t == 0 ? double(c.start[tag])
                  : double(c.transitions[a.tags[(t - 1) * c.batch + n] * c.tags + tag]);
    if (t == length - 1) sum += double(c.end[tag]);
  }
  for (int distance = kWarp / 2; distance > 0; distance /= 2)
    sum += __shfl_xor_sync(kAllLanes, sum, distance);
  return sum;
}

/// This thread's part of sum_i e^(alpha[i] - most) matrix[i, j].
__device__ float forward_part(const Chain& a, const ChainThread& mine, const ChainMemory& memory,
                              const float* alpha, float most) {
  float sum = 0;
  for (int base = mine.first; base < mine.last; base += kWarp) {
    const int i = base + mine.lane, count = min(kWarp, mine.last - base);
    const float p = i < mine.last ? expf(alpha[i] - most) : 0.0F;
    const float* column = memory.matrix + base * a.tags + mine.column;
#pragma unroll 8
    for (int k = 0; k < count; ++k)
      sum = fmaf(__shfl_sync(kAllLanes, p, k), column[k * a.tags], sum);
  }
  return sum;
}

template <bool in_shared>
__global__ __launch_bounds__(kChainThreads,
                             1) void forward_kernel(__grid_constant__ const Forward a) {
  const Chain& c = a.chain;
  const std::int64_t n = blockIdx.x, length = c.lengths[n];
  const Counts kind = counts(c, a.tags, n);
  if (kind != Counts::kYes) {
    if (threadIdx.x == 0 && a.loss) a.loss[n] = kind == Counts::kIgnored ? 0.0F : NAN;
    return;
  }
  const ChainThread mine(c);
  const ChainMemory memory = ChainMemory::of<in_shared>(c);
  const bool adds = mine.adds(c);
  float *alpha = memory.rows, *next = alpha + c.columns;
  if (mine.group == 0) {
    alpha[mine.tag] = adds ? c.start[mine.tag] + a.scores[c.at(0, n) + mine.tag] : -INFINITY;
    next[mine.tag] = -INFINITY;
  }
  const float shift = a.shift[mine.column];
  double total = 0;  // of the maxima
  __syncthreads();
  for (std::int64_t t = 1; t < length; ++t) {
    const float score = adds ? a.scores[c.at(t, n) + mine.tag] : 0.0F;  // early: it takes long
    const float most = row_max(c, alpha);
    total += double(most);
    if (adds && a.alpha) a.alpha[c.at(t - 1, n) + mine.tag] = alpha[mine.tag] - most;
    memory.parts[threadIdx.x] = forward_part(c, mine, memory, alpha, most);
    __syncthreads();
    if (adds) {
      const float sum = sum_of_parts(c, memory, mine.tag);
      const bool exact = sum < kLeastCrfSum;
      next[mine.tag] = (exact ? exact_column(c, alpha, most, mine.tag) : logf(sum) + shift) + score;
      if (a.sums) a.sums[c.at(t, n) + mine.tag] = exact ? 0.0F : sum;
    }
    __syncthreads();
    float* const before = alpha;
    alpha = next;
    next = before;
  }
  const float most = row_max(c, alpha);
  if (adds) {
    const float relative = alpha[mine.tag] - most;
    if (a.alpha) a.alpha[c.at(length - 1, n) + mine.tag] = relative;
    next[mine.tag] = relative + c.end[mine.tag];
  }
  __syncthreads();
  if (threadIdx.x >= kWarp || !a.loss) return;
  const double all = total + double(most) + double(row_log_sum(c, next));
  const double score = score_of_tags(a, n);
  if (threadIdx.x == 0) a.loss[n] = float(all - score);
}

}  // namespace

void exp_transitions(const Device& device, const Chain& chain, const CrfScratch& scratch,
                     bool transposed) {
  launch(device.stream(), blocks_for(chain.tags, kPairTile), dim3(kPairTile, kPairTileRows),
         exp_transitions_kernel,
         MatrixOfTransitions{chain.tags, chain.transitions, scratch.shift, scratch.matrix,
                             transposed});
}

void prepare_crf_loss(const Device& device) {
  allow_chain_memory(device, forward_kernel<true>, forward_kernel<false>);
}

std::size_t crf_scratch_bytes(const Device& device, CrfPass pass, const CrfSize& size) {
  switch (pass) {
    case CrfPass::kLoss:
      prepare_crf_loss(device);
      break;
    case CrfPass::kLossGradient:
      prepare_crf_gradient(device);
      break;
    case CrfPass::kDecode:
      prepare_crf_decode(device);
      break;
  }
  return CrfScratch(nullptr, pass, size).bytes();
}

void crf_loss(Device& device, const CrfLoss& args) {
  const CrfSize size = size_of_scores(args.scores);
  if (size.batch == 0) return;
  const CrfScratch scratch(args.scratch.data, CrfPass::kLoss, size);
  const ChainLaunch block(device, size.tags);
  Forward forward{make_chain(block, size, args.weights, args.lengths),
                  args.scores.as<float>(),
                  args.tags.as<std::int32_t>(),
                  scratch.shift,
                  floats_of(args.loss),
                  floats_of(args.alpha),
                  floats_of(args.sums)};
  exp_transitions(device, forward.chain, scratch, false);
  forward.chain.matrix = scratch.matrix;
  block.run(device, forward_kernel<true>, forward_kernel<false>, forward);
}

}  // namespace unroll::gpu
