/// The gate arithmetic of every cell: the formulas of include/unroll/cells on packets of
/// neighbouring units.
#include "host/cpu/kernels.h"
#include "host/cpu/packet.h"
#include "unroll/cells/table.h"

namespace unroll::host::UNROLL_ISA {
namespace {

/// Calls body(z, s, u) for every packet: z is the offset of its first slot, s that of its state, u
/// that of its unit.
template <typename Body>
UNROLL_INLINE void for_each_packet(const GateArgs& a, const Body& body) {
  for (std::int64_t row = 0; row < a.rows; ++row)
    for (std::int64_t u = 0; u < a.units; u += kPacketWidth)
      body(row * a.gate_row + u, row * a.gate_stride + u, u);
}

UNROLL_INLINE void add(float* p, Packet x) {
  store(p, load(p) + x);
}

template <typename Cell, int phase>
void forward(const GateArgs& a) {
  constexpr cells::CellProgram kProgram = Cell::kProgram;
  constexpr cells::Phase kPhase = kProgram.phases[phase];
  for_each_packet(a, [&](std::int64_t z, std::int64_t s, std::int64_t u) {
    cells::ForwardUnit<Packet, kProgram.slots> unit{};
    for (int k = 0; k < kPhase.active; ++k) {
      unit.gate[k] = load(a.gates + z + k * a.gate_stride);
      if (k >= kPhase.first) unit.gate[k] += load(a.bias + u + k * a.gate_stride);
    }
    if constexpr (kProgram.reads_state) unit.prev = load(a.prev + s);
    Cell::template forward<phase>(unit);
    for (int k = kPhase.first; k < kPhase.active; ++k)
      store(a.gates + z + k * a.gate_stride, unit.gate[k]);
    if constexpr (kProgram.has_c) store(a.state + s, unit.state);
    store(a.result + s, unit.result);
  });
}

template <typename Cell, int phase>
void backward(const GateArgs& a) {
  constexpr cells::CellProgram kProgram = Cell::kProgram;
  constexpr cells::Phase kPhase = kProgram.phases[phase];
  constexpr bool kIsLast = phase + 1 == kProgram.phase_count;
  for_each_packet(a, [&](std::int64_t z, std::int64_t s, std::int64_t) {
    cells::BackwardUnit<Packet, kProgram.slots> unit{};
    for (int k = 0; k < kProgram.slots; ++k) unit.gate[k] = load(a.gates + z + k * a.gate_stride);
    if constexpr (kProgram.reads_state) unit.prev = load(a.prev + s);
    if constexpr (kProgram.has_c) {
      unit.state = load(a.state + s);
      unit.dc = load(a.dc + s);
    }
    unit.dh = load((kIsLast ? a.dh : a.dh_prev) + s);
    if constexpr (!kIsLast) unit.dreset = load(a.dreset + s);
    Cell::template backward<phase>(unit);
    for (int k = kPhase.gradient; k < kPhase.gradient_end; ++k)
      store(a.dgates + z + k * a.gate_stride, unit.gate[k]);
    if constexpr (kProgram.has_c) store(a.dc + s, unit.dc);
    if constexpr (!kIsLast)
      store(a.dh_prev + s, unit.dh);
    else if constexpr (kProgram.has_direct)
      add(a.dh_prev + s, unit.dh);
  });
}

/// Layer norm: from n(R h) and n(W x) to the gates and c.
template <typename Cell>
void forward_to_c(const GateArgs& a) {
  constexpr int kGates = Cell::kGates;
  for_each_packet(a, [&](std::int64_t z, std::int64_t s, std::int64_t u) {
    const auto at = [&](const float* p, int slot) { return load(p + slot * a.gate_stride); };
    Packet gate[kGates];
    for (int k = 0; k < kGates; ++k) {
      const Packet rh = at(a.gates + z, k) * at(a.gains + u, k);
      const Packet wx = at(a.gates + z, Cell::kX + k) * at(a.gains + u, Cell::kX + k);
      gate[k] = wx + rh + at(a.bias + u, Cell::kZ + k);
    }
    Cell::Gates::activate(gate);
    const Packet c = Cell::Gates::next_state(gate, load(a.prev + s));
    for (int k = 0; k < kGates; ++k) store(a.gates + z + (Cell::kZ + k) * a.gate_stride, gate[k]);
    store(a.state + s, c);
    store(a.c_normal + s, c);
  });
}

/// n(c) times its gain, plus its bias.
template <typename Cell>
UNROLL_INLINE Packet scaled_c(const GateArgs& a, std::int64_t s, std::int64_t u) {
  const float* const gain = a.gains + 2 * Cell::kGates * a.gate_stride + u;
  return load(a.c_normal + s) * load(gain) + load(gain + a.gate_stride);
}

/// Layer norm: from n(c) to h.
template <typename Cell>
void forward_from_c(const GateArgs& a) {
  for_each_packet(a, [&](std::int64_t z, std::int64_t s, std::int64_t u) {
    const Packet o = load(a.gates + z + (Cell::kZ + Cell::Gates::kO) * a.gate_stride);
    store(a.result + s, Cell::output(o, scaled_c<Cell>(a, s, u)));
  });
}

/// Layer norm: from the gradient of h to those of o's sum and of n(c).
template <typename Cell>
void backward_to_c(const GateArgs& a) {
  const float* const gain = a.gains + 2 * Cell::kGates * a.gate_stride;
  for_each_packet(a, [&](std::int64_t z, std::int64_t s, std::int64_t u) {
    const std::int64_t slot = z + (Cell::kZ + Cell::Gates::kO) * a.gate_stride;
    Packet o = load(a.gates + slot);
    const Packet d = Cell::output_backward(o, scaled_c<Cell>(a, s, u), load(a.dh + s));
    store(a.dgates + slot, o);
    store(a.dc_scaled + s, d);
    store(a.dc_normal + s, d * load(gain + u));
  });
}

/// Layer norm: from the gradient of c to those of the other gates' sums, and of n(W x) and n(R h).
template <typename Cell>
void backward_from_c(const GateArgs& a) {
  constexpr int kGates = Cell::kGates, kO = Cell::Gates::kO;
  for_each_packet(a, [&](std::int64_t z, std::int64_t s, std::int64_t u) {
    Packet gate[kGates];
    for (int k = 0; k < kGates; ++k)
      gate[k] = load((k == kO ? a.dgates : a.gates) + z + (Cell::kZ + k) * a.gate_stride);
    Packet dc = load(a.dc + s) + load(a.dc_normal + s);
    Cell::Gates::state_backward(gate, load(a.prev + s), dc);
    store(a.dc + s, dc);
    for (int k = 0; k < kGates; ++k) {
      float* const d = a.dgates + z + k * a.gate_stride;
      const float* const gain = a.gains + u + k * a.gate_stride;
      const std::int64_t to_x = Cell::kX * a.gate_stride;
      store(d, gate[k] * load(gain));
      store(d + to_x, gate[k] * load(gain + to_x));
      if (k != kO) store(d + Cell::kZ * a.gate_stride, gate[k]);
    }
  });
}

template <typename Cell>
GateKernels kernels_of() {
  if constexpr (Cell::kProgram.is_normalised)
    return {{forward_to_c<Cell>, forward_from_c<Cell>},
            {backward_from_c<Cell>, backward_to_c<Cell>}};
  else if constexpr (Cell::kProgram.phase_count == 2)
    return {{forward<Cell, 0>, forward<Cell, 1>}, {backward<Cell, 0>, backward<Cell, 1>}};
  else
    return {{forward<Cell, 0>, nullptr}, {backward<Cell, 0>, nullptr}};
}

GateKernels find(const RecurrentSpec& spec) {
  return cells::visit_cell(spec, []<typename Cell>(Cell) { return kernels_of<Cell>(); });
}

}  // namespace

extern const GateKernelTable kGateKernels;
const GateKernelTable kGateKernels = {find};

}  // namespace unroll::host::UNROLL_ISA
