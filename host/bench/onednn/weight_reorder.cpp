#include "host/bench/onednn/weight_reorder.h"

namespace unroll::benchmark {
namespace {

using dnnl::memory;

/// Reorders in both directions between `ours` and `theirs`.
dnnl::reorder between(const dnnl::engine& engine, const memory::desc& ours,
                      const memory::desc& theirs, WeightReorder::Way way) {
  const bool to = way == WeightReorder::Way::kToOnednn;
  return dnnl::reorder(
      dnnl::reorder::primitive_desc(engine, to ? ours : theirs, engine, to ? theirs : ours));
}

bool made_of_gates(const memory::desc& chosen, const memory::dims& one_gate) {
  try {
    static_cast<void>(chosen.submemory_desc(one_gate, {0, 0, 0, 0, 0}));
    return true;
  } catch (const dnnl::error&) {
    return false;
  }
}

}  // namespace

WeightReorder::WeightReorder(const dnnl::engine& engine, const WeightShape& shape,
                             const memory::desc& chosen, Way way)
    : way_(way) {
  const auto [layers, directions, input, hidden, gate_order] = shape;
  const std::int64_t gates = std::int64_t(gate_order.size()), size = input * hidden;
  const memory::dims one_gate{1, 1, input, 1, hidden};
  const auto f32 = memory::data_type::f32;
  memory::desc in_gates = chosen;
  if (!made_of_gates(chosen, one_gate)) {
    in_gates =
        memory::desc({layers, directions, input, gates, hidden}, f32, memory::format_tag::ldgoi);
    plain_.emplace(in_gates, engine);
    whole_ = memory(chosen, engine, nullptr);
    reorder_whole_ = between(engine, in_gates, chosen, way);
  }
  const memory::desc ours(one_gate, f32, memory::dims{size, size, 1, size, input});
  for (std::int64_t layer = 0; layer < layers; ++layer)
    for (std::int64_t direction = 0; direction < directions; ++direction)
      for (std::int64_t gate = 0; gate < gates; ++gate) {
        const memory::desc theirs =
            in_gates.submemory_desc(one_gate, {layer, direction, 0, gate, 0});
        gates_.push_back({.reorder = between(engine, ours, theirs, way),
                          .ours = memory(ours, engine, nullptr),
                          .theirs = memory(theirs, engine, nullptr),
                          .matrix = std::size_t(layer * directions + direction),
                          .offset = gate_order[std::size_t(gate)] * size});
      }
}

void WeightReorder::run(dnnl::stream& stream, void* theirs, std::span<float* const> ours) {
  const bool to = way_ == Way::kToOnednn;
  if (plain_) whole_.set_data_handle(theirs);
  if (plain_ && !to) reorder_whole_.execute(stream, whole_, *plain_);
  for (Gate& gate : gates_) {
    if (ours[gate.matrix] == nullptr) continue;
    gate.ours.set_data_handle(ours[gate.matrix] + gate.offset);
    gate.theirs.set_data_handle(plain_ ? plain_->get_data_handle() : theirs);
    gate.reorder.execute(stream, to ? gate.ours : gate.theirs, to ? gate.theirs : gate.ours);
  }
  if (plain_ && to) reorder_whole_.execute(stream, *plain_, whole_);
}

}  // namespace unroll::benchmark
