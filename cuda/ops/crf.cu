/// A linear-chain conditional random field: a block per sequence, which takes all its timesteps in
/// one launch. unroll/kernels/crf.h has the formulas.
///
/// A thread has one tag j of a timestep and a group's share of the tags i before it, so a step is
/// two barriers: after the groups' sums, and after they are added up. The [K, K] matrix that every
/// step reads lies in shared memory where it fits (K up to 229 with 227 KiB, 191 with 163 KiB),
/// else it comes from the L2 cache. Threads of a warp read neighbouring columns: no bank conflict.
#include "cuda/ops/crf.h"

#include <algorithm>
#include <cmath>

#include "cuda/device/launch.h"
#include "cuda/device/memory_layout.h"
#include "cuda/kernels/block_reduce.cuh"
#include "cuda/kernels/shared_memory.cuh"

namespace unroll::gpu {
namespace {

constexpr int kMaxThreads = 1024;  // per block: the hardware's limit
constexpr int kTermsPerGroup = 8;  // fewer would cost more in the sum over groups. Not measured
constexpr int kRows = 6;           // of shared work memory, beside two for each group
constexpr int kStageBytes = 8192;  // of tags on the way back: some timesteps at a time
constexpr int kTile = 32, kTileRows = 8;   // the threads of a tile of a matrix
constexpr std::int64_t kSliceRows = 128;   // at least, of a slice of a long product
constexpr std::int64_t kPairBlocks = 256;  // at most, unless the tiles are more

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
  float* rows;           // [kRows, columns]
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
      float* const copy = m.rows + kRows * a.columns;
      for (int k = int(threadIdx.x); k < a.tags * a.tags; k += int(blockDim.x))
        copy[k] = a.matrix[k];
      m.matrix = copy;
    }
    return m;
  }
};

/// The maximum of a row of shared memory whose padding is -inf. Every thread gets it; no barrier.
__device__ float row_max(const Chain& a, const float* row) {
  float most = -INFINITY;
  for (int k = int(threadIdx.x) % kWarp; k < a.columns; k += kWarp) most = fmaxf(most, row[k]);
  for (int distance = kWarp / 2; distance > 0; distance /= 2)
    most = fmaxf(most, __shfl_xor_sync(kAllLanes, most, distance));
  return most;
}

/// ln sum_i e^row[i] of such a row. Every thread gets it; no barrier.
__device__ float row_log_sum(const Chain& a, const float* row) {
  const float most = row_max(a, row);
  float sum = 0;
  for (int k = int(threadIdx.x) % kWarp; k < a.columns; k += kWarp)
    sum += most == -INFINITY ? row[k] : expf(row[k] - most);
  sum = warp_reduce(sum, Sum());
  return most == -INFINITY ? sum : most + logf(sum);
}

