/// The whole interface between the engine and a device: memory, copies, capture, and one function
/// per kernel. host/cpu and cuda each implement it once; nothing else in the engine knows a device.
/// Programs that only use networks do not need it: device.h makes the devices.
///
/// Every kernel queues its work in order and returns; download() and synchronize() wait. Tensors
/// are dense, row-major and float32 unless a comment says otherwise. The engine checks shapes
/// before it calls. No two arguments overlap unless `Aliasing` allows it. Only one thread at a time
/// may use a backend.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "unroll/device.h"
#include "unroll/math/loss_guard.h"
#include "unroll/optimizer_spec.h"
#include "unroll/recurrent_spec.h"
#include "unroll/tensor.h"

namespace unroll {

enum class ElementwiseKind : std::uint8_t {
  kCopy,              // a
  kAffine,            // alpha a + beta
  kAdd,               // a + b
  kSubtract,          // a - b
  kMultiply,          // a b
  kDivide,            // a / b
  kTanh,              // tanh a
  kLogistic,          // 1 / (1 + e^-a)
  kRelu,              // max(a, 0)
  kExp,               // e^a
  kLog,               // ln a
  kEqual,             // 1 where a == b, else 0
  kFinite,            // a where it is finite, else 0
  kTanhGradient,      // b (1 - a^2),  a = tanh(x),  b = dy
  kLogisticGradient,  // b a (1 - a),  a = logistic(x)
  kReluGradient,      // b where a > 0, else 0
};

/// Shapes    a and b broadcast to out's shape as in NumPy; b is empty for one-argument kinds.
/// Aliasing  out may be a or b where their shapes are equal.
struct Elementwise {
  ElementwiseKind kind;
  View a, b;
  View out;
  float alpha = 1, beta = 0;  // kAffine
};

enum class ReduceKind : std::uint8_t { kSum, kMax };

/// Shapes    out has in's rank, with 1 for every reduced dimension.
struct Reduce {
  ReduceKind kind;
  View in;
  View out;
  float scale = 1;  // multiplies a sum
};

/// Copies out[j] = in[i] over a grid of `extent`. Each side walks the grid with strides of its own,
/// which makes slices, concatenation, transposition and their gradients.
struct CopyRegion {
  View in, out;
  Shape extent;
  Shape in_stride, out_stride;  // in elements, one per axis of extent
  std::int64_t in_offset = 0, out_offset = 0;
};

/// c [M, N] = op(a) op(b), where op transposes or does nothing; op(a) [M, K], op(b) [K, N].
struct Matmul {
  View a, b;
  bool transpose_a = false, transpose_b = false;
  View c;

