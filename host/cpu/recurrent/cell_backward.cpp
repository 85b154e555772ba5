/// A timestep backward is that of cell_forward.cpp in reverse: for each phase from the last to the
/// first, the gate arithmetic, which computes the gradients of the gates' sums, and their product
/// with R, which adds to the gradient of the state of the step before. After the loop over time,
/// the gradients of W, R and x take one product each (weight_gradients.cpp).
#include "host/cpu/recurrent/cell_backward.h"

#include <cstring>

#include "host/cpu/recurrent/layer_norm.h"

namespace unroll::host {
namespace {

/// Row n of `all`.
GateArgs row_of(const GateArgs& all, std::int64_t n) {
  GateArgs a = all;
  a.rows = 1;
  a.first_row += n;
  for (float** p : {&a.gates, &a.dgates}) *p += n * a.gate_row;
  for (const float** p : {&a.prev, &a.dh, &a.dreset})
    if (*p) *p += n * a.gate_stride;
  for (float** p :
       {&a.state, &a.result, &a.dh_prev, &a.dc, &a.c_normal, &a.dc_scaled, &a.dc_normal})
    if (*p) *p += n * a.gate_stride;
  if (a.scales) a.scales += n * cells::kNormScales;
  return a;
}

}  // namespace

CellBackward::CellBackward(const Stack& stack, const CellPlan& cell, const RecurrentBackward& args,
                           float* scratch)
    : stack_(stack),
      cell_(cell),
      args_(args),
      memory_(reinterpret_cast<float*>(args.reserve.as<std::byte>())),
      scratch_(scratch),
      kernels_(gate_kernels(stack.args.spec)),
      lengths_(args.lengths ? args.lengths.as<std::int32_t>() : nullptr) {}

void CellBackward::run(const Matrix& x, const float* dy, float* dx) const {
  start_gradients(dy);
  stack_.device.pool.run([&](int thread) {
    const Share share = stack_.share(cell_, thread);
    for (std::int64_t s = stack_.args.steps; s-- > 0;) step(stack_.step_of(cell_, s), share);
  });
  unpad_state(dh(stack_.first_state(cell_)), stack_.h_size(cell_), cell_, args_.dh0[cell_.layer]);
  if (stack_.program.has_c)
    unpad_state(scratch_ + stack_.scratch.dc, stack_.c_size(cell_), cell_, args_.dc0[cell_.layer]);
  weight_gradients(x);
  if (dx) input_gradient(dx);
}

float* CellBackward::dgates(std::int64_t t, int slot) const {
  return scratch_ + stack_.scratch.dgates + t * stack_.args.batch * stack_.gate_row(cell_) +
         slot * cell_.padded;
}

float* CellBackward::dh(std::int64_t place) const {
  return scratch_ + stack_.scratch.dh + place * stack_.h_size(cell_);
}

/// dh [T + 1, N, Rp]: the gradients from above, and the given one of the last state. The steps add
/// theirs later.
void CellBackward::start_gradients(const float* dy) const {
  const Stack& s = stack_;
  const std::int64_t batch = s.args.batch, directions = s.args.spec.directions;
  std::memset(dh(s.first_state(cell_)), 0, std::size_t(s.h_size(cell_)) * sizeof(float));
  float* const to = dh(cell_.reverse ? 0 : 1);
  const float* const from = dy ? dy + (cell_.reverse ? cell_.width : 0) : nullptr;
  s.device.pool.parallel_for(s.rows(), 64, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      float* const out = to + row * cell_.padded_width;
      std::memset(out, 0, std::size_t(cell_.padded_width) * sizeof(float));
      if (!from || (lengths_ && row / batch >= lengths_[row % batch])) continue;
      std::memcpy(out, from + row * directions * cell_.width,
                  std::size_t(cell_.width) * sizeof(float));
    }
  });
  float* const given = scratch_ + s.scratch.dgates;  // dgates are not in use yet
  pad_state(args_.dh_n[cell_.layer], cell_, s.h_size(cell_), given);
  row_kernels().accumulate(given, dh(s.last_state(cell_)), s.h_size(cell_));
  if (s.program.has_c)
    pad_state(args_.dc_n[cell_.layer], cell_, s.c_size(cell_), scratch_ + s.scratch.dc);
}

GateArgs CellBackward::gate_args(std::int64_t t, const Region& region) const {
  const Stack::Scratch& scratch = stack_.scratch;
  const std::int64_t first = region.rows.begin, unit = region.units.begin;
  const auto at = [&](float* buffer) { return buffer + first * cell_.padded + unit; };
  GateArgs a = stack_.gate_args(cell_, t, region, memory_);
  a.dgates = dgates(t, 0) + first * a.gate_row + unit;
  // Without a projection, h has the units of the gates.
  a.dh = at(stack_.has_projection() ? scratch_ + scratch.doutput : dh(cell_.after(t)));
  if (stack_.program.has_direct) a.dh_prev = at(dh(cell_.before(t)));
  if (stack_.program.has_c) a.dc = at(scratch_ + scratch.dc);
  if (stack_.program.has_reset()) a.dreset = at(scratch_ + scratch.dreset);
  if (stack_.program.is_normalised) {
    a.dc_scaled = at(scratch_ + scratch.dc_scaled + t * stack_.c_size(cell_));
    a.dc_normal = at(scratch_ + scratch.dc_normal);
  }
  return a;
}

