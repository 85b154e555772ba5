/// The gate arithmetic of every cell: the formulas of include/unroll/cells on packets of
/// neighbouring units.
#include "host/cpu/kernels.h"
#include "host/cpu/packet.h"
#include "unroll/cells/gru.h"
#include "unroll/cells/lstm.h"
#include "unroll/cells/rnn.h"

namespace unroll::host::UNROLL_ISA {
namespace {

using cells::Activation;

/// Calls body(z, s) for every packet: z is the offset of its first gate, s that of its state.
template <typename Body>
UNROLL_INLINE void for_each_packet(const GateArgs& a, const Body& body) {
  for (std::int64_t row = 0; row < a.rows; ++row)
    for (std::int64_t u = 0; u < a.units; u += kPacketWidth)
      body(row * a.gate_row + u, row * a.state_row + u, u);
}

UNROLL_INLINE void add(float* p, Packet x) {
  store(p, load(p) + x);
}

template <Activation kind>
void rnn_forward(const GateArgs& a) {
  for_each_packet(a, [&](std::int64_t z, std::int64_t s, std::int64_t u) {
    store(a.h_out + s, cells::rnn_forward<kind>(load(a.gates + z) + load(a.bias + u)));
  });
}

template <Activation kind>
void rnn_backward(const GateArgs& a) {
  for_each_packet(a, [&](std::int64_t z, std::int64_t s, std::int64_t) {
    store(a.dgates + z, cells::rnn_backward<kind>(load(a.h + s), load(a.dh + s)));
  });
}

void lstm_forward(const GateArgs& a) {
  for_each_packet(a, [&](std::int64_t z, std::int64_t s, std::int64_t u) {
    const auto sum = [&](int gate) {
      return load(a.gates + z + gate * a.gate_stride) + load(a.bias + u + gate * a.gate_stride);
    };
    const auto y = cells::lstm_activate(cells::LstmGates<Packet>{sum(0), sum(1), sum(2), sum(3)});
    const auto state = cells::lstm_forward(y, load(a.c_prev + s));
    store(a.gates + z, y.i);
    store(a.gates + z + a.gate_stride, y.f);
    store(a.gates + z + 2 * a.gate_stride, y.g);
    store(a.gates + z + 3 * a.gate_stride, y.o);
    store(a.c + s, state.c);
    store(a.h_out + s, state.h);
  });
}

void lstm_backward(const GateArgs& a) {
  for_each_packet(a, [&](std::int64_t z, std::int64_t s, std::int64_t) {
    const auto gate = [&](int k) { return load(a.gates + z + k * a.gate_stride); };
    Packet dc = load(a.dc + s);
    const auto dz =
        cells::lstm_backward(cells::LstmGates<Packet>{gate(0), gate(1), gate(2), gate(3)},
                             load(a.c_prev + s), load(a.c + s), load(a.dh + s), dc);
    store(a.dc + s, dc);
    store(a.dgates + z, dz.i);
    store(a.dgates + z + a.gate_stride, dz.f);
    store(a.dgates + z + 2 * a.gate_stride, dz.g);
    store(a.dgates + z + 3 * a.gate_stride, dz.o);
  });
}

// Blocks for a GRU of the `after` form: q, r, z, n.

UNROLL_INLINE cells::GruGates<Packet> load_after(const float* gates, std::int64_t stride) {
  return {load(gates + stride), load(gates + 2 * stride), load(gates + 3 * stride), load(gates)};
}

UNROLL_INLINE void store_after(float* gates, std::int64_t stride,
                               const cells::GruGates<Packet>& y) {
  store(gates, y.q);
  store(gates + stride, y.r);
  store(gates + 2 * stride, y.z);
  store(gates + 3 * stride, y.n);
}

void gru_after_forward(const GateArgs& a) {
  for_each_packet(a, [&](std::int64_t z, std::int64_t s, std::int64_t u) {
    auto y = load_after(a.gates + z, a.gate_stride);
    const auto bias = load_after(a.bias + u, a.gate_stride);
    y = {y.r + bias.r, y.z + bias.z, y.n + bias.n, y.q + bias.q};
    store(a.h_out + s, cells::gru_after_forward(y, load(a.h_prev + s)));
    store_after(a.gates + z, a.gate_stride, y);
  });
}

void gru_after_backward(const GateArgs& a) {
  for_each_packet(a, [&](std::int64_t z, std::int64_t s, std::int64_t) {
    Packet dh_prev;
    const auto d = cells::gru_after_backward(load_after(a.gates + z, a.gate_stride),
                                             load(a.h_prev + s), load(a.dh + s), dh_prev);
    add(a.dh_prev + s, dh_prev);
    store_after(a.dgates + z, a.gate_stride, d);
  });
}

// Blocks for a GRU of the `before` form: r, z, n.

UNROLL_INLINE cells::GruGates<Packet> load_before(const float* gates, std::int64_t stride) {
  return {load(gates), load(gates + stride), load(gates + 2 * stride), Packet(0.0f)};
}

void gru_before_reset(const GateArgs& a) {
  for_each_packet(a, [&](std::int64_t z, std::int64_t s, std::int64_t u) {
    float* gates = a.gates + z;
    const float* bias = a.bias + u;
    cells::GruGates<Packet> y{load(gates) + load(bias),
                              load(gates + a.gate_stride) + load(bias + a.gate_stride),
                              Packet(0.0f), Packet(0.0f)};
    store(a.reset_h + s, cells::gru_before_reset(y, load(a.h_prev + s)));
    store(gates, y.r);
    store(gates + a.gate_stride, y.z);
  });
}

void gru_before_forward(const GateArgs& a) {
  for_each_packet(a, [&](std::int64_t z, std::int64_t s, std::int64_t u) {
    auto y = load_before(a.gates + z, a.gate_stride);
    y.n = y.n + load(a.bias + u + 2 * a.gate_stride);
    store(a.h_out + s, cells::gru_before_forward(y, load(a.h_prev + s)));
    store(a.gates + z + 2 * a.gate_stride, y.n);
  });
}

void gru_before_backward(const GateArgs& a) {
  for_each_packet(a, [&](std::int64_t z, std::int64_t s, std::int64_t) {
    cells::GruGates<Packet> d{};
    Packet dh_prev;
    cells::gru_mix_backward(load_before(a.gates + z, a.gate_stride), load(a.h_prev + s),
                            load(a.dh + s), d, dh_prev);
    add(a.dh_prev + s, dh_prev);
    store(a.dgates + z + a.gate_stride, d.z);
    store(a.dgates + z + 2 * a.gate_stride, d.n);
  });
}

void gru_before_reset_backward(const GateArgs& a) {
  for_each_packet(a, [&](std::int64_t z, std::int64_t s, std::int64_t) {
    Packet dh_prev = load(a.dh_prev + s);
    store(a.dgates + z, cells::gru_before_reset_backward(load(a.gates + z), load(a.h_prev + s),
                                                         load(a.dreset_h + s), dh_prev));
    store(a.dh_prev + s, dh_prev);
  });
}

}  // namespace

extern const GateKernels kGateKernels;
const GateKernels kGateKernels = {
    {rnn_forward<Activation::kTanh>, rnn_forward<Activation::kRelu>,
     rnn_forward<Activation::kLogistic>},
    {rnn_backward<Activation::kTanh>, rnn_backward<Activation::kRelu>,
     rnn_backward<Activation::kLogistic>},
    lstm_forward,
    lstm_backward,
    gru_after_forward,
    gru_after_backward,
    gru_before_reset,
    gru_before_forward,
    gru_before_backward,
    gru_before_reset_backward,
};

}  // namespace unroll::host::UNROLL_ISA
