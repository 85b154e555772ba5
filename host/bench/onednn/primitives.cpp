#include "host/bench/onednn/primitives.h"

#include <type_traits>

namespace unroll::benchmark {
namespace {

using dnnl::memory;
using Tag = memory::format_tag;

memory::desc floats(const memory::dims& dims, Tag tag) {
  return {dims, memory::data_type::f32, tag};
}

dnnl::primitive_attr attributes() {
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);  // so that we can count it
  return attr;
}

template <typename Kind, typename... Args>
auto describe_forward(const dnnl::engine& engine, const Args&... args) {
#if DNNL_VERSION_MAJOR >= 3
  return typename Kind::primitive_desc(engine, args..., attributes());
#else
  return typename Kind::primitive_desc(typename Kind::desc(args...), attributes(), engine);
#endif
}

template <typename Kind, typename Hint, typename... Args>
auto describe_backward(const dnnl::engine& engine, const Hint& forward, const Args&... args) {
#if DNNL_VERSION_MAJOR >= 3
  return typename Kind::primitive_desc(engine, args..., forward, attributes());
#else
  return typename Kind::primitive_desc(typename Kind::desc(args...), attributes(), engine, forward);
#endif
}

template <typename Kind, typename Description>
Primitive primitive_of(const Description& description) {
  return {.run = Kind(description),
          .implementation = description.impl_info_str(),
          .weights_layer = description.weights_layer_desc(),
          .weights_iter = description.weights_iter_desc(),
          .dweights_layer = {},
          .dweights_iter = {},
          .workspace = description.workspace_desc(),
          .scratchpad = description.scratchpad_desc()};
}

/// `activation`: only for a vanilla RNN.
template <typename Forward, typename Backward, typename... Activation>
LayerPrimitives make(const dnnl::engine& engine, const char* cell, const EqualLayers& shape,
                     Activation... activation) {
  const auto [cell_kind, reset, gates, layers, directions, steps, batch, input, hidden, training] =
      shape;
  LayerPrimitives made{.cell = cell,
                       .x = floats({steps, batch, input}, Tag::tnc),
                       .y = floats({steps, batch, directions * hidden}, Tag::tnc),
                       .state = floats({layers, directions, batch, hidden}, Tag::ldnc),
                       .bias = floats({layers, directions, bias_rows(shape), hidden}, Tag::ldgo),
                       .forward = {},
                       .backward = {}};
  const memory::desc wx = floats({layers, directions, input, gates, hidden}, Tag::any);
  const memory::desc wh = floats({layers, directions, hidden, gates, hidden}, Tag::any);
  const auto& [name, x, y, state, bias, unused_forward, unused_backward] = made;
  const auto direction = directions == 2 ? dnnl::rnn_direction::bidirectional_concat
                                         : dnnl::rnn_direction::unidirectional_left2right;
  constexpr bool kHasC = std::is_same_v<Forward, dnnl::lstm_forward>;

  const auto pass = training ? dnnl::prop_kind::forward_training  //
                             : dnnl::prop_kind::forward_inference;
  const auto forward = [&] {
    if constexpr (kHasC)
      return describe_forward<Forward>(engine, pass, direction, x, state, state, wx, wh, bias, y,
                                       state, state);
    else
      return describe_forward<Forward>(engine, pass, activation..., direction, x, state, wx, wh,
                                       bias, y, state);
  }();
  made.forward = primitive_of<Forward>(forward);
  if (!training) return made;

  const auto back = dnnl::prop_kind::backward;
  const auto backward = [&] {  // a gradient has the descriptor of its tensor
    if constexpr (kHasC)
      return describe_backward<Backward>(engine, forward, back, direction, x, state, state, wx, wh,
                                         bias, y, state, state, x, state, state, wx, wh, bias, y,
                                         state, state);
    else
      return describe_backward<Backward>(engine, forward, back, activation..., direction, x, state,
                                         wx, wh, bias, y, state, x, state, wx, wh, bias, y, state);
  }();
  made.backward = primitive_of<Backward>(backward);
  made.backward.dweights_layer = backward.diff_weights_layer_desc();
  made.backward.dweights_iter = backward.diff_weights_iter_desc();
  return made;
}

}  // namespace

std::vector<std::int64_t> gate_order(CellKind cell) {
  if (cell == CellKind::kGru) return {1, 0, 2};
  return cell == CellKind::kLstm ? std::vector<std::int64_t>{0, 1, 2, 3}
                                 : std::vector<std::int64_t>{0};
}

std::int64_t bias_rows(const EqualLayers& shape) {
  const bool linear_before_reset = shape.cell == CellKind::kGru && shape.reset == GruReset::kAfter;
  return shape.gates + (linear_before_reset ? 1 : 0);
}

LayerPrimitives layer_primitives(const dnnl::engine& engine, const EqualLayers& shape) {
  const auto vanilla_rnn = [&](dnnl::algorithm activation) {
    return make<dnnl::vanilla_rnn_forward, dnnl::vanilla_rnn_backward>(engine, "vanilla_rnn", shape,
                                                                       activation);
  };
  switch (shape.cell) {
    case CellKind::kLstm:
      return make<dnnl::lstm_forward, dnnl::lstm_backward>(engine, "lstm", shape);
    case CellKind::kGru:
      if (shape.reset == GruReset::kBefore)
        return make<dnnl::gru_forward, dnnl::gru_backward>(engine, "gru", shape);
      return make<dnnl::lbr_gru_forward, dnnl::lbr_gru_backward>(engine, "lbr_gru", shape);
    case CellKind::kRnnTanh:
      return vanilla_rnn(dnnl::algorithm::eltwise_tanh);
    case CellKind::kRnnRelu:
      return vanilla_rnn(dnnl::algorithm::eltwise_relu);
    case CellKind::kRnnLogistic:
      break;
  }
  return vanilla_rnn(dnnl::algorithm::eltwise_logistic);
}

}  // namespace unroll::benchmark
