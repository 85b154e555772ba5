#include "cuda/gates.h"

#include <stdexcept>

#include "cuda/launch.h"
#include "cuda/pack.cuh"
#include "unroll/cells/gru.h"
#include "unroll/cells/lstm.h"
#include "unroll/cells/philox.h"
#include "unroll/cells/rnn.h"

namespace unroll::gpu {
namespace {

using cells::Activation;

constexpr int kThreads = 128;

/// Neighbouring units, which a thread works on.
using Four = Pack<float, 4>;

/// The first `count` of four from any place, zeros for the rest.
__device__ __forceinline__ Four load_first(const float* from, int count) {
  Four x{};
#pragma unroll
  for (int k = 0; k < 4; ++k)
    if (k < count) x.v[k] = from[k];
  return x;
}

__device__ __forceinline__ void store_first(float* to, const Four& x, int count) {
#pragma unroll
  for (int k = 0; k < 4; ++k)
    if (k < count) to[k] = x.v[k];
}

/// Dropout of four elements from logical index `index` on, which need not begin a Philox block.
__device__ __forceinline__ Four drop(const Four& x, std::uint64_t key, std::uint64_t step,
                                     std::uint64_t index, float rate) {
  const std::uint32_t threshold = cells::dropout_threshold(rate);
  const float scale = 1 / (1 - rate);
  const cells::PhiloxBlock bits = cells::philox(key, step, index / 4);
  const int offset = int(index % 4);
  const cells::PhiloxBlock more = offset == 0 ? bits : cells::philox(key, step, index / 4 + 1);
  Four y;
#pragma unroll
  for (int k = 0; k < 4; ++k) {
    // Not word[offset + k]: an index that is not known puts the words into slow memory.
    std::uint32_t word = 0;
#pragma unroll
    for (int w = 0; w < 8; ++w)
      if (w == offset + k) word = w < 4 ? bits.word[w] : more.word[w - 4];
    y.v[k] = word >= threshold ? x.v[k] * scale : 0;
  }
  return y;
}

/// The pre-activations of four units in one slot.
__device__ __forceinline__ Four with_bias(const float* gates, const float* bias, int slot,
                                          int padded) {
  Four x = load_floats<4>(gates + slot * padded);
  const Four b = load_floats<4>(bias + slot * padded);
#pragma unroll
  for (int k = 0; k < 4; ++k) x.v[k] += b.v[k];
  return x;
}

/// What a cell makes of its pre-activations for four units. Each has
///   kSlots, kHasState
///   forward():  loads, computes h and the state, stores the activated gates if training
///   backward(): from dh (and dc) stores the gradients of the pre-activations; returns what reaches
///               h_{t-1} past the products
template <Activation kind>
struct ElmanStep {
  static constexpr int kSlots = 1;
  static constexpr bool kHasState = false;

  static __device__ __forceinline__ Four forward(float* gates, const float* bias, int padded,
                                                 const Four&, Four&, bool training) {
    Four h = with_bias(gates, bias, 0, padded);
#pragma unroll
    for (int k = 0; k < 4; ++k) h.v[k] = cells::rnn_forward<kind>(h.v[k]);
    if (training) store(gates, h);
    return h;
  }

  template <typename E>
  static __device__ __forceinline__ Four backward(const float* gates, const Four&, const Four&,
                                                  const Four& dh, Four&, E* dgates, int) {
    const Four h = load_floats<4>(gates);
    Four d;
#pragma unroll
    for (int k = 0; k < 4; ++k) d.v[k] = cells::rnn_backward<kind>(h.v[k], dh.v[k]);
    store_rounded(dgates, d);
    return {};
  }
};

struct LstmStep {
  static constexpr int kSlots = 4;
  static constexpr bool kHasState = true;

