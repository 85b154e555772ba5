#include "host/bench/onednn/layers.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <unordered_map>

namespace unroll::benchmark {
namespace {

using dnnl::memory;
using Way = WeightReorder::Way;

/// Uses all threads, so it runs at the rate of the memory.
void clear(std::byte* to, std::size_t bytes) {
  constexpr std::size_t kPiece =
      1 << 18;  // bytes: about 10 us, more than it takes to distribute them
  const auto pieces = std::int64_t((bytes + kPiece - 1) / kPiece);
#pragma omp parallel for
  for (std::int64_t k = 0; k < pieces; ++k) {
    const std::size_t begin = std::size_t(k) * kPiece;
    std::memset(to + begin, 0, std::min(kPiece, bytes - begin));
  }
}

/// Copies between the states of layers, each of which may be empty, and one buffer [L, D, N, H].
void gather(std::byte* to, std::span<const View> layers, std::size_t bytes) {
  for (std::size_t k = 0; k < layers.size(); ++k)
    if (layers[k])
      std::memcpy(to + k * bytes, layers[k].data, bytes);
    else
      std::memset(to + k * bytes, 0, bytes);
}
void scatter(const std::byte* from, std::span<const View> layers, std::size_t bytes) {
  for (std::size_t k = 0; k < layers.size(); ++k)
    if (layers[k]) std::memcpy(layers[k].data, from + k * bytes, bytes);
}

std::vector<float*> pointers(std::span<const RecurrentWeights> weights,
                             View RecurrentWeights::*member) {
  std::vector<float*> list;
  list.reserve(weights.size());
  for (const RecurrentWeights& w : weights)
    list.push_back(w.*member ? (w.*member).as<float>() : nullptr);
  return list;
}

}  // namespace

OnednnLayers::OnednnLayers(const dnnl::engine& engine, const EqualLayers& shape)
    : engine_(engine),
      shape_(shape),
      primitives_(layer_primitives(engine, shape)),
      gate_order_(gate_order(shape.cell)),
      bias_(primitives_.bias, engine) {
  forward_weights_ = weights_of(primitives_.forward);
  if (!shape.training) return;
  const Primitive& backward = primitives_.backward;
  backward_weights_ = weights_of(backward);
  from_dweights_layer_ = {engine, weight_shape(shape.input), backward.dweights_layer,
                          Way::kFromOnednn};
  from_dweights_iter_ = {engine, weight_shape(shape.hidden), backward.dweights_iter,
                         Way::kFromOnednn};
}

WeightShape OnednnLayers::weight_shape(std::int64_t input) const {
  return {shape_.layers, shape_.directions, input, shape_.hidden, gate_order_};
}

OnednnLayers::Weights OnednnLayers::weights_of(const Primitive& primitive) const {
  return {
      memory(primitive.weights_layer, engine_), memory(primitive.weights_iter, engine_),
      WeightReorder(engine_, weight_shape(shape_.input), primitive.weights_layer, Way::kToOnednn),
      WeightReorder(engine_, weight_shape(shape_.hidden), primitive.weights_iter, Way::kToOnednn)};
}

std::vector<std::string> OnednnLayers::implementations() const {
  std::vector<std::string> names{primitives_.forward.implementation};
  if (shape_.training) names.push_back(primitives_.backward.implementation);
  return names;
}

void OnednnLayers::place_kept(Layout& kept) {
  const std::size_t state = primitives_.state.get_size();
  y_ = kept.take(y_bytes());
  h0_ = kept.take(state);
  h_n_ = kept.take(state);
  if (has_c()) c0_ = kept.take(state), c_n_ = kept.take(state);
  if (shape_.training) workspace_ = kept.take(primitives_.forward.workspace.get_size());
}

void OnednnLayers::place_temporary(Layout& scratch) {
  std::size_t scratchpad = primitives_.forward.scratchpad.get_size();
  if (shape_.training)
    scratchpad = std::max(scratchpad, primitives_.backward.scratchpad.get_size());
  scratchpad_ = scratch.take(scratchpad);
  if (!shape_.training) return;
  const std::size_t state = primitives_.state.get_size();
  dh_n_ = scratch.take(state);
  dh0_ = scratch.take(state);
  if (has_c()) dc_n_ = scratch.take(state), dc0_ = scratch.take(state);
  dweights_layer_ = scratch.take(primitives_.backward.dweights_layer.get_size());
  dweights_iter_ = scratch.take(primitives_.backward.dweights_iter.get_size());
  dbias_ = scratch.take(primitives_.bias.get_size());
}

void OnednnLayers::prepare(dnnl::stream& stream, std::span<const RecurrentWeights> weights) {
  const std::vector<float*> w = pointers(weights, &RecurrentWeights::weight_ih);
  const std::vector<float*> r = pointers(weights, &RecurrentWeights::weight_hh);
  for (Weights* form : {&forward_weights_, &backward_weights_}) {
    if (form == &backward_weights_ && !shape_.training) continue;
    form->reorder_layer.run(stream, form->layer.get_data_handle(), w);
    form->reorder_iter.run(stream, form->iter.get_data_handle(), r);
  }
  prepare_bias(weights);
}

/// Adds the two biases, except for the candidate of a linear-before-reset GRU.
void OnednnLayers::prepare_bias(std::span<const RecurrentWeights> weights) {
  auto* bias = static_cast<float*>(bias_.get_data_handle());
  const std::int64_t hidden = shape_.hidden, last = bias_rows(shape_) - 1;
  const bool apart = bias_rows(shape_) > std::int64_t(gate_order_.size());
  for (const RecurrentWeights& w : weights) {
    for (const std::int64_t gate : gate_order_)
      for (std::int64_t u = gate * hidden; u < (gate + 1) * hidden; ++u)
        *bias++ = apart && gate == last - 1 ? w.bias_ih.as<float>()[u]
                                            : w.bias_ih.as<float>()[u] + w.bias_hh.as<float>()[u];
    if (apart) bias = std::copy_n(w.bias_hh.as<float>() + (last - 1) * hidden, hidden, bias);
  }
}

void OnednnLayers::write_dbias(const float* dbias,
                               std::span<const RecurrentWeights> dweights) const {
  const std::int64_t hidden = shape_.hidden, gates = std::int64_t(gate_order_.size());
  const bool apart = bias_rows(shape_) > gates;
  for (const RecurrentWeights& w : dweights) {
    for (std::int64_t k = 0; k < gates; ++k) {
      const std::int64_t row = gate_order_[std::size_t(k)] * hidden;
      const std::int64_t own = apart && k == gates - 1 ? gates : k;
      if (w.bias_ih) std::copy_n(dbias + k * hidden, hidden, w.bias_ih.as<float>() + row);
      if (w.bias_hh) std::copy_n(dbias + own * hidden, hidden, w.bias_hh.as<float>() + row);
    }
    dbias += bias_rows(shape_) * hidden;
  }
}

void OnednnLayers::forward(dnnl::stream& stream, const LayersForward& args) {
  const auto& [cell, x, y, state, bias, forward, backward] = primitives_;
  const std::size_t layer_bytes = state.get_size() / std::size_t(shape_.layers);
  gather(args.kept + h0_, args.h0, layer_bytes);
  gather(args.kept + c0_, args.c0, layer_bytes);
  std::unordered_map<int, memory> list{
      {DNNL_ARG_SRC_LAYER, at(x, args.x)},
      {DNNL_ARG_SRC_ITER, at(state, args.kept + h0_)},
      {DNNL_ARG_WEIGHTS_LAYER, forward_weights_.layer},
      {DNNL_ARG_WEIGHTS_ITER, forward_weights_.iter},
      {DNNL_ARG_BIAS, bias_},
      {DNNL_ARG_DST_LAYER, at(y, args.y)},
      {DNNL_ARG_DST_ITER, at(state, args.kept + h_n_)},
      {DNNL_ARG_SCRATCHPAD, at(forward.scratchpad, args.scratch + scratchpad_)}};
  if (has_c()) {
    list.insert({DNNL_ARG_SRC_ITER_C, at(state, args.kept + c0_)});
    list.insert({DNNL_ARG_DST_ITER_C, at(state, args.kept + c_n_)});
  }
  if (shape_.training)
    list.insert({DNNL_ARG_WORKSPACE, at(forward.workspace, args.kept + workspace_)});
  forward.run.execute(stream, list);
  stream.wait();
  scatter(args.kept + h_n_, args.h_n, layer_bytes);
  scatter(args.kept + c_n_, args.c_n, layer_bytes);
}

void OnednnLayers::backward(dnnl::stream& stream, const LayersBackward& args) {
  const auto& [cell, x, y, state, bias, forward, backward] = primitives_;
  const std::size_t layer_bytes = state.get_size() / std::size_t(shape_.layers);
  gather(args.scratch + dh_n_, args.dh_n, layer_bytes);
  gather(args.scratch + dc_n_, args.dc_n, layer_bytes);
  // The primitive adds to the gradients of weights.
  clear(args.scratch + dweights_layer_, backward.dweights_layer.get_size());
  clear(args.scratch + dweights_iter_, backward.dweights_iter.get_size());
  clear(args.scratch + dbias_, bias.get_size());
  std::unordered_map<int, memory> list{
      {DNNL_ARG_SRC_LAYER, at(x, args.x)},
      {DNNL_ARG_SRC_ITER, at(state, args.kept + h0_)},
      {DNNL_ARG_WEIGHTS_LAYER, backward_weights_.layer},
      {DNNL_ARG_WEIGHTS_ITER, backward_weights_.iter},
      {DNNL_ARG_BIAS, bias_},
      {DNNL_ARG_DST_LAYER, at(y, args.kept + y_)},
      {DNNL_ARG_DST_ITER, at(state, args.kept + h_n_)},
      {DNNL_ARG_WORKSPACE, at(forward.workspace, args.kept + workspace_)},
      {DNNL_ARG_DIFF_DST_LAYER, at(y, args.dy)},
      {DNNL_ARG_DIFF_DST_ITER, at(state, args.scratch + dh_n_)},
      {DNNL_ARG_DIFF_SRC_LAYER, at(x, args.dx)},
      {DNNL_ARG_DIFF_SRC_ITER, at(state, args.scratch + dh0_)},
      {DNNL_ARG_DIFF_WEIGHTS_LAYER, at(backward.dweights_layer, args.scratch + dweights_layer_)},
      {DNNL_ARG_DIFF_WEIGHTS_ITER, at(backward.dweights_iter, args.scratch + dweights_iter_)},
      {DNNL_ARG_DIFF_BIAS, at(bias, args.scratch + dbias_)},
      {DNNL_ARG_SCRATCHPAD, at(backward.scratchpad, args.scratch + scratchpad_)}};
  if (has_c()) {
    list.insert({DNNL_ARG_SRC_ITER_C, at(state, args.kept + c0_)});
    list.insert({DNNL_ARG_DST_ITER_C, at(state, args.kept + c_n_)});
    list.insert({DNNL_ARG_DIFF_DST_ITER_C, at(state, args.scratch + dc_n_)});
    list.insert({DNNL_ARG_DIFF_SRC_ITER_C, at(state, args.scratch + dc0_)});
  }
  backward.run.execute(stream, list);
  from_dweights_layer_.run(stream, args.scratch + dweights_layer_,
                           pointers(args.dweights, &RecurrentWeights::weight_ih));
  from_dweights_iter_.run(stream, args.scratch + dweights_iter_,
                          pointers(args.dweights, &RecurrentWeights::weight_hh));
  stream.wait();
  scatter(args.scratch + dh0_, args.dh0, layer_bytes);
  scatter(args.scratch + dc0_, args.dc0, layer_bytes);
  write_dbias(reinterpret_cast<const float*>(args.scratch + dbias_), args.dweights);
}

}  // namespace unroll::benchmark