/// ln sum_i e^(alpha[i] - most + transitions[i, j]), by one thread.
__device__ float exact_column(const Chain& a, const float* alpha, float most, int j) {
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
__device__ float sum_of_parts(const Chain& a, const ChainMemory& memory, int column) {
  float sum = memory.parts[column];
  for (int g = 1; g < a.groups; ++g) sum += memory.parts[g * a.columns + column];
  return sum;
}

enum class Counts : std::int32_t { kYes, kIgnored, kInvalid };

/// Whether sequence n counts. Every thread gets the answer.
__device__ Counts counts(const Chain& a, const std::int32_t* tags, std::int64_t n) {
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

struct MatrixOfTransitions {
  int tags;
  const float* transitions;  // [K, K]
  float* shift;              // [K] out: the maximum of each column, 0 where that is -inf
  float* matrix;             // [K, K] out: e^(transitions - shift)
  bool transposed;
};

/// A block has kTile columns.
__global__ __launch_bounds__(kTile* kTileRows) void exp_transitions_kernel(
    __grid_constant__ const MatrixOfTransitions a) {
  __shared__ float parts[kTileRows][kTile];
  const int j = int(blockIdx.x) * kTile + int(threadIdx.x);
  const int column = j < a.tags ? j : a.tags - 1;
  const Max max;
  float most = -INFINITY;
  for (int i = int(threadIdx.y); i < a.tags; i += kTileRows)
    most = max(most, a.transitions[i * a.tags + column]);
  parts[threadIdx.y][threadIdx.x] = most;
  __syncthreads();
  for (int k = 0; k < kTileRows; ++k) most = max(most, parts[k][threadIdx.x]);
  if (most == -INFINITY) most = 0;
  if (j >= a.tags) return;
  if (threadIdx.y == 0) a.shift[j] = most;
  for (int i = int(threadIdx.y); i < a.tags; i += kTileRows)
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
__global__ __launch_bounds__(kMaxThreads,
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
__global__ __launch_bounds__(kMaxThreads,
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
__global__ __launch_bounds__(kTile* kTileRows) void pair_sums_kernel(
    __grid_constant__ const PairSums a) {
  __shared__ float left[kTile][kTile], right[kTile][kTile];
  const int x = int(threadIdx.x), y = int(threadIdx.y);
  const int i = int(blockIdx.y) * kTile, j = int(blockIdx.x) * kTile + x;
  const std::int64_t begin = std::int64_t(blockIdx.z) * a.slice_rows;
  const std::int64_t end = begin + a.slice_rows < a.rows ? begin + a.slice_rows : a.rows;
  float sums[kTile / kTileRows] = {};
  for (std::int64_t base = begin; base < end; base += kTile) {
    for (int k = y; k < kTile; k += kTileRows) {
      const bool inside = base + k < end;
      left[k][x] = inside && i + x < a.tags ? a.left[(base + k) * a.tags + i + x] : 0.0F;
      right[k][x] = inside && j < a.tags ? a.right[(base + k) * a.tags + j] : 0.0F;
    }
    __syncthreads();
#pragma unroll 8
    for (int k = 0; k < kTile; ++k)
#pragma unroll
      for (int s = 0; s < kTile / kTileRows; ++s)
        sums[s] = fmaf(left[k][y + s * kTileRows], right[k][x], sums[s]);
    __syncthreads();
  }
  for (int s = 0; s < kTile / kTileRows; ++s) {
    const int row = i + y + s * kTileRows;
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
__global__ __launch_bounds__(kMaxThreads) void pair_gradients_kernel(
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
__global__ __launch_bounds__(kMaxThreads) void edge_gradients_kernel(
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
__global__ __launch_bounds__(kMaxThreads, 1) void decode_kernel(__grid_constant__ const Decode a) {
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

/// How a pass is launched.
struct ChainLaunch {
  int columns, groups;
  std::size_t shared_bytes;
  bool in_shared;

  ChainLaunch(const Device& device, std::int64_t tags) {
    columns = int(round_up(tags, kWarp));
    groups = int(std::clamp<std::int64_t>(tags / kTermsPerGroup, 1, kMaxThreads / columns));
    const std::size_t work =
        kStageBytes + std::size_t(columns * (2 * groups + kRows)) * sizeof(float);
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
    const std::int64_t tiles = (size.tags + kTile - 1) / kTile;
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

CrfSize size_of_scores(const View& scores) {
  return {scores.shape[0], scores.shape[1], scores.shape[2]};
}

float* floats_of(const View& view) {
  return view ? view.as<float>() : nullptr;
}

Chain make_chain(const ChainLaunch& block, const CrfSize& size, const CrfWeightViews& weights,
                 const View& lengths) {
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

void exp_transitions(const Device& device, const Chain& chain, const CrfScratch& scratch,
                     bool transposed) {
  launch(device.stream(), blocks_for(chain.tags, kTile), dim3(kTile, kTileRows),
         exp_transitions_kernel,
         MatrixOfTransitions{chain.tags, chain.transitions, scratch.shift, scratch.matrix,
                             transposed});
}

void transition_gradient(const Device& device, const Backward& backward, const CrfScratch& scratch,
                         float* out) {
  const Chain& chain = backward.chain;
  const unsigned tiles = blocks_for(chain.tags, kTile);
  const std::int64_t slice_rows = (scratch.pair_rows + scratch.slices - 1) / scratch.slices;
  launch(device.stream(), dim3(tiles, tiles, unsigned(scratch.slices)), dim3(kTile, kTileRows),
         pair_sums_kernel,
         PairSums{chain.tags, scratch.pair_rows, slice_rows, scratch.left,
                  scratch.right + chain.batch * chain.tags, scratch.pair_sums});
  launch(device.stream(), unsigned(chain.tags), unsigned(chain.columns), pair_gradients_kernel,
         PairGradients{backward, scratch.slices, scratch.pair_sums, scratch.shift, out});
}

}  // namespace

std::size_t crf_scratch_bytes(const Device& device, CrfPass pass, const CrfSize& size) {
  device.make_current();
  const auto allow = [&](auto* kernel) { allow_shared_memory(kernel, device.shared_memory()); };
  if (pass == CrfPass::kLoss) {
    allow(forward_kernel<true>);
    allow(forward_kernel<false>);
  } else if (pass == CrfPass::kLossGradient) {
    allow(backward_kernel<true>);
    allow(backward_kernel<false>);
  } else {
    allow(decode_kernel<true>);
    allow(decode_kernel<false>);
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
