/// One product computes W x for all timesteps. Then comes a loop over time in which every thread
/// owns some hidden units. A timestep is, for each phase of the cell (unroll/cells/program.h), a
/// product of R, which adds to the gates' sums, and the gate arithmetic. For the latter, a thread
/// owns whole rows if there is layer norm. With a projection, a product follows for which it owns
/// elements of h. A barrier stands between the writes of a thread and the reads of the others.
#include "host/cpu/recurrent/cell_forward.h"

#include <cstring>

#include "host/cpu/recurrent/layer_norm.h"

namespace unroll::host {

CellForward::CellForward(const Stack& stack, const CellPlan& cell, const RecurrentForward& args,
                         float* memory)
    : stack_(stack),
      cell_(cell),
      args_(args),
      memory_(memory),
      kernels_(gate_kernels(stack.args.spec)),
      lengths_(args.lengths ? args.lengths.as<std::int32_t>() : nullptr) {}

void CellForward::run(const Matrix& x) const {
  multiply_input(x);
  start_states();
  ThreadPool& pool = stack_.device.pool;
  pool.run([&](int thread) {
    const Share share = stack_.share(cell_, thread);
    for (std::int64_t s = 0; s < stack_.args.steps; ++s) {
      step(stack_.step_of(cell_, s), share);
      pool.barrier();
    }
  });
  const std::int64_t last = stack_.last_state(cell_);
  unpad_state(h(last), stack_.h_size(cell_), cell_, args_.h_n[cell_.layer]);
  if (stack_.program.has_c)
    unpad_state(memory_ + cell_.c + last * stack_.c_size(cell_), stack_.c_size(cell_), cell_,
                args_.c_n[cell_.layer]);
}

float* CellForward::gates(std::int64_t t) const {
  return memory_ + cell_.gates + t * stack_.args.batch * stack_.gate_row(cell_);
}

void CellForward::multiply_input(const Matrix& x) const {
  const cells::CellProgram& program = stack_.program;
  const std::int64_t rows = stack_.rows(), gate_row = stack_.gate_row(cell_);
  float* const wx = gates(0) + program.first_x * cell_.padded;
  stack_.device.multiply(PackedGemm{rows, cell_.w_ih->padded_columns(), cell_.input, x.data, x.ld,
                                    cell_.w_ih->data(), wx, gate_row, false});
  const auto for_each_row = [&](const auto& visit) {
    stack_.device.pool.parallel_for(rows, grain_of(gate_row),
                                    [&](std::int64_t begin, std::int64_t end) {
                                      for (std::int64_t row = begin; row < end; ++row) visit(row);
                                    });
  };
  if (program.is_normalised)
    for_each_row([&](std::int64_t row) {
      memory_[cell_.scales + row * cells::kNormScales + cells::kScaleOfWx] =
          normalize({program.gates, cell_.units, cell_.padded}, wx + row * gate_row);
    });
  else if (program.has_slots_without_x())
    for_each_row([&](std::int64_t row) {
      std::memset(gates(0) + row * gate_row, 0,
                  std::size_t(program.first_x * cell_.padded) * sizeof(float));
    });
}

void CellForward::start_states() const {
  const std::int64_t first = stack_.first_state(cell_);
  pad_state(args_.h0[cell_.layer], cell_, stack_.h_size(cell_), h(first));
  if (!stack_.program.has_c) return;
  const Floats size = stack_.c_size(cell_);
  pad_state(args_.c0[cell_.layer], cell_, size, memory_ + cell_.c + first * size);
}

void CellForward::step(std::int64_t t, const Share& share) const {
  const cells::CellProgram& program = stack_.program;
  ThreadPool& pool = stack_.device.pool;
  GateArgs a = stack_.gate_args(cell_, t, stack_.region(cell_, share), memory_);
  float* const result = a.result;
  for (int p = 0; p < program.phase_count; ++p) {
    if (p > 0) pool.barrier();
    multiply_state(program.phases[p], t, share);
    const bool is_last = p + 1 == program.phase_count;
    a.result =
        is_last ? result : memory_ + cell_.reset_h + t * stack_.c_size(cell_) + share.units.begin;
    if (program.is_normalised) {
      pool.barrier();
      normalized_gates(a);
    } else {
      kernels_.forward[p](a);
    }
  }
  if (stack_.has_projection()) {
    pool.barrier();
    project(t, share);
  }
  if (lengths_) keep_finished(t, share);
}

/// Gates of the phase's slots += R state, for the calling thread's units. With layer norm there is
/// nothing to add to.
void CellForward::multiply_state(const cells::Phase& phase, std::int64_t t,
                                 const Share& share) const {
  if (share.units.begin == share.units.end) return;
  const float* const state =
      phase.of_reset ? memory_ + cell_.reset_h + t * stack_.c_size(cell_) : h(cell_.before(t));
  for (int k = phase.first; k < phase.first + phase.count; ++k)
    stack_.device.multiply_columns(
        {stack_.args.batch, cell_.padded, cell_.width, state, cell_.padded_width,
         cell_.w_hh[k]->data(), gates(t) + k * cell_.padded, stack_.gate_row(cell_),
         !stack_.program.is_normalised},
        share.units, share.thread);
}

/// The gate arithmetic with layer norm, for the calling thread's rows.
void CellForward::normalized_gates(const GateArgs& a) const {
  const auto scale = [&](std::int64_t n, int which) -> float& {
    return a.scales[n * cells::kNormScales + which];
  };
  for (std::int64_t n = 0; n < a.rows; ++n)
    scale(n, cells::kScaleOfRh) =
        normalize({stack_.program.gates, cell_.units, cell_.padded}, a.gates + n * a.gate_row);
  kernels_.forward[0](a);
  for (std::int64_t n = 0; n < a.rows; ++n)
    scale(n, cells::kScaleOfC) =
        normalize({1, cell_.units, cell_.padded}, a.c_normal + n * cell_.padded);
  kernels_.forward[1](a);
}

/// h = W_hr output, for the calling thread's elements of h.
void CellForward::project(std::int64_t t, const Share& share) const {
  if (share.width.begin == share.width.end) return;
  stack_.device.multiply_columns({stack_.args.batch, cell_.padded_width, cell_.units,
                                  memory_ + cell_.output + t * stack_.c_size(cell_), cell_.padded,
                                  cell_.w_hr->data(), h(cell_.after(t)), cell_.padded_width, false},
                                 share.width, share.thread);
}

/// Sequences that have ended keep their state, and W_hr gets no gradient from them. Each thread
/// writes only what it has computed itself: its region of c, and of h the same or, after a
/// projection, its elements.
void CellForward::keep_finished(std::int64_t t, const Share& share) const {
  const Stack& s = stack_;
  const Region region = s.region(cell_, share);
  const auto bytes = [](const Range& range) {
    return std::size_t(range.end - range.begin) * sizeof(float);
  };
  const Region of_h = s.has_projection() ? Region{{0, s.args.batch}, share.width} : region;
  const auto keep = [&](float* states, std::int64_t padded, const Region& part) {
    const auto state = [&](std::int64_t place, std::int64_t n) {
      return states + (place * s.args.batch + n) * padded + part.units.begin;
    };
    for (std::int64_t n = part.rows.begin; n < part.rows.end; ++n)
      if (t >= lengths_[n])
        std::memcpy(state(cell_.after(t), n), state(cell_.before(t), n), bytes(part.units));
  };
  keep(memory_ + cell_.h, cell_.padded_width, of_h);
  if (s.program.has_c) keep(memory_ + cell_.c, cell_.padded, region);
  if (!s.has_projection()) return;
  // Other threads read `output` in this step's product, which is over after the barrier.
  s.device.pool.barrier();
  float* const output = memory_ + cell_.output + t * s.c_size(cell_);
  for (std::int64_t n = region.rows.begin; n < region.rows.end; ++n)
    if (t >= lengths_[n])
      std::memset(output + n * cell_.padded + region.units.begin, 0, bytes(region.units));
}

}  // namespace unroll::host
