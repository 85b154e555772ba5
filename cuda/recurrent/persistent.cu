#include "cuda/recurrent/persistent.h"

#include <stdexcept>
#include <string>

#include "cuda/device/launch.h"
#include "unroll/cells/table.h"

namespace unroll::gpu {
namespace {

[[noreturn]] void refuse(const std::string& what) {
  throw Unsupported("recurrent algorithm persistent: " + what + "; use the algorithm stepwise");
}

PersistentKernels kernels_of(Precision precision, const RecurrentSpec& spec) {
  switch (precision) {
    case Precision::kFp32:
      return persistent_fp32_kernels(spec);
    case Precision::kTf32:
      return persistent_tf32_kernels(spec);
    case Precision::kBf16:
      return persistent_bf16_kernels(spec);
  }
  throw std::invalid_argument("unknown precision");
}

/// A persistent kernel computes one product a timestep, and it is compiled only for the usual
/// cells.
void check_cell(const RecurrentSpec& spec) {
  if (cells::program_of(spec).has_reset())
    refuse("got gru with reset=before, expected reset=after, which takes one product a timestep");
  if (spec.layer_norm) refuse("got lstm with layer norm, expected one without");
  if (spec.input_gate != InputGate::kSeparate)
    refuse(std::string("got lstm with a ") +
           (spec.input_gate == InputGate::kCoupled ? "coupled" : "capped") +
           " input gate, expected a separate one");
  if (spec.projection > 0) refuse("got lstm with a projection, expected one without");
}

/// The task for one cell at a time of a layer with this many units.
PersistentTask task_of(const Device& device, const RecurrentArgs& args, std::int64_t units,
                       bool backward) {
  const int slots = cells::program_of(args.spec).h_slots();
  const auto padded_units = std::int32_t(padded(units));
  return {.precision = device.precision(),
          .batch = std::int32_t(args.batch),
          .padded = padded_units,
          .rows_per_unit = backward ? 1 : slots,
          .depth = backward ? slots * padded_units : padded_units,
          .cells = 1,
          .processors = device.processors(),
          .shared_memory = device.shared_memory()};
}

}  // namespace

PersistentPass persistent_pass(const Device& device, const RecurrentArgs& args, int layer,
                               const WhichPass& which) {
  const RecurrentSpec& spec = args.spec;
  check_cell(spec);
  const std::int64_t units = spec.units(layer);
  PersistentTask task = task_of(device, args, units, which.backward);
  for (task.cells = spec.directions; task.cells > 0; --task.cells)
    if (const auto shape = persistent_shape(task)) {
      const PersistentKernels kernels = kernels_of(device.precision(), spec);
      // All of it, because plans of other sizes use the same kernels.
      device.make_current();
      allow_shared_memory(kernels.forward, device.shared_memory());
      allow_shared_memory(kernels.backward, device.shared_memory());
      return {task.cells, *shape, kernels};
    }
  const auto fit = [&](std::int64_t count) {
    const auto fit_in = [&](bool backward) {
      return persistent_shape(task_of(device, args, count, backward)).has_value();
    };
    return fit_in(which.backward) && (!which.and_other || fit_in(!which.backward));
  };
  // Smaller layers never need more.
  std::int64_t most = 0, too_many = padded(units) / kPadding;
  while (too_many - most > 1) {
    const std::int64_t middle = (most + too_many) / 2;
    (fit(middle * kPadding) ? most : too_many) = middle;
  }
  refuse("got " + std::to_string(units) + " hidden units, expected at most " +
         std::to_string(most * kPadding) + ", whose weights fit into shared memory at " +
         to_string(device.precision()) + " on " + std::to_string(device.processors()) +
         " multiprocessors");
}

void start_persistent(cudaStream_t stream, const PersistentKernels& kernels,
                      const PersistentArgs<ForwardCell>& args) {
  launch_cooperative(stream, dim3(unsigned(args.shape.grid(args.cells))), kPersistentThreads,
                     args.shape.shared_bytes, kernels.forward, args);
}

void start_persistent(cudaStream_t stream, const PersistentKernels& kernels,
                      const PersistentArgs<BackwardCell>& args) {
  launch_cooperative(stream, dim3(unsigned(args.shape.grid(args.cells))), kPersistentThreads,
                     args.shape.shared_bytes, kernels.backward, args);
}

}  // namespace unroll::gpu
