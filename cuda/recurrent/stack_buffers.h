/// The memory of a recurrent stack that our own kernels compute: which buffers each cell and layer
/// has, and where. All algorithms share it, so one pass can be computed by one algorithm and the
/// other by another.
///
/// Buffers are byte offsets: those of the forward pass in the reserve (in the scratch memory in
/// inference), those of the backward pass in the scratch memory. A cell has H units, and its h_t
/// has R elements: H, or P with a projection. Hp and Rp are these, padded to a multiple of 8.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <type_traits>
#include <vector>

#include "cuda/device/device.h"
#include "cuda/recurrent/recurrent_kernels.h"
#include "cuda/recurrent/recurrent_weights.h"
#include "cuda/recurrent/wavefront.h"
#include "unroll/cells/program.h"
#include "unroll/kernels/recurrent.h"

namespace unroll::gpu {

/// One layer in one direction.
struct CellBuffers {
  int layer, direction;
  std::int64_t units, padded;        // H, Hp
  std::int64_t width, padded_width;  // R, Rp
  std::size_t gates = 0;             // [T, N, slots, Hp]
  std::size_t h = 0;           // [T + 1, N, Rp] E: the initial state first, or last in reverse
  std::size_t state = 0;       // the same in float32, see StackBuffers::has_state(): c [.., Hp]
                               // or h
  std::size_t reset_h = 0;     // [T, N, Rp] E: r h_{t-1}, if a phase reads it
  std::size_t output = 0;      // [T, N, Hp] E: what the projection multiplies
  std::size_t projected = 0;   // [N, Rp] float32: the product with it
  std::size_t c_normal = 0;    // [T, N, Hp] float32, layer norm: n(c)
  std::size_t scales = 0;      // [T, N, kNormScales] float32, layer norm: see NormSite
  std::size_t dgates = 0;      // [T, N, slots, Hp] E
  std::size_t dh = 0;          // [N, Rp]
  std::size_t dc = 0;          // [N, Hp], if there is a c
  std::size_t dreset = 0;      // [N, Rp], with reset_h
  std::size_t dprojected = 0;  // [T, N, Rp] E: the gradients of a projected h
  std::size_t doutput = 0;     // [N, Hp] float32, with output
  std::size_t dc_scaled = 0;   // [T, N, Hp] float32, layer norm: see NormBackwardCell

  bool is_reverse() const { return direction == 1; }
  /// The places of h_{t-1} and h_t among the T + 1 in `h` and `state`.
  std::int64_t before(std::int64_t t) const { return is_reverse() ? t + 1 : t; }
  std::int64_t after(std::int64_t t) const { return is_reverse() ? t : t + 1; }
};

struct LayerBuffers {
  LayerInput input;
  bool copies_x;       // false: it reads x or the h below in place
  std::size_t x = 0;   // [T N, Ip] E, forward
  std::size_t dx = 0;  // [T N, Ip], backward; not for the first layer
};

/// A pass and its memory.
struct ForwardPass {
  const RecurrentForward& args;
  std::byte* memory;
};
struct BackwardPass {
  const RecurrentBackward& args;
  const std::byte* memory;
  std::byte* scratch;
};

/// Rows of the element type.
struct Matrix {
  const void* data;
  std::int64_t ld;  // elements from one row to the next
};

class StackBuffers {
 public:
  StackBuffers(Device& device, const RecurrentArgs& args);

  Device& device() const { return device_; }
  const RecurrentArgs& args() const { return args_; }
  const RecurrentSpec& spec() const { return args_.spec; }
  const cells::CellProgram& program() const { return program_; }
  std::size_t forward_bytes() const { return forward_bytes_; }
  std::size_t backward_bytes() const { return backward_bytes_; }

