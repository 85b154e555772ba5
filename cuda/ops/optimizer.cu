/// One optimiser step in three launches over all parameters: sums of squares of the gradients,
/// piece by piece; one block that adds them up and decides whether and how the step is applied; the
/// update. The tables of parameters are kernel arguments, so nothing is uploaded. The update holds
/// each new value in a register and writes it to the parameter and to its copy for the products.
#include "cuda/ops/optimizer.h"

#include <cub/block/block_reduce.cuh>

#include <cmath>
#include <cstdint>

#include "cuda/device/launch.h"
#include "cuda/device/memory_layout.h"
#include "cuda/device/variable_copies.h"
#include "cuda/kernels/block_sum.cuh"
#include "cuda/kernels/pack.cuh"
#include "cuda/ops/copy_target.cuh"

namespace unroll::gpu {
namespace {

constexpr int kThreads = 256;
constexpr int kDecideThreads = 1024;  // one block adds up all pieces: 16,000 of 1500 units
constexpr int kPiece = 4096;          // elements per block: 4 times 4 per thread
constexpr int kTableSize = 40;        // keeps a kernel's arguments below their limit of 4 KiB

/// Up to kTableSize tensors, cut into pieces; Entry::size is in elements.
template <typename Entry>
struct Table {
  int count = 0, pieces = 0;
  int first_piece[kTableSize];
  Entry entries[kTableSize];

  void add(const Entry& entry) {
    if (entry.size == 0) return;
    entries[count] = entry;
    first_piece[count++] = pieces;
    pieces += int((entry.size + kPiece - 1) / kPiece);
  }
  /// Adds an entry without pieces: the entry before it also handles this one.
  void add_second(const Entry& entry) {
    entries[count] = entry;
    first_piece[count++] = pieces;
  }
  bool has_room_for_two() const { return count + 2 <= kTableSize; }

