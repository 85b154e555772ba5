/// One optimiser step: the joint norm of all gradients, then clipping and update in one pass. Norms
/// are added up over fixed pieces of kPiece elements, so the result does not depend on the threads.
#include "host/cpu/optimizer.h"

#include <algorithm>
#include <cmath>

#include "host/cpu/kernels.h"

namespace unroll::host {
namespace {

constexpr std::int64_t kPiece = 4096;

std::int64_t pieces_of(const View& gradient) {
  return (gradient.elements() + kPiece - 1) / kPiece;
}

/// For one sparse gradient: the row of the gradient for each row of the parameter, or -1.
std::int64_t rows_to_index(std::span<const ParameterUpdate> parameters) {
  std::int64_t rows = 0;
  for (const ParameterUpdate& p : parameters)
    if (p.sparse) rows = std::max(rows, p.parameter.shape[0]);
  return rows;
}

struct JointNorm {
  double norm = 0;
  std::int64_t culprit = -1;  // the last gradient whose own norm is not finite
};

JointNorm joint_norm(Device& device, const ApplyGradients& args, double* sums) {
  JointNorm result;
  double total = 0;
  for (std::size_t index = 0; index < args.parameters.size(); ++index) {
    const ParameterUpdate& p = args.parameters[index];
    // Rows past the last id are zero and add nothing.
    const std::int64_t pieces = pieces_of(p.gradient), size = p.gradient.elements();
    const float* gradient = p.gradient.as<float>();
    device.pool.parallel_for(pieces, 4, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t k = begin; k < end; ++k)
        sums[k] = double(optimizer_kernels().sum_of_squares(gradient + k * kPiece,
                                                            std::min(kPiece, size - k * kPiece)));
    });
    double sum = 0;
    for (std::int64_t k = 0; k < pieces; ++k) sum += sums[k];
    if (!std::isfinite(sum)) result.culprit = std::int64_t(index);
    total += sum;
  }
  result.norm = std::sqrt(total);
  return result;
}

UpdateArgs update_args(const ApplyGradients& args, double norm, std::int64_t step) {
  const OptimizerSpec& spec = args.spec;
  const bool clips = spec.clip_norm > 0 && norm > double(spec.clip_norm);
  return {spec.kind,
          *args.learning_rate.as<float>(),
          clips ? float(double(spec.clip_norm) / norm) : 1.0F,
          spec.clip_value,
          spec.weight_decay,
          spec.momentum,
          spec.decay,
          spec.beta1,
          spec.beta2,
          spec.epsilon,
          float(1 / (1 - std::pow(double(spec.beta1), double(step)))),
          float(1 / (1 - std::pow(double(spec.beta2), double(step))))};
}

float* slot(const ParameterUpdate& p, int index) {
  return p.slots[index] ? p.slots[index].as<float>() : nullptr;
}

void update_dense(Device& device, const UpdateArgs& update, const ParameterUpdate& p) {
  const std::int64_t size = p.parameter.elements();
  device.pool.parallel_for(
      (size + kPiece - 1) / kPiece, 2, [&](std::int64_t begin, std::int64_t end) {
        const std::int64_t at = begin * kPiece, n = std::min(end * kPiece, size) - at;
        float *s0 = slot(p, 0), *s1 = slot(p, 1);
        optimizer_kernels().update(update, n, p.parameter.as<float>() + at,
                                   p.gradient.as<float>() + at, s0 ? s0 + at : nullptr,
                                   s1 ? s1 + at : nullptr);
      });
}

/// The same result as with a dense gradient. Plain SGD does not change rows without gradient, so
/// only the others are visited.
void update_sparse(Device& device, const UpdateArgs& update, const ParameterUpdate& p,
                   std::int32_t* row_of) {
  const std::int64_t table = p.parameter.shape[0], columns = p.parameter.shape[1];
  const std::int32_t* ids = p.ids.as<std::int32_t>();
  const std::int64_t count = std::find(ids, ids + p.ids.elements(), std::int32_t(-1)) - ids;
  const auto update_row = [&](std::int64_t id, const float* gradient) {
    float *s0 = slot(p, 0), *s1 = slot(p, 1);
    optimizer_kernels().update(update, columns, p.parameter.as<float>() + id * columns, gradient,
                               s0 ? s0 + id * columns : nullptr, s1 ? s1 + id * columns : nullptr);
  };
  const float* gradient = p.gradient.as<float>();
  if (update.kind == OptimizerKind::kSgd && update.weight_decay == 0) {
    device.pool.parallel_for(count, 16, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t k = begin; k < end; ++k) update_row(ids[k], gradient + k * columns);
    });
    return;
  }
  std::fill(row_of, row_of + table, -1);
  for (std::int64_t k = 0; k < count; ++k) row_of[ids[k]] = std::int32_t(k);
  device.pool.parallel_for(table, 64, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t id = begin; id < end; ++id)
      update_row(id, row_of[id] < 0 ? nullptr : gradient + row_of[id] * columns);
  });
}

}  // namespace

std::size_t apply_gradients_scratch_bytes(std::span<const ParameterUpdate> parameters) {
  std::int64_t pieces = 0;
  for (const ParameterUpdate& p : parameters) pieces = std::max(pieces, pieces_of(p.gradient));
  return std::size_t(pieces) * sizeof(double) +
         std::size_t(rows_to_index(parameters)) * sizeof(std::int32_t);
}

void apply_gradients(Device& device, const ApplyGradients& args) {
  auto* rows = reinterpret_cast<std::int32_t*>(args.scratch.as<std::byte>() + args.scratch.bytes() -
                                               std::size_t(rows_to_index(args.parameters)) *
                                                   sizeof(std::int32_t));
  const JointNorm joint =
      joint_norm(device, args, reinterpret_cast<double*>(args.scratch.as<std::byte>()));
  auto& counters = *static_cast<StepCounters*>(args.counters.data);
  auto& statistics = *static_cast<StepStatistics*>(args.statistics.data);
  if (!math::guard_step(args.guard, {*args.loss.as<float>(), float(joint.norm), joint.culprit},
                        counters, statistics))
    return;
  const UpdateArgs update = update_args(args, joint.norm, counters.updates);
  for (const ParameterUpdate& p : args.parameters) {
    if (p.sparse)
      update_sparse(device, update, p, rows);
    else
      update_dense(device, update, p);
  }
}

}  // namespace unroll::host