  cudaStream_t stream() const { return device_.stream(); }
  std::int64_t batch() const { return args_.batch; }
  std::int64_t rows() const { return args_.steps * args_.batch; }
  const CellBuffers& cell(int index) const { return cells_[std::size_t(index)]; }
  const LayerBuffers& layer(int index) const { return layers_[std::size_t(index)]; }
  bool has_projection() const { return args_.spec.projection > 0; }
  bool is_last(int layer) const { return layer + 1 == args_.spec.layers(); }
  std::int64_t gate_row(const CellBuffers& c) const { return program_.slots * c.padded; }
  std::int64_t first_step(const CellBuffers& c) const {
    return c.is_reverse() ? args_.steps - 1 : 0;
  }
  std::int64_t last_step(const CellBuffers& c) const { return args_.steps - 1 - first_step(c); }
  /// Whether there is a float32 state besides h in the element type: c, or h itself.
  bool has_state() const {
    return program_.has_c || (program_.reads_state && device_.element() != Element::kFloat32);
  }

  /// The padded copies of the weights, which use() gives.
  const RecurrentWeightCopies::Cell& weights(int cell) const {
    return copies_->cell(std::size_t(cell));
  }
  void use(std::shared_ptr<const RecurrentWeightCopies> copies) { copies_ = std::move(copies); }

  // Addresses. `index`: elements from the buffer's beginning on.
  template <typename Byte>
  auto* floats(Byte* memory, std::size_t offset, std::int64_t index = 0) const {
    using Float = std::conditional_t<std::is_const_v<Byte>, const float, float>;
    return reinterpret_cast<Float*>(memory + offset) + index;
  }
  template <typename Byte>
  auto* elements(Byte* memory, std::size_t offset, std::int64_t index = 0) const {
    using Void = std::conditional_t<std::is_const_v<Byte>, const void, void>;
    return static_cast<Void*>(memory + offset + std::size_t(index) * element_bytes());
  }
  const void* elements(const void* data, std::int64_t index) const {
    return elements(static_cast<const std::byte*>(data), 0, index);
  }
  template <typename Byte>
  auto* h_at(Byte* memory, const CellBuffers& c, std::int64_t place) const {
    return elements(memory, c.h, place * args_.batch * c.padded_width);
  }
  template <typename Byte>
  auto* state_at(Byte* memory, const CellBuffers& c, std::int64_t place) const {
    return floats(memory, c.state, place * args_.batch * c.padded);
  }
  /// The part of a [D, N, width] tensor for the cell's direction; null if there is none.
  float* given_state(const View& view, const CellBuffers& c, std::int64_t width) const {
    return view ? view.as<float>() + c.direction * args_.batch * width : nullptr;
  }
  /// [T N, Ip] E: the input of a layer.
  Matrix layer_x(const View& x, const std::byte* memory, int layer) const;

  // What precedes and follows the timesteps of a stage.
  /// Copies the initial states of the stage's cells.
  void start_states(const ForwardPass& pass, const Stage& stage) const;
  /// dh and dc of each cell's last step: the given ones, or zero.
  void start_gradients(const BackwardPass& pass, const Stage& stage) const;
  /// The gradients of the initial states.
  void finish_gradients(const BackwardPass& pass, const Stage& stage) const;

 private:
  void lay_out_forward();
  void lay_out_backward();
  std::size_t element_bytes() const { return size_of(device_.element()); }
  /// h or c.
  struct State {
    std::int64_t CellBuffers::*width;
    std::int64_t CellBuffers::*padded;
    std::size_t CellBuffers::*gradient;  // the buffer of its gradient
  };
  static constexpr State kH{&CellBuffers::width, &CellBuffers::padded_width, &CellBuffers::dh};
  static constexpr State kC{&CellBuffers::units, &CellBuffers::padded, &CellBuffers::dc};
  /// Copies for the stage's cells, which the caller fills in.
  StateCopies copies_of(const State& state, const Stage& stage) const;
  /// Between the given tensors and the buffers of the gradients.
  StateCopies gradient_copies(const State& state, const Stage& stage, std::span<const View> given,
                              std::byte* scratch) const;

  Device& device_;
  RecurrentArgs args_;
  cells::CellProgram program_;
  std::vector<LayerBuffers> layers_;
  std::vector<CellBuffers> cells_;
  std::size_t forward_bytes_ = 0, backward_bytes_ = 0;
  std::shared_ptr<const RecurrentWeightCopies> copies_;
};

}  // namespace unroll::gpu
