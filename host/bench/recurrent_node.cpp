#include "host/bench/recurrent_node.h"

#include <cmath>
#include <string>
#include <utility>

#include "unroll/math/philox.h"

namespace unroll::benchmark {

std::vector<std::pair<std::string, View>> StackTensors::all() const {
  std::vector<std::pair<std::string, View>> list{{"x", x}, {"y", y}};
  const auto name = [](const char* what, std::size_t layer) {
    return what + std::to_string(layer);
  };
  for (std::size_t k = 0; k < h.size(); ++k) list.emplace_back(name("h0_l", k), h[k]);
  for (std::size_t k = 0; k < c.size(); ++k) list.emplace_back(name("c0_l", k), c[k]);
  for (std::size_t k = 0; k < weights.size(); ++k) {
    list.emplace_back(name("weight_ih_l", k), weights[k].weight_ih);
    list.emplace_back(name("weight_hh_l", k), weights[k].weight_hh);
    list.emplace_back(name("bias_ih_l", k), weights[k].bias_ih);
    list.emplace_back(name("bias_hh_l", k), weights[k].bias_hh);
  }
  return list;
}

View TensorMemory::tensor(const Shape& shape, DType dtype) {
  View view{nullptr, shape, dtype};
  if (view.bytes() == 0) return {};
  owned_.push_back(backend_->allocate(view.bytes()));
  view.data = owned_.back().get();
  backend_->clear(view.data, view.bytes());
  return view;
}

StackTensors TensorMemory::tensors(const StackShape& shape) {
  StackTensors t;
  t.x = tensor({shape.steps, shape.batch, shape.input});
  const RecurrentSpec& spec = shape.spec;
  for (int layer = 0; layer < spec.layers(); ++layer) {
    t.h.push_back(tensor(spec.h_shape(layer, shape.batch)));
    if (spec.has_c()) t.c.push_back(tensor(spec.c_shape(layer, shape.batch)));
    RecurrentWeights& cell = t.weights.emplace_back();
    for (const CellParameter& parameter : cell_parameters(spec, layer, shape.input))
      parameter.of(cell) = tensor(parameter.shape);
  }
  t.y = tensor({shape.steps, shape.batch, spec.output()});
  return t;
}

void fill_inputs(Backend& backend, const StackShape& shape, const StackTensors& inputs) {
  std::uint64_t key = 0;
  math::PhiloxBlock four{};
  const auto fill = [&](const View& view, double limit) {
    std::vector<float> values(std::size_t(view.elements()));
    ++key;
    for (std::size_t k = 0; k < values.size(); ++k) {
      if (k % 4 == 0) four = math::philox(key, 0, k / 4);
      values[k] = float(limit * (2 * math::uniform01(four.word[k % 4]) - 1));
    }
    backend.upload(view.data, values.data(), view.bytes());
  };
  fill(inputs.x, 1);
  fill(inputs.y, 1);
  for (const auto* states : {&inputs.h, &inputs.c})
    for (const View& state : *states) fill(state, 0.5);
  for (std::size_t layer = 0; layer < inputs.weights.size(); ++layer) {
    const RecurrentWeights& w = inputs.weights[layer];
    for (const View& view : {w.weight_ih, w.weight_hh, w.bias_ih, w.bias_hh})
      fill(view, 1 / std::sqrt(double(shape.spec.hidden[layer])));
  }
  backend.synchronize();
}

RecurrentNode::RecurrentNode(const StackShape& shape, std::shared_ptr<Backend> backend,
                             std::unique_ptr<RecurrentPlan> plan, const StackTensors& inputs)
    : backend_(std::move(backend)),
      plan_(std::move(plan)),
      inputs_(inputs),
      memory_(backend_),
      outputs_(memory_.tensors(shape)) {
  for (const View& h : outputs_.h) h_n_.push_back(memory_.tensor(h.shape));
  for (const View& c : outputs_.c) c_n_.push_back(memory_.tensor(c.shape));
  no_dh_n_.resize(h_n_.size());
  no_dc_n_.resize(c_n_.size());
  reserve_ = memory_.tensor({std::int64_t(plan_->reserve_bytes())}, DType::kByte);
  scratch_ = memory_.tensor({std::int64_t(plan_->scratch_bytes())}, DType::kByte);
  step_ = memory_.tensor({1}, DType::kInt64);
}

void RecurrentNode::forward() {
  plan_->forward({.x = inputs_.x,
                  .lengths = {},
                  .h0 = inputs_.h,
                  .c0 = inputs_.c,
                  .weights = inputs_.weights,
                  .step = step_,
                  .y = outputs_.y,
                  .h_n = h_n_,
                  .c_n = c_n_,
                  .reserve = reserve_,
                  .scratch = scratch_});
}

void RecurrentNode::backward() {
  plan_->backward({.x = inputs_.x,
                   .lengths = {},
                   .h0 = inputs_.h,
                   .c0 = inputs_.c,
                   .weights = inputs_.weights,
                   .step = step_,
                   .reserve = reserve_,
                   .dy = inputs_.y,
                   .dh_n = no_dh_n_,
                   .dc_n = no_dc_n_,
                   .dx = outputs_.x,
                   .dh0 = outputs_.h,
                   .dc0 = outputs_.c,
                   .dweights = outputs_.weights,
                   .scratch = scratch_});
}

}  // namespace unroll::benchmark
