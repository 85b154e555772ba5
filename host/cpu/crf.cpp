/// The linear-chain conditional random field. A sequence is one thread's; the gradient of the
/// transitions is a matrix product over all timesteps and sequences, whose order of additions does
/// not depend on the threads.
#include "host/cpu/crf.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "host/cpu/crf_kernel.h"
#include "host/cpu/isa.h"
#include "host/cpu/kernels.h"

namespace unroll::host {
namespace {

const ChainKernels& chain_kernels() {
  return UNROLL_FOR_ISA(kChainKernels);
}

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();
constexpr std::int64_t kWorkRows = 5;  // of a sequence

std::int64_t stride_of(std::int64_t tags) {
  return round_up(tags, kUnitBlock);
}

CrfSize size_of_scores(const View& scores) {
  return {scores.shape[0], scores.shape[1], scores.shape[2]};
}

/// Hands out the parts of the scratch memory; with null it only counts.
class ScratchFloats {
 public:
  explicit ScratchFloats(void* memory) : memory_(static_cast<float*>(memory)) {}

  float* take(std::int64_t count) {
    float* const at = memory_ ? memory_ + taken_ : nullptr;
    taken_ += round_up(count, 16);
    return at;
  }
  std::size_t bytes() const { return std::size_t(taken_) * sizeof(float); }

 private:
  float* memory_;
  std::int64_t taken_ = 0;
};

/// What all passes have: a matrix made of the transitions, and work memory for each sequence.
struct ChainScratch {
  ScratchFloats memory;
  float *matrix, *shift, *work;

  ChainScratch(void* scratch, const CrfSize& size)
      : memory(scratch),
        matrix(memory.take(size.tags * stride_of(size.tags))),
        shift(memory.take(stride_of(size.tags))),
        work(memory.take(size.batch * kWorkRows * stride_of(size.tags))) {}
};

struct GradientScratch : ChainScratch {
  float *dscores, *left, *right, *exact;
  std::int32_t* has_exact;  // [T, N]

  GradientScratch(void* scratch, const CrfSize& size) : ChainScratch(scratch, size) {
    for (float** part : {&dscores, &left, &right, &exact})
      *part = memory.take(size.steps * size.batch * size.tags);
    has_exact = reinterpret_cast<std::int32_t*>(memory.take(size.steps * size.batch));
  }
};

struct DecodeScratch : ChainScratch {
  float* where;  // [N, T, stride]