  /// The entry to which a piece belongs.
  __device__ int entry_of(int piece) const {
    int low = 0, high = count - 1;
    while (low < high) {
      const int middle = (low + high + 1) / 2;
      if (first_piece[middle] <= piece)
        low = middle;
      else
        high = middle - 1;
    }
    return low;
  }
};

/// Calls visit<width>(i) for this thread's share of a piece: `width` elements from i on. The width
/// is 4 as long as `wide` and the piece allow it, then 1.
template <typename Visit>
__device__ void for_each_of_piece(int piece, std::int64_t size, bool wide, const Visit& visit) {
  const std::int64_t begin = std::int64_t(piece) * kPiece;
  const std::int64_t end = begin + kPiece < size ? begin + kPiece : size;
  const std::int64_t wide_end = wide ? begin + (end - begin) / 4 * 4 : begin;
  for (std::int64_t i = begin + 4 * threadIdx.x; i < wide_end; i += 4 * kThreads)
    visit.template operator()<4>(i);
  for (std::int64_t i = wide_end + threadIdx.x; i < end; i += kThreads)
    visit.template operator()<1>(i);
}

struct GradientEntry {
  const float* gradient;
  std::int64_t size;
  int parameter;  // its index in the whole list
  bool wide;
};

struct PieceNorm {
  double sum;  // of squares
  std::int64_t parameter;
};

__global__ __launch_bounds__(kThreads) void sum_of_squares_kernel(
    const __grid_constant__ Table<GradientEntry> table, PieceNorm* norms) {
  const int index = table.entry_of(int(blockIdx.x));
  const GradientEntry& entry = table.entries[index];
  float sum = 0;
  for_each_of_piece(int(blockIdx.x) - table.first_piece[index], entry.size, entry.wide,
                    [&]<int width>(std::int64_t i) {
                      const auto g = load<width>(entry.gradient + i);
#pragma unroll
                      for (int k = 0; k < width; ++k) sum = fmaf(g.v[k], g.v[k], sum);
                    });
  const double total = block_sum<kThreads>(double(sum));
  if (threadIdx.x == 0) norms[blockIdx.x] = {total, entry.parameter};
}

/// The facts about the step that only the device knows.
struct StepControl {
  bool apply;
  float learning_rate;
  float gradient_scale;            // from clipping by norm
  float correction1, correction2;  // Adam: 1 / (1 - beta1^t), 1 / (1 - beta2^t)
};

struct Decision {
  OptimizerSpec spec;
  LossGuardSpec guard;
  std::int64_t pieces;
  const PieceNorm* norms;  // [pieces]
  const float *loss, *learning_rate;
  StepCounters* counters;
  StepStatistics* statistics;
  StepControl* control;       // out
  const std::uint32_t* stop;  // of the device's GridWatch
};

/// The sum, and the last parameter whose own sum is not finite, or -1.
struct JointNorm {
  double sum;
  std::int64_t culprit;
};

struct AddNorms {
  __device__ JointNorm operator()(const JointNorm& a, const JointNorm& b) const {
    return {a.sum + b.sum, a.culprit > b.culprit ? a.culprit : b.culprit};
  }
};

__global__ __launch_bounds__(kDecideThreads) void decide_kernel(
    const __grid_constant__ Decision a) {
  using Reduce = cub::BlockReduce<JointNorm, kDecideThreads>;
  __shared__ typename Reduce::TempStorage storage;
  JointNorm joint{0, -1};
  for (std::int64_t k = threadIdx.x; k < a.pieces; k += kDecideThreads) {
    const PieceNorm& piece = a.norms[k];
    joint = AddNorms()(joint, {piece.sum, isfinite(piece.sum) ? -1 : piece.parameter});
  }
  joint = Reduce(storage).Reduce(joint, AddNorms());
  if (threadIdx.x > 0) return;
  if (*a.stop != 0) {  // the gradients come from an incomplete step
    *a.control = {};
    return;
  }
  const double norm = sqrt(joint.sum), clip = double(a.spec.clip_norm);
  StepControl control{};
  control.apply =
      math::guard_step(a.guard, {*a.loss, float(norm), joint.culprit}, *a.counters, *a.statistics);
  control.learning_rate = *a.learning_rate;
  control.gradient_scale = clip > 0 && norm > clip ? float(clip / norm) : 1.0F;
  const double t = double(a.counters->updates);
  control.correction1 = float(1 / (1 - pow(double(a.spec.beta1), t)));
  control.correction2 = float(1 / (1 - pow(double(a.spec.beta2), t)));
  *a.control = control;
}

/// The update of one element. `control` is computed on the device, `spec` is known from the start.
template <OptimizerKind kind>
struct Update {
  OptimizerSpec spec;
  StepControl control;

  __device__ void element(float g, float& p, float& slot0, float& slot1) const {
    const float lr = control.learning_rate;
    g *= control.gradient_scale;
    if (spec.clip_value > 0) g = fmaxf(fminf(g, spec.clip_value), -spec.clip_value);
    if (spec.weight_decay > 0 && kind != OptimizerKind::kAdamW) g = fmaf(spec.weight_decay, p, g);
    if constexpr (kind == OptimizerKind::kSgd) {
      p -= lr * g;
    } else if constexpr (kind == OptimizerKind::kMomentum) {
      slot0 = fmaf(spec.momentum, slot0, g);
      p -= lr * slot0;
    } else if constexpr (kind == OptimizerKind::kRmsProp) {
      slot0 = fmaf(spec.decay, slot0, (1 - spec.decay) * g * g);
      p -= lr * g / (sqrtf(slot0) + spec.epsilon);
    } else {
      slot0 = fmaf(spec.beta1, slot0, (1 - spec.beta1) * g);
      slot1 = fmaf(spec.beta2, slot1, (1 - spec.beta2) * g * g);
      const float step =
          slot0 * control.correction1 / (sqrtf(slot1 * control.correction2) + spec.epsilon);
      const float keep = kind == OptimizerKind::kAdamW ? 1 - lr * spec.weight_decay : 1.0F;
      p = p * keep - lr * step;
    }
  }

