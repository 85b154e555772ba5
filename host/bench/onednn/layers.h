/// Equal layers of a recurrent stack, computed by one primitive in each pass.
#pragma once

#include <cstddef>
#include <oneapi/dnnl/dnnl.hpp>
#include <span>
#include <string>
#include <vector>

#include "host/bench/onednn/primitives.h"
#include "host/bench/onednn/weight_reorder.h"
#include "unroll/backend.h"

namespace unroll::benchmark {

/// Lays out buffers one after the other and returns their offsets.
struct Layout {
  std::size_t bytes = 0;

  std::size_t take(std::size_t size) {
    constexpr std::size_t kLine = 64;  // bytes of a cache line, and of a vector register
    const std::size_t at = (bytes + kLine - 1) / kLine * kLine;
    bytes = at + size;
    return at;
  }
};

/// Lists are as in RecurrentForward, but only for these layers. `kept` and `scratch` are the whole
/// buffers.
struct LayersForward {
  std::byte *kept, *scratch;
  void* x;  // [T, N, I] in
  void* y;  // [T, N, D H] out
  std::span<const View> h0, c0, h_n, c_n;
};

struct LayersBackward {
  std::byte *kept, *scratch;
  void *x, *dy;  // in
  void* dx;      // out
  std::span<const View> dh_n, dc_n, dh0, dc0;
  std::span<const RecurrentWeights> dweights;
};

class OnednnLayers {
 public:
  OnednnLayers(const dnnl::engine& engine, const EqualLayers& shape);

  const EqualLayers& shape() const { return shape_; }
  const char* cell() const { return primitives_.cell; }
  std::vector<std::string> implementations() const;

  /// Buffers that live from forward() to backward() or, in inference, until the stack's forward()
  /// ends.
  void place_kept(Layout& kept);
  /// Buffers that live during one call of these layers. All layers may share their place.
  void place_temporary(Layout& scratch);

  /// The output of these layers in the kept buffer.
  void* y(std::byte* kept) const { return kept + y_; }
  std::size_t y_bytes() const { return primitives_.y.get_size(); }

  void prepare(dnnl::stream& stream, std::span<const RecurrentWeights> weights);
  void forward(dnnl::stream& stream, const LayersForward& args);
  void backward(dnnl::stream& stream, const LayersBackward& args);

 private:
  /// A layout of W and R that a primitive has chosen.
  struct Weights {
    dnnl::memory layer, iter;
    WeightReorder reorder_layer, reorder_iter;
  };

  bool has_c() const { return shape_.cell == CellKind::kLstm; }
  dnnl::memory at(const dnnl::memory::desc& desc, void* data) const {
    return {desc, engine_, data};
  }
  WeightShape weight_shape(std::int64_t input) const;
  Weights weights_of(const Primitive& primitive) const;
  void prepare_bias(std::span<const RecurrentWeights> weights);
  void write_dbias(const float* dbias, std::span<const RecurrentWeights> dweights) const;

  dnnl::engine engine_;
  EqualLayers shape_;
  LayerPrimitives primitives_;
  std::vector<std::int64_t> gate_order_;
  Weights forward_weights_, backward_weights_;
  dnnl::memory bias_;
  WeightReorder from_dweights_layer_, from_dweights_iter_;
  // Offsets, first in the kept buffer, then in the scratch buffer.
  std::size_t y_ = 0, h0_ = 0, c0_ = 0, h_n_ = 0, c_n_ = 0, workspace_ = 0;
  std::size_t scratchpad_ = 0, dh_n_ = 0, dc_n_ = 0, dh0_ = 0, dc0_ = 0;
  std::size_t dweights_layer_ = 0, dweights_iter_ = 0, dbias_ = 0;
};

}  // namespace unroll::benchmark