  std::int64_t m() const { return c.shape[0]; }
  std::int64_t n() const { return c.shape[1]; }
  std::int64_t k() const { return a.shape[transpose_a ? 0 : 1]; }
};

/// Along the last dimension. Softmax: e^x / sum e^x; log: x - ln sum e^x. Both subtract the maximum
/// first.
struct Softmax {
  View x;
  View y;
  bool log = false;
};

/// dx = y (dy - sum(dy y)); for log softmax dx = dy - e^y sum(dy).
struct SoftmaxGradient {
  View y, dy;
  View dx;
  bool log = false;
};

struct GatherRows {
  View table;  // [V, E]
  View ids;    // [M] int32 in: rows outside [0, V) give zeros
  View out;    // [M, E]
};

/// table[id] += row for every pair, in order of position. Ids outside [0, V) are skipped.
struct ScatterAddRows {
  View ids;    // [M] int32
  View rows;   // [M, E]
  View table;  // [V, E] in and out
};

/// Sums the rows that share an id, in order of position. Ids outside [0, limit) are dropped.
struct CoalesceRows {
  View ids;   // [M] int32 in
  View rows;  // [M, E] in
  std::int64_t limit;
  View unique_ids;  // [M] int32 out: ascending; -1 past the last
  View sums;        // [M, E] out: one row per unique id; zeros past the last
  View scratch;     // coalesce_scratch_bytes(M)
};

struct OneHot {
  View ids;  // [M] int32; ids outside [0, V) give a row of zeros
  View out;  // [M, V]
};

/// out = in / (1 - rate) where the element's Philox word is at or above rate 2^32, else 0. The
/// gradient is the same operation on dy. Aliasing: out may be in.
struct Dropout {
  View in;
  View out;
  float rate;
  std::uint64_t key;  // math::philox_key(seed, site)
  View step;          // [1] int64
};

/// Draws an id with probability proportional to e^(ln p / temperature). Only the top_k most
/// probable ids are kept, then the fewest of these that together reach top_p of their sum. If two
/// are equally probable, the smaller id comes first. The draw inverts the running sums in this
/// order, in float64, at uniform53() of Philox's block number `step`.
/// Source    of top_p: Holtzman et al. 2020.
struct Sample {
  View log_prob;       // [V]: normalised or not; -inf excludes an id
  double temperature;  // 0: the most probable id
  std::int64_t top_k;  // 0: all
  double top_p;        // in (0, 1]
  std::uint64_t key;   // math::philox_key(seed, site)
  View step;           // [1] int64
  View id;             // [1] int32 out: -1 if the greatest of log_prob is not finite, or one is NaN
  View scratch;        // sample_scratch_bytes(V)
};

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

/// What is known about a decoder + softmax + cross-entropy node when it is planned.
struct SoftmaxCrossEntropyArgs {
  std::int64_t rows, hidden, classes;  // M, H, V
  std::int64_t chunk_rows;             // rows of logits held at a time; 0: as many as suit the
                                       // device
  std::int64_t ignored_id;
  bool gradient = false;  // fill dh, dweight, dbias
};

/// loss = scale sum_i w_i (-ln p_i[target_i]), with p = softmax(h W^T + b), over the rows i whose
/// target is not ignored. With `mean`, scale is 1 / sum_i w_i. A target outside [0, V) that is not
/// the ignored id makes the loss NaN.
struct SoftmaxCrossEntropy {
  View h;            // [M, H]
  View weight;       // [V, H]
  View bias;         // [V]
  View targets;      // [M] int32
  View row_weights;  // [M], or empty: ones
  float scale = 1;
  bool mean = false;
  View loss;      // [1] out; like the following, empty where not wanted
  View log_prob;  // [M] out: ln p_i[target_i]; 0 where ignored
  View hit;       // [M] out: 1 if the target is the (first) best class, else 0
  View dh;        // [M, H] out, with gradient: d loss / d h
  View dweight;   // [V, H] out
  View dbias;     // [V] out
  View scratch;
};

class SoftmaxCrossEntropyPlan {
 public:
  virtual ~SoftmaxCrossEntropyPlan() = default;
  virtual std::size_t scratch_bytes() const = 0;
  virtual void prepare(const View& weight) = 0;  // as RecurrentPlan::prepare
  virtual void run(const SoftmaxCrossEntropy& args) = 0;
};

/// One parameter and its gradient: a whole tensor, or, if sparse, rows as CoalesceRows left them,
/// of a tensor that is zero elsewhere. The result is the same either way.
struct ParameterUpdate {
  bool sparse = false;
  View parameter;  // in and out
  View gradient;   // parameter's shape, or [M, E] if sparse
  View ids;        // [M] int32 if sparse
  View slots[2];   // parameter's shape, in and out: momentum | s | m, v; unused ones empty
};

/// Copies of parameters in forms of the backend's own (packed, padded, another precision).
/// apply_gradients() writes them along with the parameters, so that no prepare() has to make them
/// anew.
class ParameterCopies {
 public:
  virtual ~ParameterCopies() = default;
  /// Called once for every apply_gradients() that was queued. Calls renew(), which gives the
  /// parameters new versions. What was a copy of the version before is then a copy of the new one.
  /// That holds for a refused step too, which leaves both as they were.
  virtual void renew(const std::function<void()>& renew) = 0;
};

/// One optimiser step over every parameter: joint norm, clipping, and, if math::guard_step() allows
/// it, update. A step whose loss or norm is not finite, or whose loss is above the ceiling, is
/// refused. Parameters and slots then keep their bits, and counters and statistics change only
/// where they describe refused steps, and in the norm.
struct ApplyGradients {
  OptimizerSpec spec;
  LossGuardSpec guard;
  View loss;           // [1]
  View learning_rate;  // [1]
  View counters;       // [5] int64 in and out: StepCounters
  View statistics;     // [9] in and out: StepStatistics
  std::span<const ParameterUpdate> parameters;
  View scratch;                       // apply_gradients_scratch_bytes(parameters)
  ParameterCopies* copies = nullptr;  // parameter_copies(parameters); null: none are written
};

/// Work that is recorded once and run many times: a CUDA graph on a GPU, the calls themselves on a
/// CPU.
class Replay {
 public:
  virtual ~Replay() = default;
  virtual void run() = 0;
};

class Backend {
 public:
  virtual ~Backend() = default;