  /// Updates the elements from i on, given their gradients, and returns the new values. Slots may
  /// be null if the optimiser has none.
  template <int width>
  __device__ Pack<float, width> at(std::int64_t i, const Pack<float, width>& gradient,
                                   float* parameter, float* first, float* second) const {
    Pack<float, width> p = load<width>(parameter + i), slot0{}, slot1{};
    if constexpr (kSlots > 0) slot0 = load<width>(first + i);
    if constexpr (kSlots > 1) slot1 = load<width>(second + i);
#pragma unroll
    for (int k = 0; k < width; ++k) element(gradient.v[k], p.v[k], slot0.v[k], slot1.v[k]);
    store(parameter + i, p);
    if constexpr (kSlots > 0) store(first + i, slot0);
    if constexpr (kSlots > 1) store(second + i, slot1);
    return p;
  }

 private:
  static constexpr int kSlots =
      kind == OptimizerKind::kSgd                                           ? 0
      : kind == OptimizerKind::kMomentum || kind == OptimizerKind::kRmsProp ? 1
                                                                            : 2;
};

struct UpdateEntry {
  std::int64_t size;
  float* parameter;
  const float* gradient;
  float* slots[2];
  bool wide, sums = false;  // sums: biases that are copied together with those of the next entry
  // For a sparse gradient, else null: the row of `gradient` for each row of `parameter`, or -1.
  const std::int32_t* row_of = nullptr;
  std::int64_t columns = 0;
  CopyTarget copy{};

