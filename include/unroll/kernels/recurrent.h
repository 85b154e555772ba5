/// The recurrent node: a whole stack over all timesteps. A backend plans it, because algorithm,
/// sizes of memory and prepared weights depend on the shape.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "unroll/recurrent_algorithm.h"
#include "unroll/recurrent_spec.h"
#include "unroll/tensor.h"

namespace unroll {

/// Parameters of one cell, that is of one layer in one direction, or their gradients. Those that
/// the cell does not have are empty.
using RecurrentWeights = CellTensors<View>;

/// What is known about a recurrent node when it is planned.
struct RecurrentArgs {
  RecurrentSpec spec;
  std::int64_t steps, batch, input;  // T, N, I
  bool has_lengths = false;
  bool training = false;          // backward() will follow: fill the reserve
  std::uint64_t dropout_key = 0;  // layer l uses dropout_key + l
};

/// A layer's states are h [D, N, R_l] and c [D, N, H_l]; lists hold one per layer. R_l is the width
/// of h_t, H_l without a projection. Weights are listed layer by layer, the forward direction
/// first.
struct RecurrentForward {
  View x;                        // [T, N, I]
  View lengths;                  // [N] int32, or empty: every sequence has T steps
  std::span<const View> h0, c0;  // c0: LSTM only
  std::span<const RecurrentWeights> weights;
  View step;                       // [1] int64, for dropout
  View y;                          // [T, N, D R_L] out: zeros past a sequence's end; empty if
                                   // not wanted, as each of the following
  std::span<const View> h_n, c_n;  // out: state after each sequence's last step
  View reserve;                    // out: what backward() reads; empty in inference
  View scratch;
};

struct RecurrentBackward {
  View x, lengths;
  std::span<const View> h0, c0;
  std::span<const RecurrentWeights> weights;
  View step;
  View reserve;
  View dy;                                     // [T, N, D R_L], or empty: zero
  std::span<const View> dh_n, dc_n;            // each may be empty: zero
  View dx;                                     // [T, N, I] out, or empty: not wanted
  std::span<const View> dh0, dc0;              // out
  std::span<const RecurrentWeights> dweights;  // out
  View scratch;
};

/// One algorithm, chosen for one shape. It may hold the weights in a form of its own (packed,
/// padded, another precision), and prepare() brings that up to date.
///
/// If the weights are variables, the session calls prepare() outside any capture, before each run
/// in which some variable among the node's inputs has a new version. The weights' own versions then
/// say whether there is work; see also ParameterCopies. If they are not variables, prepare() is
/// called within the run and captured with it.
class RecurrentPlan {
 public:
  virtual ~RecurrentPlan() = default;
  virtual std::string algorithm() const = 0;
  virtual std::size_t reserve_bytes() const = 0;  // 0 unless training
  virtual std::size_t scratch_bytes() const = 0;
  virtual void prepare(std::span<const RecurrentWeights> weights) = 0;
  virtual void forward(const RecurrentForward& args) = 0;
  virtual void backward(const RecurrentBackward& args) = 0;
};

class RecurrentKernels {
 public:
  virtual ~RecurrentKernels() = default;
  /// How recurrent nodes are computed: what was asked for, or, if that is auto, what it has chosen
  /// last. It is auto until the first plan for training.
  virtual RecurrentAlgorithm recurrent_algorithm() const = 0;
  virtual std::unique_ptr<RecurrentPlan> recurrent_plan(const RecurrentArgs& args) = 0;
};

}  // namespace unroll
