/// A recurrent stack on the CPU as both passes see it: its cells, and where their values lie.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "host/cpu/device.h"
#include "host/cpu/kernels.h"
#include "unroll/cells/program.h"
#include "unroll/kernels/recurrent.h"

namespace unroll::host {

using Floats = std::int64_t;  // an offset or a size in floats

/// One layer in one direction. Its units are padded to kUnitBlock, and so are the elements of h.
struct CellPlan {
  std::size_t layer, index;          // index: among all cells
  bool reverse;                      // it reads the sequence backwards
  std::int64_t input;                // I
  std::int64_t units, padded;        // H, Hp
  std::int64_t width, padded_width;  // R, Rp: of h_t
  // In the reserve; the states begin with the initial one, or end with it in reverse:
  Floats gates = 0;     // [T, N, slots, Hp]
  Floats h = 0;         // [T + 1, N, Rp]
  Floats c = 0;         // [T + 1, N, Hp], has_c
  Floats reset_h = 0;   // [T, N, Hp], has_reset: r h_{t-1}
  Floats output = 0;    // [T, N, Hp], projection: what W_hr multiplies
  Floats c_normal = 0;  // [T, N, Hp], layer norm: n(c)
  Floats scales = 0;    // [T, N, kNormScales], layer norm: see unroll/cells/lstm.h
  // Kept from prepare(); w_hh by R's slots:
  std::shared_ptr<PackedWeight> w_ih = {}, w_hh[cells::kMostGates] = {},
                                w_hh_back[cells::kMostGates] = {}, w_hr = {}, w_hr_back = {};
  std::shared_ptr<void> bias = {};   // [slots, Hp]
  std::shared_ptr<void> gains = {};  // GateArgs::gains, layer norm

  /// The places of h_{t-1} and h_t among the states, which are in the order of time.
  std::int64_t before(std::int64_t t) const { return reverse ? t + 1 : t; }
  std::int64_t after(std::int64_t t) const { return reverse ? t : t + 1; }
};

struct LayerPlan {
  std::int64_t input;  // width of its input
  Floats x = -1;       // [T, N, input] in the reserve; -1: it is read in place
  std::vector<CellPlan> cells;
};

struct Matrix {
  const float* data;
  std::int64_t ld;
};

/// The part of a timestep that one thread computes.
struct Share {
  int thread;
  Range units;  // of Hp
  Range width;  // of Rp
  Range rows;   // of N: layer norm needs all units of a row
};

/// Which values a call of the gate arithmetic works on.
struct Region {
  Range rows, units;
};

struct Stack {
  Stack(Device& device, const RecurrentArgs& args);

  std::int64_t rows() const { return args.steps * args.batch; }
  float dropout() const { return args.spec.dropout; }
  bool has_projection() const { return args.spec.projection > 0; }
  std::int64_t gate_row(const CellPlan& cell) const { return program.slots * cell.padded; }
  /// The elements of one state h or c.
  std::int64_t h_size(const CellPlan& cell) const { return args.batch * cell.padded_width; }
  std::int64_t c_size(const CellPlan& cell) const { return args.batch * cell.padded; }
  std::int64_t first_state(const CellPlan& cell) const { return cell.reverse ? args.steps : 0; }
  std::int64_t last_state(const CellPlan& cell) const { return cell.reverse ? 0 : args.steps; }
  std::int64_t step_of(const CellPlan& cell, std::int64_t s) const {
    return cell.reverse ? args.steps - 1 - s : s;
  }
  Share share(const CellPlan& cell, int thread) const;
  /// Where a thread applies the gate arithmetic: to its units, or with layer norm to its rows.
  Region region(const CellPlan& cell, const Share& share) const;

  /// The input of a layer as the forward pass left it.
  Matrix layer_input(std::size_t layer, const View& x, const float* memory) const;
  /// The pointers of one timestep into the reserve.
  GateArgs gate_args(const CellPlan& cell, std::int64_t t, const Region& region,
                     float* memory) const;

  Device& device;
  RecurrentArgs args;
  cells::CellProgram program;
  std::vector<LayerPlan> layers;
  Floats reserve_size = 0;

  /// The scratch memory of the backward pass, which all cells use in turn.
  struct Scratch {
    Floats dh;         // [T + 1, N, Rp], like h
    Floats dgates;     // [T, N, slots, Hp]
    Floats dc;         // [N, Hp], has_c
    Floats dreset;     // [N, Hp], has_reset
    Floats doutput;    // [N, Hp], projection
    Floats dc_scaled;  // [T, N, Hp], layer norm: gradient of gain n(c) + bias
    Floats dc_normal;  // [N, Hp], layer norm
    Floats dlayer[2];  // [T, N, I] of two layers in turn
    Floats size = 0;
  };
  Scratch scratch{};

 private:
  void lay_out_cells();
  void lay_out_scratch();
};

/// Copies one direction of a state [D, N, elements] to its padded form of `size` floats, or stores
/// zeros if the state is empty; and back, unless `to` is empty.
void pad_state(const View& from, const CellPlan& cell, Floats size, float* to);
void unpad_state(const float* from, Floats size, const CellPlan& cell, const View& to);

}  // namespace unroll::host
