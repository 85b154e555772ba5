/// The gradient of the loss of a linear-chain conditional random field: probabilities of tags by
/// one block per sequence, then those of pairs of tags as one product over all timesteps and
/// sequences.
#include "cuda/ops/crf.h"
#include "cuda/ops/crf_chain.cuh"

namespace unroll::gpu {
namespace {

struct Backward {
  Chain chain;
  const std::int32_t* tags;           // [T, N]
  const float *alpha, *sums, *dloss;  // [T, N, K], [T, N, K], [N]
  float* dscores;                     // [T, N, K] out
  float *left, *right;                // [T, N, K] out: e^alpha; dloss r, undefined at t = 0
  float* exact;                       // [T, N, K] out, where has_exact
  std::int32_t* has_exact;            // [T, N] out: whether a column had no sum
  std::int32_t* counted;              // [N] out
};

/// What is behind a sequence's end, or all of one that does not count.
__device__ void fill_rest(const Backward& a, std::int64_t n, std::int64_t length, float rest) {
  const Chain& c = a.chain;
  for (std::int64_t t = length; t < c.steps; ++t) {
    for (int k = int(threadIdx.x); k < c.tags; k += int(blockDim.x)) {
      a.dscores[c.at(t, n) + k] = a.right[c.at(t, n) + k] = rest;
      a.left[c.at(t, n) + k] = 0;
    }
    if (threadIdx.x == 0) a.has_exact[t * c.batch + n] = 0;
  }
}

/// What the columns without a sum give to mu_{t-1}[i]. Called by all threads of a block. `weights`:
/// a row of shared memory.
__device__ float exact_columns(const Backward& a, const ChainThread& mine, std::int64_t at,
                               const float* alpha, float weight, float* weights) {
  const Chain& c = a.chain;
  const bool adds = mine.adds(c);
  if (adds) {
    weights[mine.tag] =
        weight == 0 ? -INFINITY : logf(weight) - exact_column(c, alpha, 0, mine.tag);
    a.exact[at + mine.tag] = weights[mine.tag];
  }
  __syncthreads();
  float sum = 0;
  for (int j = 0; adds && j < c.tags; ++j)
    if (weights[j] != -INFINITY)
      sum += expf((alpha[mine.tag] + c.transitions[mine.tag * c.tags + j]) + weights[j]);
  __syncthreads();  // alpha changes in the next step
  return sum;
}

template <bool in_shared>
__global__ __launch_bounds__(kChainThreads,
                             1) void backward_kernel(__grid_constant__ const Backward a) {
  const Chain& c = a.chain;
  const std::int64_t n = blockIdx.x, length = c.lengths[n];
  const Counts kind = counts(c, a.tags, n);
  const bool counted = kind == Counts::kYes;
  if (threadIdx.x == 0) a.counted[n] = counted ? 1 : 0;
  fill_rest(a, n, counted ? length : 0, kind == Counts::kInvalid ? NAN : 0.0F);
  if (!counted) return;
  const ChainThread mine(c);
  const ChainMemory memory = ChainMemory::of<in_shared>(c);
  const bool adds = mine.adds(c);
  float *alpha = memory.rows, *r = alpha + c.columns, *weights = r + c.columns;
  const float dloss = a.dloss[n];
  float relative = adds ? a.alpha[c.at(length - 1, n) + mine.tag] : -INFINITY;
  if (mine.group == 0) {
    alpha[mine.tag] = adds ? relative + c.end[mine.tag] : -INFINITY;
    r[mine.tag] = 0;
  }
  __syncthreads();
  const float all = row_log_sum(c, alpha);
  float mu = adds ? expf(alpha[mine.tag] - all) : 0.0F;
  if (adds) a.left[c.at(length - 1, n) + mine.tag] = 0;
  __syncthreads();
  for (std::int64_t t = length - 1;; --t) {
    const std::int64_t at = c.at(t, n), before = at - c.batch * c.tags;
    if (adds)
      a.dscores[at + mine.tag] = mu * dloss - (a.tags[t * c.batch + n] == mine.tag ? dloss : 0.0F);
    if (t == 0) break;
    bool exact = false;
    if (adds) {
      relative = a.alpha[before + mine.tag];
      const float sum = a.sums[at + mine.tag];
      const float share = sum == 0 ? 0.0F : mu / sum;
      exact = sum == 0 && mu != 0;
      alpha[mine.tag] = relative;
      r[mine.tag] = share;
      a.right[at + mine.tag] = share * dloss;
    }
    const bool any_exact = __syncthreads_or(exact ? 1 : 0) != 0;
    float part = 0;
#pragma unroll 8
    for (int k = mine.first; k < mine.last; ++k)
      part = fmaf(r[k], memory.matrix[k * c.tags + mine.column], part);
    memory.parts[threadIdx.x] = part;
    if (threadIdx.x == 0) a.has_exact[t * c.batch + n] = any_exact ? 1 : 0;
    __syncthreads();
    const float weight = exact ? mu : 0.0F;
    if (adds) {
      const float p = expf(relative);
      a.left[before + mine.tag] = p;
      mu = sum_of_parts(c, memory, mine.tag) * p;
    }
    if (any_exact) mu += exact_columns(a, mine, at, alpha, weight, weights);
  }
}

struct PairSums {
  int tags;
  std::int64_t rows, slice_rows;
  const float *left, *right;  // [rows, K]
  float* slices;              // [slices, K, K] out
};

/// A tile of left^T right over a slice of the rows. The order of additions depends on shapes only.
__global__ __launch_bounds__(kPairTile* kPairTileRows) void pair_sums_kernel(
    __grid_constant__ const PairSums a) {
  __shared__ float left[kPairTile][kPairTile], right[kPairTile][kPairTile];
  const int x = int(threadIdx.x), y = int(threadIdx.y);
  const int i = int(blockIdx.y) * kPairTile, j = int(blockIdx.x) * kPairTile + x;
  const std::int64_t begin = std::int64_t(blockIdx.z) * a.slice_rows;
  const std::int64_t end = begin + a.slice_rows < a.rows ? begin + a.slice_rows : a.rows;
  float sums[kPairTile / kPairTileRows] = {};
  for (std::int64_t base = begin; base < end; base += kPairTile) {
    for (int k = y; k < kPairTile; k += kPairTileRows) {
      const bool inside = base + k < end;
      left[k][x] = inside && i + x < a.tags ? a.left[(base + k) * a.tags + i + x] : 0.0F;
      right[k][x] = inside && j < a.tags ? a.right[(base + k) * a.tags + j] : 0.0F;
    }
    __syncthreads();
#pragma unroll 8
    for (int k = 0; k < kPairTile; ++k)
#pragma unroll
      for (int s = 0; s < kPairTile / kPairTileRows; ++s)
        sums[s] = fmaf(left[k][y + s * kPairTileRows], right[k][x], sums[s]);
    __syncthreads();
  }
  for (int s = 0; s < kPairTile / kPairTileRows; ++s) {
    const int row = i + y + s * kPairTileRows;
    if (row < a.tags && j < a.tags)
      a.slices[(std::int64_t(blockIdx.z) * a.tags + row) * a.tags + j] = sums[s];
  }
}

struct PairGradients {
  Backward backward;
  int slices;
  const float* sums;   // [slices, K, K]
  const float* shift;  // [K]
  float* out;          // [K, K]
};

/// A block has one row i, a thread one column. Warps look for the places at which the tags have tag
/// i before another, or at which a column had no sum, 32 places at a time and in ascending order.
__global__ __launch_bounds__(kChainThreads) void pair_gradients_kernel(
    __grid_constant__ const PairGradients a) {
  const Backward& b = a.backward;
  const Chain& c = b.chain;
  const int i = int(blockIdx.x), j = int(threadIdx.x), lane = j % kWarp;
  const int column = j < c.tags ? j : c.tags - 1;
  const float transition = c.transitions[i * c.tags + column];
  float sum = 0;
  for (int s = 0; s < a.slices; ++s)
    sum += a.sums[(std::int64_t(s) * c.tags + i) * c.tags + column];
  sum *= expf(transition - a.shift[column]);
  const std::int64_t places = c.steps * c.batch;
  for (std::int64_t base = c.batch; base < places; base += kWarp) {
    const std::int64_t mine = base + lane;
    const bool inside = mine < places;
    const std::int64_t t = mine / c.batch, n = mine % c.batch;
    const bool follows =
        inside && b.counted[n] != 0 && t < c.lengths[n] && b.tags[mine - c.batch] == i;
    const std::int32_t tag = follows ? b.tags[mine] : -1;
    const bool exact = inside && b.has_exact[mine] != 0;
    const float weight = inside ? b.dloss[n] : 0.0F;
    for (unsigned left = __ballot_sync(kAllLanes, follows || exact); left != 0; left &= left - 1) {
      const int k = __ffs(int(left)) - 1;
      const float dloss = __shfl_sync(kAllLanes, weight, k);
      const int next = __shfl_sync(kAllLanes, tag, k);
      if (__shfl_sync(kAllLanes, exact ? 1 : 0, k) != 0) {
        const float extra = b.exact[(base + k) * c.tags + column];
        const float alpha = b.alpha[(base + k - c.batch) * c.tags + i];
        if (extra != -INFINITY) sum = fmaf(expf((transition + alpha) + extra), dloss, sum);
      }
      if (next == j) sum -= dloss;
    }
  }
  if (j < c.tags) a.out[i * c.tags + j] = sum;
}

struct EdgeGradients {
  Chain chain;
  const float* dscores;  // [T, N, K]
  float *start, *end;    // [K] out, or null
};

/// The sums over sequences of dscores at their first and last timestep: block 0 and block 1.
__global__ __launch_bounds__(kChainThreads) void edge_gradients_kernel(
    __grid_constant__ const EdgeGradients a) {
  const Chain& c = a.chain;
  const bool last = blockIdx.x == 1;
  float* const out = last ? a.end : a.start;
  const int j = int(threadIdx.x);
  if (!out || j >= c.tags) return;
  float sum = 0;
  for (std::int64_t n = 0; n < c.batch && c.steps > 0; ++n) {
    std::int64_t t = last ? c.lengths[n] - 1 : 0;
    t = t < 0 ? 0 : t < c.steps ? t : c.steps - 1;
    sum += a.dscores[c.at(t, n) + j];
  }
  out[j] = sum;
}

void transition_gradient(const Device& device, const Backward& backward, const CrfScratch& scratch,
                         float* out) {
  const Chain& chain = backward.chain;
  const unsigned tiles = blocks_for(chain.tags, kPairTile);
  const std::int64_t slice_rows = (scratch.pair_rows + scratch.slices - 1) / scratch.slices;
  launch(device.stream(), dim3(tiles, tiles, unsigned(scratch.slices)),
         dim3(kPairTile, kPairTileRows), pair_sums_kernel,
         PairSums{chain.tags, scratch.pair_rows, slice_rows, scratch.left,
                  scratch.right + chain.batch * chain.tags, scratch.pair_sums});
  launch(device.stream(), unsigned(chain.tags), unsigned(chain.columns), pair_gradients_kernel,
         PairGradients{backward, scratch.slices, scratch.pair_sums, scratch.shift, out});
}

}  // namespace

void prepare_crf_gradient(const Device& device) {
  allow_chain_memory(device, backward_kernel<true>, backward_kernel<false>);
}

void crf_loss_gradient(Device& device, const CrfLossGradient& args) {
  const CrfSize size = size_of_scores(args.alpha);
  const CrfScratch scratch(args.scratch.data, CrfPass::kLossGradient, size);
  const ChainLaunch block(device, size.tags);
  Backward backward{.chain = make_chain(block, size, args.weights, args.lengths),
                    .tags = args.tags.as<std::int32_t>(),
                    .alpha = args.alpha.as<float>(),
                    .sums = args.sums.as<float>(),
                    .dloss = args.dloss.as<float>(),
                    .dscores = args.dscores ? args.dscores.as<float>() : scratch.dscores,
                    .left = scratch.left,
                    .right = scratch.right,
                    .exact = scratch.exact,
                    .has_exact = scratch.has_exact,
                    .counted = scratch.counted};
  exp_transitions(device, backward.chain, scratch, true);
  backward.chain.matrix = scratch.matrix;
  if (size.batch > 0) block.run(device, backward_kernel<true>, backward_kernel<false>, backward);
  if (args.dweights.transitions)
    transition_gradient(device, backward, scratch, args.dweights.transitions.as<float>());
  const EdgeGradients edges{backward.chain, backward.dscores,
                            floats_of(args.dweights.start_transitions),
                            floats_of(args.dweights.end_transitions)};
  if (edges.start || edges.end)
    launch(device.stream(), 2, unsigned(block.columns), edge_gradients_kernel, edges);
}

}  // namespace unroll::gpu
