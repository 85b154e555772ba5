#include "cuda/persistent.h"

#include <optional>
#include <stdexcept>
#include <string>

#include "cuda/launch.h"

namespace unroll::gpu {
namespace {

[[noreturn]] void refuse(const std::string& what) {
  throw Unsupported("recurrent algorithm persistent: " + what + "; use the algorithm stepwise");
}

PersistentProduct product_of(Precision precision) {
  switch (precision) {
    case Precision::kFp32:
      return PersistentProduct::kFp32;
    case Precision::kTf32:
      return PersistentProduct::kTf32;
    case Precision::kBf16:
      return PersistentProduct::kBf16;
  }
  throw std::invalid_argument("unknown precision");
}

PersistentKernels kernels_of(Precision precision, CellKind cell) {
  switch (precision) {
    case Precision::kFp32:
      return persistent_fp32_kernels(cell);
    case Precision::kTf32:
      return persistent_tf32_kernels(cell);
    case Precision::kBf16:
      return persistent_bf16_kernels(cell);
  }
  throw std::invalid_argument("unknown precision");
}

/// With so many cells at a time.
std::optional<PersistentLayer> layer_of(const Device& device, const RecurrentArgs& args,
                                        std::int64_t units, int cells) {
  const GateSlots slots(args.spec);
  const auto padded_units = std::int32_t(padded(units));
  PersistentTask task{.product = product_of(device.precision()),
                      .batch = std::int32_t(args.batch),
                      .padded = padded_units,
                      .rows_per_unit = slots.h_slots(),
                      .depth = padded_units,
                      .cells = cells,
                      .processors = device.processors(),
                      .shared_memory = device.shared_memory()};
  const auto forward = persistent_shape(task);
  if (!forward) return std::nullopt;
  if (!args.training) return PersistentLayer{cells, *forward, {}, {}};
  task.rows_per_unit = 1;
  task.depth = slots.h_slots() * padded_units;
  const auto backward = persistent_shape(task);
  if (!backward) return std::nullopt;
  return PersistentLayer{cells, *forward, *backward, {}};
}

}  // namespace

PersistentLayer persistent_layer(const Device& device, const RecurrentArgs& args, int layer) {
  const RecurrentSpec& spec = args.spec;
  if (spec.cell == CellKind::kGru && spec.reset == GruReset::kBefore)
    refuse("got gru with reset=before, expected reset=after, which takes one product a timestep");
  const std::int64_t units = spec.hidden[std::size_t(layer)];
  for (int cells = spec.directions; cells > 0; --cells)
    if (auto found = layer_of(device, args, units, cells)) {
      found->kernels = kernels_of(device.precision(), spec.cell);
      // As much as there is, for plans of other sizes use the same kernels.
      device.make_current();
      allow_shared_memory(found->kernels.forward, device.shared_memory());
      allow_shared_memory(found->kernels.backward, device.shared_memory());
      return *found;
    }
  // Fewer units never need more.
  std::int64_t most = 0, too_many = padded(units) / kPadding;
  while (too_many - most > 1) {
    const std::int64_t middle = (most + too_many) / 2;
    (layer_of(device, args, middle * kPadding, 1) ? most : too_many) = middle;
  }
  refuse("got " + std::to_string(units) + " hidden units, expected at most " +
         std::to_string(most * kPadding) + ", whose weights fit into shared memory at " +
         to_string(device.precision()) + " on " + std::to_string(device.processors()) +
         " multiprocessors");
}

void start_persistent(cudaStream_t stream, const PersistentLayer& layer,
                      const PersistentArgs<ForwardCell>& args) {
  launch_cooperative(stream, dim3(unsigned(args.shape.grid(args.cells))), kPersistentThreads,
                     args.shape.shared_bytes, layer.kernels.forward, args);
}

void start_persistent(cudaStream_t stream, const PersistentLayer& layer,
                      const PersistentArgs<BackwardCell>& args) {
  launch_cooperative(stream, dim3(unsigned(args.shape.grid(args.cells))), kPersistentThreads,
                     args.shape.shared_bytes, layer.kernels.backward, args);
}

}  // namespace unroll::gpu