void CellBackward::step(std::int64_t t, const Share& share) const {
  const cells::CellProgram& program = stack_.program;
  ThreadPool& pool = stack_.device.pool;
  if (stack_.has_projection()) {
    pool.barrier();
    multiply_output_gradient(t, share);
  }
  if (program.is_normalised) pool.barrier();
  const GateArgs a = gate_args(t, stack_.region(cell_, share));
  if (lengths_) pass_on_finished(t, share);
  for (int p = program.phase_count; p-- > 0;) {
    gate_gradients(p, t, a);
    if (stack_.device.is_bf16()) round_gradients(program.phases[p], a);
    pool.barrier();
    multiply_gradients(program.phases[p], t, share);
  }
}

/// The gradient of W_hr's factor, for the calling thread's units.
void CellBackward::multiply_output_gradient(std::int64_t t, const Share& share) const {
  if (share.units.begin == share.units.end) return;
  stack_.device.multiply_columns(
      {stack_.args.batch, cell_.padded, cell_.width, dh(cell_.after(t)), cell_.padded_width,
       cell_.w_hr_back->data(), scratch_ + stack_.scratch.doutput, cell_.padded, false},
      share.units, share.thread);
}

/// The gate arithmetic of a phase. Where a sequence has ended, the gates' gradients are zero.
void CellBackward::gate_gradients(int phase, std::int64_t t, const GateArgs& all) const {
  const bool is_last = phase + 1 == stack_.program.phase_count;
  const auto compute = [&](const GateArgs& a) {
    if (stack_.program.is_normalised)
      normalized_gradients(a);
    else
      kernels_.backward[phase](a);
  };
  const auto clear = [&](const GateArgs& a) {
    const auto bytes = std::size_t(a.units) * sizeof(float);
    for (int k = 0; k < stack_.program.slots; ++k)
      std::memset(a.dgates + k * a.gate_stride, 0, bytes);
    if (a.dc_scaled) std::memset(a.dc_scaled, 0, bytes);
  };
  if (!lengths_) return compute(all);
  for (std::int64_t n = 0; n < all.rows; ++n) {
    const GateArgs a = row_of(all, n);
    if (t < lengths_[a.first_row])
      compute(a);
    else if (is_last)
      clear(a);
  }
}

/// The gate arithmetic with layer norm, for the rows of `a`.
void CellBackward::normalized_gradients(const GateArgs& a) const {
  const int gates = stack_.program.gates;
  const NormBlocks of_gates{gates, cell_.units, cell_.padded}, of_c{1, cell_.units, cell_.padded};
  const std::int64_t to_x = gates * cell_.padded;
  const auto scale = [&](std::int64_t n, int which) {
    return a.scales[n * cells::kNormScales + which];
  };
  kernels_.backward[1](a);
  for (std::int64_t n = 0; n < a.rows; ++n) {
    const std::int64_t at = n * cell_.padded;
    normalize_backward(of_c, a.c_normal + at, scale(n, cells::kScaleOfC), a.dc_normal + at);
  }
  kernels_.backward[0](a);
  for (std::int64_t n = 0; n < a.rows; ++n) {
    float* const values = a.gates + n * a.gate_row;
    float* const d = a.dgates + n * a.gate_row;
    normalize_backward(of_gates, values, scale(n, cells::kScaleOfRh), d);
    normalize_backward(of_gates, values + to_x, scale(n, cells::kScaleOfWx), d + to_x);
  }
}

/// The gradients of a phase's sums become bfloat16. Products would round them in any case, but sums
/// over their rows, for biases and gains, shall see the same values.
void CellBackward::round_gradients(const cells::Phase& phase, const GateArgs& a) const {
  const bool all = stack_.program.is_normalised;
  const int begin = all ? 0 : phase.gradient, end = all ? stack_.program.slots : phase.gradient_end;
  for (std::int64_t n = 0; n < a.rows; ++n)
    for (int k = begin; k < end; ++k)
      row_kernels().round_to_bf16(a.dgates + n * a.gate_row + k * a.gate_stride, a.units);
}

/// Gradient of the state before (+)= gradients of the phase's slots times R, for the calling
/// thread's elements.
void CellBackward::multiply_gradients(const cells::Phase& phase, std::int64_t t,
                                      const Share& share) const {
  if (share.width.begin == share.width.end) return;
  float* const to = phase.of_reset ? scratch_ + stack_.scratch.dreset : dh(cell_.before(t));
  for (int k = phase.first; k < phase.first + phase.count; ++k)
    stack_.device.multiply_columns(
        {stack_.args.batch, cell_.padded_width, cell_.units, dgates(t, k), stack_.gate_row(cell_),
         cell_.w_hh_back[k]->data(), to, cell_.padded_width, !phase.of_reset || k > phase.first},
        share.width, share.thread);
}

/// Where a sequence has ended, the gradient of its state passes through unchanged.
void CellBackward::pass_on_finished(std::int64_t t, const Share& share) const {
  for (std::int64_t n = 0; n < stack_.args.batch; ++n) {
    if (t < lengths_[n]) continue;
    const std::int64_t at = n * cell_.padded_width + share.width.begin;
    row_kernels().accumulate(dh(cell_.after(t)) + at, dh(cell_.before(t)) + at,
                             share.width.end - share.width.begin);
  }
}

}  // namespace unroll::host