  static __device__ __forceinline__ Four forward(float* gates, const float* bias, int padded,
                                                 const Four& c_prev, Four& c, bool training) {
    Four x[4], h;
#pragma unroll
    for (int s = 0; s < 4; ++s) x[s] = with_bias(gates, bias, s, padded);
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      const auto y =
          cells::lstm_activate(cells::LstmGates<float>{x[0].v[k], x[1].v[k], x[2].v[k], x[3].v[k]});
      const auto state = cells::lstm_forward(y, c_prev.v[k]);
      x[0].v[k] = y.i;
      x[1].v[k] = y.f;
      x[2].v[k] = y.g;
      x[3].v[k] = y.o;
      h.v[k] = state.h;
      c.v[k] = state.c;
    }
    if (training)
#pragma unroll
      for (int s = 0; s < 4; ++s) store(gates + s * padded, x[s]);
    return h;
  }

  template <typename E>
  static __device__ __forceinline__ Four backward(const float* gates, const Four& c_prev,
                                                  const Four& c, const Four& dh, Four& dc,
                                                  E* dgates, int padded) {
    Four y[4];
#pragma unroll
    for (int s = 0; s < 4; ++s) y[s] = load_floats<4>(gates + s * padded);
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      const auto d =
          cells::lstm_backward(cells::LstmGates<float>{y[0].v[k], y[1].v[k], y[2].v[k], y[3].v[k]},
                               c_prev.v[k], c.v[k], dh.v[k], dc.v[k]);
      y[0].v[k] = d.i;
      y[1].v[k] = d.f;
      y[2].v[k] = d.g;
      y[3].v[k] = d.o;
    }
#pragma unroll
    for (int s = 0; s < 4; ++s) store_rounded(dgates + s * padded, y[s]);
    return {};
  }
};

struct GruAfterStep {
  static constexpr int kSlots = 4;  // q, r, z, n
  static constexpr bool kHasState = true;

  static __device__ __forceinline__ Four forward(float* gates, const float* bias, int padded,
                                                 const Four& h_prev, Four& state, bool training) {
    Four x[4];
#pragma unroll
    for (int s = 0; s < 4; ++s) x[s] = with_bias(gates, bias, s, padded);
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      cells::GruGates<float> y{x[1].v[k], x[2].v[k], x[3].v[k], x[0].v[k]};
      state.v[k] = cells::gru_after_forward(y, h_prev.v[k]);
      x[1].v[k] = y.r;
      x[2].v[k] = y.z;
      x[3].v[k] = y.n;
    }
    if (training)
#pragma unroll
      for (int s = 0; s < 4; ++s) store(gates + s * padded, x[s]);
    return state;
  }

  template <typename E>
  static __device__ __forceinline__ Four backward(const float* gates, const Four& h_prev,
                                                  const Four&, const Four& dh, Four&, E* dgates,
                                                  int padded) {
    Four y[4], dh_prev;
#pragma unroll
    for (int s = 0; s < 4; ++s) y[s] = load_floats<4>(gates + s * padded);
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      const auto d = cells::gru_after_backward(
          cells::GruGates<float>{y[1].v[k], y[2].v[k], y[3].v[k], y[0].v[k]}, h_prev.v[k], dh.v[k],
          dh_prev.v[k]);
      y[0].v[k] = d.q;
      y[1].v[k] = d.r;
      y[2].v[k] = d.z;
      y[3].v[k] = d.n;
    }
#pragma unroll
    for (int s = 0; s < 4; ++s) store_rounded(dgates + s * padded, y[s]);
    return dh_prev;
  }
};

/// After the second product; r and z are activated already. Backward before the first.
struct GruBeforeMix {
  static constexpr int kSlots = 3;  // r, z, n
  static constexpr bool kHasState = true;

  static __device__ __forceinline__ Four forward(float* gates, const float* bias, int padded,
                                                 const Four& h_prev, Four& state, bool training) {
    Four n = with_bias(gates, bias, 2, padded);
    const Four z = load_floats<4>(gates + padded);
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      cells::GruGates<float> y{0, z.v[k], n.v[k], 0};
      state.v[k] = cells::gru_before_forward(y, h_prev.v[k]);
      n.v[k] = y.n;
    }
    if (training) store(gates + 2 * padded, n);
    return state;
  }

  template <typename E>
  static __device__ __forceinline__ Four backward(const float* gates, const Four& h_prev,
                                                  const Four&, const Four& dh, Four&, E* dgates,
                                                  int padded) {
    const Four z = load_floats<4>(gates + padded), n = load_floats<4>(gates + 2 * padded);
    Four dz, dn, dh_prev;
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      cells::GruGates<float> d{};
      cells::gru_mix_backward(cells::GruGates<float>{0, z.v[k], n.v[k], 0}, h_prev.v[k], dh.v[k], d,
                              dh_prev.v[k]);
      dz.v[k] = d.z;
      dn.v[k] = d.n;
    }
    store_rounded(dgates + padded, dz);
    store_rounded(dgates + 2 * padded, dn);
    return dh_prev;
  }
};

