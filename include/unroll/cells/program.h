/// What a backend has to know about a cell besides its formulas: which products feed which gates,
/// in which order. Each cell's struct (elman.h, lstm.h, gru.h) has a CellProgram, kProgram, and
/// table.h finds the struct for a spec.
///
/// A timestep consists of one or two phases, each a product of R followed by gate arithmetic. Its
/// values lie in slots: a row of gates, which belongs to one sequence at one timestep, has `slots`
/// blocks of H values. Forward, products write sums into slots and the gate arithmetic activates
/// them in place; backward, the gradients of those sums lie in the same slots. The first phase
/// begins at slot 0, and the second where the first ends.
#pragma once

#include "unroll/host_device.h"

namespace unroll::cells {

struct Phase {
  int first, count;  // R's product adds to slots [first, first + count)
  int gate;          // slot first + k takes gate (gate + k) % gates of weight_hh
  bool of_reset;     // R multiplies r h_{t-1}, not h_{t-1}; only in the second phase
  int active;        // the arithmetic adds biases to slots [first, active) and activates them
  // Backward, before the product, the gradients of slots [gradient, gradient_end) are computed.
  int gradient, gradient_end;
};

/// The most gates of a cell, and the most slots that R feeds.
inline constexpr int kMostGates = 4;

struct CellProgram {
  int gates;           // blocks of rows in weight_ih and weight_hh
  int slots;           // in a row of gates
  int first_x;         // W x goes to slots [first_x, first_x + gates)
  bool has_c;          // there is a second state c
  bool reads_state;    // the arithmetic reads c_{t-1} or, without a c, h_{t-1}
  bool has_direct;     // part of h_{t-1}'s gradient does not go through a product
  bool is_normalised;  // layer norm: W x and R h are normalised row by row, see lstm.h
  int phase_count;
  Phase phases[2];

  /// Slots to which R's products add.
  UNROLL_HD constexpr int h_slots() const {
    return phases[phase_count - 1].first + phases[phase_count - 1].count;
  }
  /// The gate of weight_hh that feeds slot phase.first + k.
  UNROLL_HD constexpr int gate_of_h(const Phase& phase, int k) const {
    const int gate = phase.gate + k;
    return gate < gates ? gate : gate - gates;
  }
  /// Whether r h_{t-1} is among the factors.
  constexpr bool has_reset() const { return phases[phase_count - 1].of_reset; }
  /// The slots to which the biases of W x and of R h belong: where the sums with them are, and
  /// their gradients.
  UNROLL_HD constexpr int first_x_bias() const { return is_normalised ? 2 * gates : first_x; }
  UNROLL_HD constexpr int first_h_bias(const Phase& phase) const {
    return is_normalised ? 2 * gates : phase.first;
  }
  /// Whether R's product has slots to which W x is not added. They start as zeros.
  constexpr bool has_slots_without_x() const { return !is_normalised && first_x > 0; }
};

/// One unit of one sequence at one timestep, forward.
template <typename T, int slots>
struct ForwardUnit {
  T gate[slots];  // in: sums with biases, or activated by an earlier phase; out: activated
  T prev;         // in: c_{t-1}, or h_{t-1} in a cell without c
  T state;        // out, of the last phase: c_t, or h_t in a cell without c
  T result;       // out: h_t, or r h_{t-1} if the next phase multiplies that
};

/// The same backward. Phases run from the last to the first.
template <typename T, int slots>
struct BackwardUnit {
  T gate[slots];  // in: activated; out: gradients of the sums
  T prev;         // in, as in ForwardUnit
  T state;        // in: c_t
  T dh;           // last phase: in, gradient of h_t; out, direct part of h_{t-1}'s. First of two
                  // phases: a sum that holds that part, to which more of it is added; its value
                  // must not be used, because a backend may have added other parts
  T dc;           // in: gradient of c_t from step t + 1; out: of c_{t-1}
  T dreset;       // in, first of two phases: gradient of r h_{t-1}
};

}  // namespace unroll::cells