  virtual DeviceKind kind() const = 0;
  virtual std::string name() const = 0;  // "cpu (avx512, 2 threads)"
  virtual Precision precision() const = 0;
  virtual DeviceMemoryUse memory() const = 0;
  /// How recurrent nodes are computed: what was asked for, or, if that is auto, what it has chosen
  /// last. It is auto until the first plan for training.
  virtual RecurrentAlgorithm recurrent_algorithm() const = 0;

  /// `bytes` of uninitialised memory on the device, aligned to 256, freed with the last copy of the
  /// pointer.
  /// Errors    std::runtime_error, with what was asked, if there is not enough.
  virtual std::shared_ptr<void> allocate(std::size_t bytes) = 0;
  /// The host memory may be changed or freed as soon as either returns.
  virtual void upload(void* device, const void* host, std::size_t bytes) = 0;
  virtual void download(void* host, const void* device, std::size_t bytes) = 0;
  virtual void copy(void* to, const void* from, std::size_t bytes) = 0;  // within the device
  virtual void clear(void* device, std::size_t bytes) = 0;               // all bits zero
  virtual void synchronize() = 0;
  /// The seconds that the device spends on what `work` queues, by its own clock. Waits for the end.
  virtual double elapsed(const std::function<void()>& work) = 0;
  /// Calls `work` at least once, now or when the result is run. `work` only queues kernels, and
  /// capture() itself runs none of them.
  virtual std::unique_ptr<Replay> capture(std::function<void()> work) = 0;

  virtual void elementwise(const Elementwise& args) = 0;
  virtual void reduce(const Reduce& args) = 0;
  virtual void copy_region(const CopyRegion& args) = 0;
  virtual void matmul(const Matmul& args) = 0;
  virtual void softmax(const Softmax& args) = 0;
  virtual void softmax_gradient(const SoftmaxGradient& args) = 0;
  virtual void gather_rows(const GatherRows& args) = 0;
  virtual void scatter_add_rows(const ScatterAddRows& args) = 0;
  virtual std::size_t coalesce_scratch_bytes(std::int64_t rows) const = 0;
  virtual void coalesce_rows(const CoalesceRows& args) = 0;
  virtual void one_hot(const OneHot& args) = 0;
  virtual void dropout(const Dropout& args) = 0;
  virtual std::size_t sample_scratch_bytes(std::int64_t ids) const = 0;
  virtual void sample(const Sample& args) = 0;
  virtual std::unique_ptr<RecurrentPlan> recurrent_plan(const RecurrentArgs& args) = 0;
  virtual std::unique_ptr<SoftmaxCrossEntropyPlan> softmax_cross_entropy_plan(
      const SoftmaxCrossEntropyArgs& args) = 0;
  /// Reads only the shapes: memory may not be there yet.
  virtual std::size_t apply_gradients_scratch_bytes(
      std::span<const ParameterUpdate> parameters) const = 0;
  /// The copies of these parameters that prepare() has made by now; null if the backend has none.
  /// They must live as long as any capture, which holds their addresses.
  virtual std::unique_ptr<ParameterCopies> parameter_copies(
      std::span<const ParameterUpdate> parameters) = 0;
  virtual void apply_gradients(const ApplyGradients& args) = 0;
};

}  // namespace unroll