/// Four neighbouring units of one sequence: what a thread works on.
struct Place {
  int row, unit;
  std::int64_t at;  // of the units in an [N, Hp] tensor

  template <typename Cell>
  __device__ __forceinline__ explicit Place(const GateArgs<Cell>& args) {
    const int quads = args.padded / 4, item = int(blockIdx.x) * kThreads + int(threadIdx.x);
    row = item / quads;
    unit = item % quads * 4;
    at = std::int64_t(row) * args.padded + unit;
  }
};

template <typename Cell>
__device__ __forceinline__ bool is_live(const GateArgs<Cell>& args, const Cell& cell, int row) {
  return !args.lengths || cell.t < args.lengths[row];
}

template <typename Step, typename E>
__global__ void __launch_bounds__(kThreads)
    forward_kernel(const __grid_constant__ GateArgs<ForwardCell> args) {
  const Place place(args);
  if (place.row >= args.batch) return;
  const ForwardCell& cell = args.cell[blockIdx.y];
  // In float32 the state of a GRU is its h.
  constexpr bool kOwnState =
      Step::kHasState && !(std::is_same_v<E, float> && !std::is_same_v<Step, LstmStep>);
  const E* const h_prev = static_cast<const E*>(cell.h_prev) + place.at;
  Four prev{}, state{}, h;
  if constexpr (Step::kHasState)
    prev = kOwnState ? load_floats<4>(cell.state_prev + place.at) : load_floats<4>(h_prev);
  const bool live = is_live(args, cell, place.row);
  if (live) {
    h = Step::forward(
        cell.gates + place.row * std::int64_t(Step::kSlots) * args.padded + place.unit,
        cell.bias + place.unit, args.padded, prev, state, args.training);
  } else {
    h = load_floats<4>(h_prev);
    state = prev;
  }
  store_rounded(static_cast<E*>(cell.h) + place.at, h);
  if constexpr (kOwnState) store(cell.state + place.at, state);

  const int left = args.units - place.unit;  // units that are not padding, if positive
  if (cell.h_n)
    store_first(cell.h_n + std::int64_t(place.row) * args.units + place.unit,
                kOwnState && !std::is_same_v<Step, LstmStep> ? state : h, left);
  if (cell.c_n)
    store_first(cell.c_n + std::int64_t(place.row) * args.units + place.unit, state, left);
  const Four out = live ? h : Four{};
  if (cell.y) store_first(cell.y + place.row * cell.y_row + place.unit, out, left);
  if (cell.above) {
    const Four dropped = args.dropout > 0
                             ? drop(out, cell.dropout.key, std::uint64_t(*args.step),
                                    std::uint64_t(cell.dropout.index +
                                                  place.row * cell.dropout.row_index + place.unit),
                                    args.dropout)
                             : out;
    store_rounded(static_cast<E*>(cell.above) + place.row * cell.above_row + place.unit, dropped);
  }
}

