#include "cuda/ops/sample.h"

#include <algorithm>
#include <cmath>
#include <cub/block/block_reduce.cuh>
#include <cub/block/block_scan.cuh>

#include "cuda/device/launch.h"
#include "cuda/ops/sort.h"
#include "unroll/math/philox.h"
#include "unroll/math/sampling.h"

namespace unroll::gpu {
namespace {

constexpr int kThreads = 256;
// One block draws. 1024 threads, the most it can have, would spill registers on sm_90.
constexpr int kDrawThreads = 512;

__global__ __launch_bounds__(kThreads) void sample_keys_kernel(const float* log_prob,
                                                               std::uint32_t* keys,
                                                               std::uint32_t* ids,
                                                               std::int64_t count,
                                                               std::int64_t excluded) {
  const std::int64_t k = std::int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (k >= count) return;
  keys[k] = math::descending_key(k == excluded ? -INFINITY : log_prob[k]);
  ids[k] = std::uint32_t(k);
}

struct Draw {
  const std::uint32_t *keys, *ids;  // [count or more] sorted, the most probable first
  std::int64_t count;               // how many may be drawn, before top_p and min_p
  double temperature, top_p, min_p;
  std::uint64_t key, row;
  const std::int64_t* step;
  std::int32_t* id;
};

/// An index in the sorted order, and the sum of the weights before it.
struct Candidate {
  std::int64_t index;
  double before;
};

struct Earlier {
  __device__ Candidate operator()(const Candidate& a, const Candidate& b) const {
    return b.index < a.index ? b : a;
  }
};

/// Every thread has a run of neighbouring indices and computes their weights anew in each pass.
__global__ __launch_bounds__(kDrawThreads) void draw_kernel(__grid_constant__ const Draw a) {
  using Scan = cub::BlockScan<double, kDrawThreads>;
  using Reduce = cub::BlockReduce<Candidate, kDrawThreads>;
  __shared__ typename Scan::TempStorage scan;
  __shared__ typename Reduce::TempStorage reduce;
  __shared__ Candidate earliest;
  const float best = math::log_prob_of(a.keys[0]);
  if (!std::isfinite(best) || a.temperature == 0) {
    if (threadIdx.x == 0) *a.id = std::isfinite(best) ? std::int32_t(a.ids[0]) : -1;
    return;
  }
  const auto weight = [&](std::int64_t k) {
    return math::sampling_weight(math::log_prob_of(a.keys[k]), best, a.temperature);
  };
  const std::int64_t run = (a.count + kDrawThreads - 1) / kDrawThreads;
  const std::int64_t begin = std::int64_t(threadIdx.x) * run;
  const std::int64_t end = begin + run < a.count ? begin + run : a.count;
  double own = 0, before, total;
  for (std::int64_t k = begin; k < end; ++k) own += weight(k);
  Scan(scan).ExclusiveSum(own, before, total);

  // The first index at which found(weight, sum) holds, or the end; every thread gets it. It is the
  // minimum over all threads, because with rounding a thread's last sum may exceed the first sum of
  // the next thread.
  const auto first = [&](const auto& found) {
    Candidate mine{a.count, total};
    double sum = before;
    for (std::int64_t k = begin; k < end && mine.index == a.count; ++k) {
      const double w = weight(k);
      if (found(w, sum + w)) mine = {k, sum};
      sum += w;
    }
    mine = Reduce(reduce).Reduce(mine, Earlier());
    __syncthreads();  // all threads have read the result of the call before
    if (threadIdx.x == 0) earliest = mine;
    __syncthreads();
    return earliest;
  };
  const double limit = a.top_p * total;
  const auto too_small = [&](double w) { return w == 0 || w < a.min_p; };
  const Candidate end_of_kept =
      first([&](double w, double sum) { return too_small(w) || sum >= limit; });
  const double at_end = end_of_kept.index < a.count ? weight(end_of_kept.index) : 0;
  const bool included = !too_small(at_end);
  const std::int64_t last = included ? end_of_kept.index : end_of_kept.index - 1;
  const double kept = end_of_kept.before + (included ? at_end : 0);
  const double drawn = math::uniform53(math::philox(a.key, a.row, std::uint64_t(*a.step))) * kept;
  const Candidate place = first([&](double, double sum) { return sum > drawn; });
  if (threadIdx.x == 0) *a.id = std::int32_t(a.ids[place.index < last ? place.index : last]);
}

}  // namespace

std::size_t sample_scratch_bytes(std::int64_t ids) {
  return sort_scratch_bytes(ids);
}

void sample(Device& device, const Sample& args) {
  const std::int64_t ids = args.log_prob.shape[1];
  const SortScratch scratch(args.scratch, ids);
  // One row after the other, in the same scratch memory.
  for (std::int64_t row = 0; row < args.log_prob.shape[0]; ++row) {
    launch(device.stream(), blocks_for(ids, kThreads), kThreads, sample_keys_kernel,
           args.log_prob.as<float>() + row * ids, scratch.keys, scratch.positions, ids,
           args.excluded_id);
    sort_pairs(device, scratch, ids, 32);
    const Draw draw{scratch.sorted_keys,
                    scratch.sorted_positions,
                    args.top_k > 0 ? std::min(args.top_k, ids) : ids,
                    args.temperature,
                    args.top_p,
                    args.min_p,
                    args.key,
                    std::uint64_t(row),
                    args.step.as<std::int64_t>(),
                    args.id.as<std::int32_t>() + row};
    launch(device.stream(), 1, kDrawThreads, draw_kernel, draw);
  }
}

}  // namespace unroll::gpu