  DecodeScratch(void* scratch, const CrfSize& size)
      : ChainScratch(scratch, size),
        where(memory.take(size.batch * size.steps * stride_of(size.tags))) {}
};

enum class Counts { kYes, kIgnored, kInvalid };

/// Whether a sequence counts. `tags`: of this sequence, `batch` apart.
Counts counts(const CrfSize& size, const std::int32_t* tags, std::int64_t length) {
  if (length < 1 || length > size.steps) return Counts::kInvalid;
  Counts result = Counts::kYes;
  for (std::int64_t t = 0; t < length; ++t) {
    const std::int64_t tag = tags[t * size.batch];
    if (tag == -1) return Counts::kIgnored;
    if (tag < 0 || tag >= size.tags) result = Counts::kInvalid;
  }
  return result;
}

/// The sequences that justify another thread.
std::int64_t sequence_grain(const CrfSize& size) {
  return grain_of(size.steps * size.tags * size.tags / 16);
}

/// shift[j]: the maximum of column j, or 0 where the column excludes all.
void column_maxima(const CrfSize& size, const float* transitions, float* shift) {
  std::fill(shift, shift + size.tags, kMinusInfinity);
  for (std::int64_t i = 0; i < size.tags; ++i)
    row_kernels().accumulate_max(transitions + i * size.tags, shift, size.tags);
  std::replace(shift, shift + size.tags, kMinusInfinity, 0.0F);
  std::fill(shift + size.tags, shift + stride_of(size.tags), kMinusInfinity);
}

/// matrix[i, j] = e^(transitions[i, j] - shift[j]), and `padding` behind each row.
void exp_transitions(Device& device, const CrfSize& size, const float* transitions,
                     const ChainScratch& scratch) {
  const std::int64_t stride = stride_of(size.tags);
  device.pool.parallel_for(
      size.tags, grain_of(size.tags), [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) {
          float* const row = scratch.matrix + i * stride;
          chain_kernels().exp_row(transitions + i * size.tags, scratch.shift, row, size.tags);
          std::fill(row + size.tags, row + stride, 1.0F);
        }
      });
}

/// The same transposed, with zeros behind each row. `row`: [stride] of work memory.
void transposed_exp_transitions(const CrfSize& size, const float* transitions,
                                const ChainScratch& scratch, float* row) {
  const std::int64_t stride = stride_of(size.tags);
  for (std::int64_t i = 0; i < size.tags; ++i) {
    chain_kernels().exp_row(transitions + i * size.tags, scratch.shift, row, size.tags);
    for (std::int64_t j = 0; j < size.tags; ++j) scratch.matrix[j * stride + i] = row[j];
  }
  for (std::int64_t j = 0; j < size.tags; ++j)
    std::fill(scratch.matrix + j * stride + size.tags, scratch.matrix + (j + 1) * stride, 0.0F);
}

/// What start, scores, transitions and end give the tags, which are those of sequence n.
double score_of(const CrfLoss& a, std::int64_t n, std::int64_t length) {
  const CrfSize size = size_of_scores(a.scores);
  const std::int32_t* tags = a.tags.as<std::int32_t>() + n;
  const float* scores = a.scores.as<float>() + n * size.tags;
  double sum = double(a.weights.start_transitions.as<float>()[tags[0]]);
  for (std::int64_t t = 0; t < length; ++t) {
    const std::int64_t tag = tags[t * size.batch];
    sum += double(scores[t * size.batch * size.tags + tag]);
    if (t > 0)
      sum +=
          double(a.weights.transitions.as<float>()[tags[(t - 1) * size.batch] * size.tags + tag]);
  }
  return sum + double(a.weights.end_transitions.as<float>()[tags[(length - 1) * size.batch]]);
}

/// A [K] of sequence n at timestep 0.
float* sequence(const View& view, const CrfSize& size, std::int64_t n) {
  return view ? view.as<float>() + n * size.tags : nullptr;
}

ChainShape chain_shape(const CrfSize& size, const CrfWeightViews& weights, std::int64_t length) {
  return {size.tags, stride_of(size.tags), length, size.batch * size.tags,
          weights.transitions.as<float>()};
}

/// Fills the [K] of sequence n at timesteps [begin, T).
void fill_steps(const CrfSize& size, float* sequence, std::int64_t begin, float value) {
  for (std::int64_t t = begin; t < size.steps; ++t) {
    float* const row = sequence + t * size.batch * size.tags;
    std::fill(row, row + size.tags, value);
  }
}

/// Everything of sequence n but its part in sums over sequences.
void sequence_gradient(const CrfLossGradient& a, const CrfSize& size,
                       const GradientScratch& scratch, std::int64_t n) {
  const std::int32_t* tags = a.tags.as<std::int32_t>() + n;
  const std::int64_t length = a.lengths.as<std::int32_t>()[n], at = n * size.tags;
  const Counts kind = counts(size, tags, length);
  const bool counted = kind == Counts::kYes;
  const float rest = kind == Counts::kInvalid ? kNaN : 0.0F;
  const std::int64_t begin = counted ? length : 0;
  fill_steps(size, scratch.dscores + at, begin, rest);
  fill_steps(size, scratch.right + at, begin, rest);
  fill_steps(size, scratch.left + at, counted ? length - 1 : 0, 0);
  for (std::int64_t t = 0; t < size.steps; ++t) scratch.has_exact[t * size.batch + n] = 0;
  if (!counted) return;
  chain_kernels().backward({chain_shape(size, a.weights, length), sequence(a.alpha, size, n),
                            sequence(a.sums, size, n), a.weights.end_transitions.as<float>(),
                            scratch.matrix, tags, size.batch, a.dloss.as<float>()[n],
                            scratch.dscores + at, scratch.left + at, scratch.right + at,
                            scratch.exact + at, scratch.has_exact + n,
                            scratch.work + n * kWorkRows * stride_of(size.tags)});
}

/// Row i of the transitions' gradient, which holds the product of left and right: adds what columns
/// without a sum give.
void finish_pairs(const CrfLossGradient& a, const CrfSize& size, const GradientScratch& scratch,
                  std::int64_t i) {
  float* const row = a.dweights.transitions.as<float>() + i * size.tags;
  const float* const transitions = a.weights.transitions.as<float>() + i * size.tags;
  for (std::int64_t j = 0; j < size.tags; ++j)
    row[j] *= scratch.matrix[j * stride_of(size.tags) + i];
  for (std::int64_t k = size.batch; k < size.steps * size.batch; ++k)
    if (scratch.has_exact[k])
      chain_kernels().pair_gradients(
          {size.tags, a.alpha.as<float>()[(k - size.batch) * size.tags + i],
           a.dloss.as<float>()[k % size.batch], transitions, scratch.exact + k * size.tags, row});
}

void transition_gradient(Device& device, const CrfLossGradient& a, const CrfSize& size,
                         const GradientScratch& scratch) {
  const std::int64_t tags = size.tags, row = size.batch * tags;
  float* const sums = a.dweights.transitions.as<float>();
  // In float32 at every precision.
  gemm(device.pool, device.workspace,
       {tags, tags, std::max<std::int64_t>(0, size.steps - 1) * size.batch, scratch.left, tags,
        true, scratch.right + row, tags, false, sums, tags, false});
  device.pool.parallel_for(tags, grain_of(tags), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) finish_pairs(a, size, scratch, i);
  });
  const std::int32_t* ids = a.tags.as<std::int32_t>();
  for (std::int64_t n = 0; n < size.batch; ++n) {
    const std::int64_t length = a.lengths.as<std::int32_t>()[n];
    if (counts(size, ids + n, length) != Counts::kYes) continue;
    for (std::int64_t t = 1; t < length; ++t)
      sums[ids[(t - 1) * size.batch + n] * tags + ids[t * size.batch + n]] -=
          a.dloss.as<float>()[n];
  }
}