  template <int width>
  __device__ Pack<float, width> gradient_at(std::int64_t i) const {
    if (!row_of) return load<width>(gradient + i);
    const std::int64_t row = i / columns, from = row_of[row];
    if (from < 0) return {};
    return load<width>(gradient + from * columns + (i - row * columns));
  }
};
static_assert(sizeof(Table<UpdateEntry>) + sizeof(OptimizerSpec) + 16 <= 4096);

template <OptimizerKind kind>
__global__ __launch_bounds__(kThreads) void update_kernel(
    const __grid_constant__ Table<UpdateEntry> table, OptimizerSpec spec,
    const StepControl* control) {
  const Update<kind> update{spec, *control};
  if (!update.control.apply) return;
  const int index = table.entry_of(int(blockIdx.x));
  const UpdateEntry& e = table.entries[index];
  const int piece = int(blockIdx.x) - table.first_piece[index];
  const auto new_values = [&]<int width>(const UpdateEntry& of, std::int64_t i) {
    return update.at(i, of.gradient_at<width>(i), of.parameter, of.slots[0], of.slots[1]);
  };
  if (e.sums) {
    for_each_of_piece(piece, e.size, false, [&]<int width>(std::int64_t i) {
      const float ih = new_values.template operator()<1>(e, i).v[0];
      e.copy.write_sum(i, ih, new_values.template operator()<1>(table.entries[index + 1], i).v[0]);
    });
    return;
  }
  for_each_of_piece(piece, e.size, e.wide, [&]<int width>(std::int64_t i) {
    const auto values = new_values.template operator()<width>(e, i);
    if (e.copy.out) e.copy.write(i, values);
  });
}

/// Plain SGD does not change rows without gradient. One block per other row.
__global__ __launch_bounds__(kThreads) void update_rows_kernel(
    const std::int32_t* ids, const float* gradient, std::int64_t columns, bool wide,
    OptimizerSpec spec, const StepControl* control, float* parameter) {
  const Update<OptimizerKind::kSgd> update{spec, *control};
  const std::int64_t id = ids[blockIdx.x];
  if (!update.control.apply || id < 0) return;
  float* to = parameter + id * columns;
  const float* from = gradient + std::int64_t(blockIdx.x) * columns;
  const std::int64_t wide_end = wide ? columns : 0;
  for (std::int64_t i = 4 * threadIdx.x; i < wide_end; i += 4 * kThreads)
    update.at(i, load<4>(from + i), to, nullptr, nullptr);
  for (std::int64_t i = wide_end + threadIdx.x; i < columns; i += kThreads)
    update.at(i, load<1>(from + i), to, nullptr, nullptr);
}

__global__ __launch_bounds__(kThreads) void index_rows_kernel(const std::int32_t* ids,
                                                              std::int64_t count,
                                                              std::int32_t* row_of) {
  const std::int64_t k = std::int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (k < count && ids[k] >= 0) row_of[ids[k]] = std::int32_t(k);
}

struct Scratch {
  StepControl* control;
  PieceNorm* norms;      // [pieces]
  std::int32_t* row_of;  // for all sparse parameters, concatenated
  std::int64_t pieces, rows;
  std::size_t bytes;
};

Scratch layout(std::span<const ParameterUpdate> parameters, std::byte* memory) {
  Scratch s{};
  for (const ParameterUpdate& p : parameters) {
    s.pieces += (p.gradient.elements() + kPiece - 1) / kPiece;
    if (p.sparse) s.rows += p.parameter.shape[0];
  }
  MemoryLayout buffers;
  const auto place = [&](std::int64_t count, std::size_t size) {
    const std::size_t at = buffers.take(count, size);
    return memory ? memory + at : nullptr;
  };
  s.control = reinterpret_cast<StepControl*>(place(1, sizeof(StepControl)));
  s.norms = reinterpret_cast<PieceNorm*>(place(s.pieces, sizeof(PieceNorm)));
  s.row_of = reinterpret_cast<std::int32_t*>(place(s.rows, sizeof(std::int32_t)));
  s.bytes = buffers.bytes();
  return s;
}

/// Calls queue(table) for as many tables as needed; add(table, k) adds up to two entries.
template <typename Entry, typename Add, typename Queue>
void in_tables(std::size_t count, const Add& add, const Queue& queue) {
  Table<Entry> table;
  for (std::size_t k = 0; k < count; ++k) {
    add(table, k);
    if (table.has_room_for_two() && k + 1 < count) continue;
    if (table.count > 0) queue(table);
    table.count = table.pieces = 0;
  }
}

float* data_of(const View& view) {
  return view ? view.as<float>() : nullptr;
}

void sum_squares(Device& device, const ApplyGradients& args, PieceNorm* norms) {
  in_tables<GradientEntry>(
      args.parameters.size(),
      [&](Table<GradientEntry>& table, std::size_t k) {
        const View& gradient = args.parameters[k].gradient;
        table.add(
            {data_of(gradient), gradient.elements(), int(k), packs_of_four(data_of(gradient), 4)});
      },
      [&](const Table<GradientEntry>& table) {
        launch(device.stream(), unsigned(table.pieces), kThreads, sum_of_squares_kernel, table,
               norms);
        norms += table.pieces;
      });
}

void decide(Device& device, const ApplyGradients& args, const Scratch& scratch) {
  launch(device.stream(), 1, kDecideThreads, decide_kernel,
         Decision{args.spec, args.guard, scratch.pieces, scratch.norms, args.loss.as<float>(),
                  args.learning_rate.as<float>(),
                  reinterpret_cast<StepCounters*>(args.counters.as<std::int64_t>()),
                  reinterpret_cast<StepStatistics*>(args.statistics.as<float>()), scratch.control,
                  device.grid_watcher().watch().stop});
}

bool only_rows_with_gradient(const ApplyGradients& args, const ParameterUpdate& p) {
  return p.sparse && args.spec.kind == OptimizerKind::kSgd && args.spec.weight_decay == 0;
}

bool is_wide(const ParameterUpdate& p) {
  const std::int64_t columns = p.sparse ? p.parameter.shape[1] : 4;  // a dense gradient is one row
  bool wide = true;
  for (const View* view : {&p.parameter, &p.gradient, &p.slots[0], &p.slots[1]})
    wide = wide && packs_of_four(data_of(*view), columns);
  return wide;
}

void update_rows(Device& device, const ApplyGradients& args, const ParameterUpdate& p,
                 const StepControl* control) {
  if (p.gradient.elements() == 0) return;
  launch(device.stream(), unsigned(p.ids.elements()), kThreads, update_rows_kernel,
         p.ids.as<std::int32_t>(), p.gradient.as<float>(), p.parameter.shape[1], is_wide(p),
         args.spec, control, p.parameter.as<float>());
}

/// Fills row_of for a parameter in which every row changes.
void index_rows(Device& device, const ParameterUpdate& p, std::int32_t* row_of) {
  const std::int64_t rows = p.parameter.shape[0], count = p.ids.elements();
  UNROLL_CUDA_CHECK(
      cudaMemsetAsync(row_of, 0xFF, std::size_t(rows) * sizeof(*row_of), device.stream()));
  launch(device.stream(), blocks_for(count, kThreads), kThreads, index_rows_kernel,
         p.ids.as<std::int32_t>(), count, row_of);
}

UpdateEntry entry_of(const ParameterUpdate& p) {
  return {p.parameter.elements(),
          data_of(p.parameter),
          data_of(p.gradient),
          {data_of(p.slots[0]), data_of(p.slots[1])},
          is_wide(p)};
}

template <OptimizerKind kind>
void update_tables(Device& device, const ApplyGradients& args, const Scratch& scratch) {
  std::int32_t* row_of = scratch.row_of;
  const auto* const copies = static_cast<const WrittenCopies*>(args.copies);
  const auto add = [&](Table<UpdateEntry>& table, std::size_t k) {
    const ParameterUpdate& p = args.parameters[k];
    if (only_rows_with_gradient(args, p)) return update_rows(device, args, p, scratch.control);
    if (copies && copies->is_second(k)) return;
    UpdateEntry entry = entry_of(p);
    if (p.sparse) {
      index_rows(device, p, row_of);
      entry.row_of = row_of;
      entry.columns = p.parameter.shape[1];
      row_of += p.parameter.shape[0];
    }
    const MatrixCopy* const matrix = copies ? copies->matrix(k) : nullptr;
    if (matrix) entry.copy = target_of(*matrix);
    if (!copies || !copies->sum(k).copy) return table.add(entry);
    entry.sums = true;
    entry.copy = target_of(*copies->sum(k).copy);
    table.add(entry);
    table.add_second(entry_of(args.parameters[copies->sum(k).bias_hh]));
  };
  in_tables<UpdateEntry>(args.parameters.size(), add, [&](const Table<UpdateEntry>& table) {
    launch(device.stream(), unsigned(table.pieces), kThreads, update_kernel<kind>, table, args.spec,
           scratch.control);
  });
}

}  // namespace

std::size_t apply_gradients_scratch_bytes(const Device&,
                                          std::span<const ParameterUpdate> parameters) {
  return layout(parameters, nullptr).bytes;
}

void apply_gradients(Device& device, const ApplyGradients& args) {
  const Scratch scratch = layout(args.parameters, args.scratch.as<std::byte>());
  sum_squares(device, args, scratch.norms);
  decide(device, args, scratch);
  switch (args.spec.kind) {
    case OptimizerKind::kSgd:
      return update_tables<OptimizerKind::kSgd>(device, args, scratch);
    case OptimizerKind::kMomentum:
      return update_tables<OptimizerKind::kMomentum>(device, args, scratch);
    case OptimizerKind::kRmsProp:
      return update_tables<OptimizerKind::kRmsProp>(device, args, scratch);
    case OptimizerKind::kAdam:
      return update_tables<OptimizerKind::kAdam>(device, args, scratch);
    case OptimizerKind::kAdamW:
      return update_tables<OptimizerKind::kAdamW>(device, args, scratch);
  }
}

}  // namespace unroll::gpu
