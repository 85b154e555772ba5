#include "cuda/recurrent/persistent.h"

#include <optional>
#include <stdexcept>
#include <string>

#include "cuda/device/launch.h"
#include "unroll/cells/table.h"

namespace unroll::gpu {
namespace {

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

/// Its directions at the same time, or else one after the other; without kernels.
std::optional<PersistentPass> divided(const Device& device, const RecurrentArgs& args, int layer,
                                      bool backward) {
  PersistentTask task = task_of(device, args, args.spec.units(layer), backward);
  for (task.cells = args.spec.directions; task.cells > 0; --task.cells)
    if (const auto shape = persistent_shape(task)) return PersistentPass{task.cells, *shape, {}};
  return std::nullopt;
}

/// For a layer whose weights do not fit.
std::string why_too_large(const Device& device, const RecurrentArgs& args, int layer,
                          const WhichPass& which) {
  const std::int64_t units = args.spec.units(layer);
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
  return "got " + std::to_string(units) + " hidden units, expected at most " +
         std::to_string(most * kPadding) + ", whose weights fit into shared memory at " +
         to_string(device.precision()) + " on " + std::to_string(device.processors()) +
         " multiprocessors";
}

}  // namespace

bool fits_persistent(const Device& device, const RecurrentArgs& args, bool backward) {
  for (int layer = 0; layer < args.spec.layers(); ++layer)
    if (!divided(device, args, layer, backward)) return false;
  return true;
}

PersistentPass persistent_pass(const Device& device, const RecurrentArgs& args, int layer,
                               const WhichPass& which) {
  auto pass = divided(device, args, layer, which.backward);
  if (!pass)
    throw Unsupported("RNN algorithm persistent: " + why_too_large(device, args, layer, which) +
                      "; use the algorithm stepwise");
  pass->kernels = kernels_of(device.precision(), args.spec);
  // All of it, because plans of other sizes use the same kernels.
  device.make_current();
  allow_shared_memory(pass->kernels.forward, device.shared_memory());
  allow_shared_memory(pass->kernels.backward, device.shared_memory());
  return *pass;
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