/// sum[j] = sum over sequences of dscores at their first or last timestep.
void edge_gradient(const CrfLossGradient& a, const CrfSize& size, const float* dscores, bool last) {
  float* const sum = (last ? a.dweights.end_transitions : a.dweights.start_transitions).as<float>();
  std::fill(sum, sum + size.tags, 0.0F);
  for (std::int64_t n = 0; n < size.batch && size.steps > 0; ++n) {
    const std::int64_t length = a.lengths.as<std::int32_t>()[n];
    const std::int64_t t = last ? std::clamp<std::int64_t>(length, 1, size.steps) - 1 : 0;
    row_kernels().accumulate(dscores + (t * size.batch + n) * size.tags, sum, size.tags);
  }
}

}  // namespace

std::size_t crf_scratch_bytes(CrfPass pass, const CrfSize& size) {
  switch (pass) {
    case CrfPass::kLoss:
      return ChainScratch(nullptr, size).memory.bytes();
    case CrfPass::kLossGradient:
      return GradientScratch(nullptr, size).memory.bytes();
    case CrfPass::kDecode:
      return DecodeScratch(nullptr, size).memory.bytes();
  }
  return 0;
}

void crf_loss(Device& device, const CrfLoss& a) {
  const CrfSize size = size_of_scores(a.scores);
  const ChainScratch scratch(a.scratch.data, size);
  const float* const transitions = a.weights.transitions.as<float>();
  column_maxima(size, transitions, scratch.shift);
  exp_transitions(device, size, transitions, scratch);
  device.pool.parallel_for(
      size.batch, sequence_grain(size), [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t n = begin; n < end; ++n) {
          const std::int64_t length = a.lengths.as<std::int32_t>()[n];
          const Counts kind = counts(size, a.tags.as<std::int32_t>() + n, length);
          float loss = kind == Counts::kInvalid ? kNaN : 0.0F;
          if (kind == Counts::kYes)
            loss = float(chain_kernels().forward(
                             {chain_shape(size, a.weights, length), sequence(a.scores, size, n),
                              a.weights.start_transitions.as<float>(),
                              a.weights.end_transitions.as<float>(), scratch.matrix, scratch.shift,
                              sequence(a.alpha, size, n), sequence(a.sums, size, n),
                              scratch.work + n * kWorkRows * stride_of(size.tags)}) -
                         score_of(a, n, length));
          if (a.loss) a.loss.as<float>()[n] = loss;
        }
      });
}

void crf_loss_gradient(Device& device, const CrfLossGradient& a) {
  const CrfSize size = size_of_scores(a.alpha);
  GradientScratch scratch(a.scratch.data, size);
  if (a.dscores) scratch.dscores = a.dscores.as<float>();
  const float* const transitions = a.weights.transitions.as<float>();
  column_maxima(size, transitions, scratch.shift);
  if (size.batch > 0) transposed_exp_transitions(size, transitions, scratch, scratch.work);
  device.pool.parallel_for(size.batch, sequence_grain(size),
                           [&](std::int64_t begin, std::int64_t end) {
                             for (std::int64_t n = begin; n < end; ++n)
                               sequence_gradient(a, size, scratch, n);
                           });
  if (a.dweights.transitions) transition_gradient(device, a, size, scratch);
  if (a.dweights.start_transitions) edge_gradient(a, size, scratch.dscores, false);
  if (a.dweights.end_transitions) edge_gradient(a, size, scratch.dscores, true);
}

void crf_decode(Device& device, const CrfDecode& a) {
  const CrfSize size = size_of_scores(a.scores);
  const DecodeScratch scratch(a.scratch.data, size);
  const std::int64_t stride = stride_of(size.tags);
  for (std::int64_t i = 0; i < size.tags; ++i) {
    float* const row = scratch.matrix + i * stride;
    std::memcpy(row, a.weights.transitions.as<float>() + i * size.tags,
                std::size_t(size.tags) * sizeof(float));
    std::fill(row + size.tags, row + stride, kMinusInfinity);
  }
  device.pool.parallel_for(
      size.batch, sequence_grain(size), [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t n = begin; n < end; ++n) {
          std::int32_t* const tags = a.tags.as<std::int32_t>() + n;
          const std::int64_t length = a.lengths.as<std::int32_t>()[n];
          const bool valid = length >= 1 && length <= size.steps;
          for (std::int64_t t = valid ? length : 0; t < size.steps; ++t) tags[t * size.batch] = -1;
          if (!valid) continue;
          chain_kernels().decode({chain_shape(size, a.weights, length), sequence(a.scores, size, n),
                                  a.weights.start_transitions.as<float>(),
                                  a.weights.end_transitions.as<float>(), scratch.matrix, tags,
                                  size.batch, scratch.where + n * size.steps * stride,
                                  scratch.work + n * kWorkRows * stride});
        }
      });
}

}  // namespace unroll::host