/// GRU `before`, between its two products: activates r and z, stores r h_{t-1}.
template <typename E>
__global__ void __launch_bounds__(kThreads)
    forward_reset_kernel(const __grid_constant__ GateArgs<ForwardCell> args) {
  const Place place(args);
  if (place.row >= args.batch) return;
  const ForwardCell& cell = args.cell[blockIdx.y];
  float* const gates = cell.gates + place.row * std::int64_t(3) * args.padded + place.unit;
  const float* const bias = cell.bias + place.unit;
  Four r = with_bias(gates, bias, 0, args.padded), z = with_bias(gates, bias, 1, args.padded);
  Four h = std::is_same_v<E, float>
               ? load_floats<4>(static_cast<const float*>(cell.h_prev) + place.at)
               : load_floats<4>(cell.state_prev + place.at);
#pragma unroll
  for (int k = 0; k < 4; ++k) {
    cells::GruGates<float> y{r.v[k], z.v[k], 0, 0};
    h.v[k] = cells::gru_before_reset(y, h.v[k]);
    r.v[k] = y.r;
    z.v[k] = y.z;
  }
  store(gates, r);
  store(gates + args.padded, z);
  store_rounded(static_cast<E*>(cell.reset_h) + place.at, h);
}

/// The gradient of h_t from everything that read it.
template <typename E>
__device__ __forceinline__ Four total_gradient(const GateArgs<BackwardCell>& args,
                                               const BackwardCell& cell, const Place& place) {
  Four dh = load_floats<4>(cell.dh + place.at);
  if (!cell.dy) return dh;
  const float* const from = cell.dy + place.row * cell.dy_row + place.unit;
  Four dy = cell.dy_padded ? load_floats<4>(from) : load_first(from, args.units - place.unit);
  if (cell.dy_padded && args.dropout > 0)
    dy = drop(dy, cell.dropout.key, std::uint64_t(*args.step),
              std::uint64_t(cell.dropout.index + place.row * cell.dropout.row_index + place.unit),
              args.dropout);
#pragma unroll
  for (int k = 0; k < 4; ++k) dh.v[k] += dy.v[k];
  return dh;
}

template <typename Step, typename E>
__global__ void __launch_bounds__(kThreads)
    backward_kernel(const __grid_constant__ GateArgs<BackwardCell> args) {
  const Place place(args);
  if (place.row >= args.batch) return;
  const BackwardCell& cell = args.cell[blockIdx.y];
  const std::int64_t gates = place.row * std::int64_t(Step::kSlots) * args.padded + place.unit;
  E* const dgates = static_cast<E*>(cell.dgates) + gates;
  constexpr bool kIsLstm = std::is_same_v<Step, LstmStep>;
  constexpr bool kCarries = Step::kHasState && !kIsLstm;  // GRU
  if (!is_live(args, cell, place.row)) {
    // The state passed through, and so does its gradient, which dh and dc hold already.
#pragma unroll
    for (int s = 0; s < Step::kSlots; ++s) store_rounded(dgates + s * args.padded, Four{});
    return;
  }
  const Four dh = total_gradient<E>(args, cell, place);
  Four prev{}, state{}, dc{};
  if constexpr (kIsLstm) {
    prev = load_floats<4>(cell.state_prev + place.at);
    state = load_floats<4>(cell.state + place.at);
    dc = load_floats<4>(cell.dc + place.at);
  } else if constexpr (Step::kHasState) {
    prev = std::is_same_v<E, float>
               ? load_floats<4>(static_cast<const float*>(cell.h_prev) + place.at)
               : load_floats<4>(cell.state_prev + place.at);
  }
  const Four carried = Step::backward(cell.gates + gates, prev, state, dh, dc, dgates, args.padded);
  if constexpr (kIsLstm) store(cell.dc + place.at, dc);
  if (kCarries || args.lengths) store(cell.dh + place.at, carried);
}

/// GRU `before`, after the product that gave the gradient of r h_{t-1}.
template <typename E>
__global__ void __launch_bounds__(kThreads)
    backward_reset_kernel(const __grid_constant__ GateArgs<BackwardCell> args) {
  const Place place(args);
  if (place.row >= args.batch) return;
  const BackwardCell& cell = args.cell[blockIdx.y];
  if (!is_live(args, cell, place.row)) return;  // zero since the first kernel
  const std::int64_t gates = place.row * std::int64_t(3) * args.padded + place.unit;
  const Four r = load_floats<4>(cell.gates + gates),
             dreset = load_floats<4>(cell.dreset + place.at);
  const Four h = std::is_same_v<E, float>
                     ? load_floats<4>(static_cast<const float*>(cell.h_prev) + place.at)
                     : load_floats<4>(cell.state_prev + place.at);
  Four dh = load_floats<4>(cell.dh + place.at), dr;
#pragma unroll
  for (int k = 0; k < 4; ++k)
    dr.v[k] = cells::gru_before_reset_backward(r.v[k], h.v[k], dreset.v[k], dh.v[k]);
  store_rounded(static_cast<E*>(cell.dgates) + gates, dr);
  store(cell.dh + place.at, dh);
}

template <typename Cell>
void start(cudaStream_t stream, void (*kernel)(GateArgs<Cell>), const GateArgs<Cell>& args) {
  const std::int64_t items = std::int64_t(args.batch) * (args.padded / 4);
  launch(stream, dim3(blocks_for(items, kThreads), unsigned(args.cells)), kThreads, kernel, args);
}

template <typename E>
void forward(cudaStream_t stream, const RecurrentSpec& spec, GateStep step,
             const GateArgs<ForwardCell>& args) {
  if (step == GateStep::kReset) return start(stream, &forward_reset_kernel<E>, args);
  switch (spec.cell) {
    case CellKind::kRnnTanh:
      return start(stream, &forward_kernel<ElmanStep<Activation::kTanh>, E>, args);
    case CellKind::kRnnRelu:
      return start(stream, &forward_kernel<ElmanStep<Activation::kRelu>, E>, args);
    case CellKind::kRnnLogistic:
      return start(stream, &forward_kernel<ElmanStep<Activation::kLogistic>, E>, args);
    case CellKind::kLstm:
      return start(stream, &forward_kernel<LstmStep, E>, args);
    case CellKind::kGru:
      if (step == GateStep::kMix) return start(stream, &forward_kernel<GruBeforeMix, E>, args);
      return start(stream, &forward_kernel<GruAfterStep, E>, args);
  }
}

template <typename E>
void backward(cudaStream_t stream, const RecurrentSpec& spec, GateStep step,
              const GateArgs<BackwardCell>& args) {
  if (step == GateStep::kReset) return start(stream, &backward_reset_kernel<E>, args);
  switch (spec.cell) {
    case CellKind::kRnnTanh:
      return start(stream, &backward_kernel<ElmanStep<Activation::kTanh>, E>, args);
    case CellKind::kRnnRelu:
      return start(stream, &backward_kernel<ElmanStep<Activation::kRelu>, E>, args);
    case CellKind::kRnnLogistic:
      return start(stream, &backward_kernel<ElmanStep<Activation::kLogistic>, E>, args);
    case CellKind::kLstm:
      return start(stream, &backward_kernel<LstmStep, E>, args);
    case CellKind::kGru:
      if (step == GateStep::kMix) return start(stream, &backward_kernel<GruBeforeMix, E>, args);
      return start(stream, &backward_kernel<GruAfterStep, E>, args);
  }
}

}  // namespace

GateSlots::GateSlots(const RecurrentSpec& spec)
    : slots(gates_of(spec.cell)), first_x(0), parts{{0, slots, 0, false}, {}}, part_count(1) {
  if (spec.cell != CellKind::kGru) return;
  part_count = 2;
  if (spec.reset == GruReset::kAfter) {
    slots = 4;
    first_x = 1;
    parts[0] = {0, 1, 2, false};  // q = R_n h
    parts[1] = {1, 2, 0, false};
  } else {
    parts[0] = {0, 2, 0, false};
    parts[1] = {2, 1, 2, true};
  }
}

void gates_forward(cudaStream_t stream, const RecurrentSpec& spec, GateStep step, Element element,
                   const GateArgs<ForwardCell>& args) {
  if (element == Element::kFloat32) return forward<float>(stream, spec, step, args);
  forward<__nv_bfloat16>(stream, spec, step, args);
}

void gates_backward(cudaStream_t stream, const RecurrentSpec& spec, GateStep step, Element element,
                    const GateArgs<BackwardCell>& args) {
  if (element == Element::kFloat32) return backward<float>(stream, spec, step, args);
  backward<__nv_bfloat16>(stream, spec, step, args);
}

}  // namespace unroll::gpu
