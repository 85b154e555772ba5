#include "host/bench/recurrent_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "host/bench/recurrent_reference.h"

namespace unroll::benchmark {
namespace {

constexpr double kReferenceFlop = 2e9;  // about a second
constexpr std::int64_t kMostSteps = 64;

template <typename T>
std::vector<T> download(Backend& backend, const View& view) {
  std::vector<float> values(std::size_t(view.elements()));
  backend.download(values.data(), view.data, view.bytes());
  if constexpr (std::is_same_v<T, float>)
    return values;  // copying large weights would take longest here
  else
    return {values.begin(), values.end()};
}

std::vector<float> floats(const std::vector<double>& values) {
  return {values.begin(), values.end()};
}

/// Selects the rows of some sequences from [T, B, width] or [1, B, width], timestep by timestep.
template <typename T>
std::vector<T> rows_of(const std::vector<T>& all, std::int64_t width, std::int64_t batch,
                       std::int64_t steps, const std::vector<std::int64_t>& sequences) {
  std::vector<T> rows;
  for (std::int64_t t = 0; t < steps; ++t)
    for (const std::int64_t n : sequences) {
      const auto row = all.begin() + (t * batch + n) * width;
      rows.insert(rows.end(), row, row + width);
    }
  return rows;
}

void run_both(RecurrentNode& node) {
  node.prepare();
  node.forward();
  node.backward();
  node.backend().synchronize();
}

void require(double distance, double limit, const std::string& name, const std::string& tensor,
             const std::string& like) {
  if (distance <= limit) return;  // false for NaN
  throw Mismatch(
      fmt::format("{}: {} differs from {} by {:.2g} of its size, expected at most {:.2g}", name,
                  tensor, like, distance, limit));
}

}  // namespace

// In float32, products are exact except for the last bit, and their sums are rounded K times, a
// random walk: u sqrt(K) relative to the result. Operands rounded to fewer bits add 2 u / sqrt(3)
// for any K. A state passes its error to the next step, which contracts it, and a layer passes its
// own to the next layer. A factor of eight covers activations and accumulated errors: every correct
// implementation passes, and TF32 does not pass as float32. The gradient of a weight is a sum over
// T B rows.
ErrorLimits error_limits(const StackShape& shape, double unit) {
  double widest = double(shape.input);
  for (const std::int64_t units : shape.spec.hidden) widest = std::max(widest, double(units));
  const double terms = 2 * widest, rows = double(shape.steps * shape.batch);
  const auto error = [&](double count) {
    return (unit > 0x1p-20 ? unit : 8 * unit) + 0x1p-24 * std::sqrt(count);
  };
  const double layers = double(shape.spec.layers());
  ErrorLimits limits{8 * layers * error(terms), 16 * layers * error(std::max(terms, rows))};
  // Where rounding moves a pre-activation to the other side of zero, the gradient of relu changes:
  // for a share u of all units, so by sqrt(u) relative to the gradient.
  if (shape.spec.cell == CellKind::kRnnRelu)
    limits.gradients = std::max(limits.gradients, 8 * std::sqrt(unit));
  return limits;
}

PartialReference::PartialReference(Backend& backend, const StackShape& shape,
                                   const StackTensors& inputs)
    : shape_(shape), sequences_{0} {
  if (shape.batch > 1) sequences_.push_back(shape.batch - 1);
  const auto count = std::int64_t(sequences_.size());
  const double step_flop =
      (forward_flop(shape) + backward_flop(shape)) / double(shape.batch) * double(count);
  steps_ = std::clamp(std::int64_t(kReferenceFlop / step_flop), std::int64_t(2), kMostSteps);
  steps_ = std::min(steps_, shape.steps);

  dy_ = download<float>(backend, inputs.y);
  const std::int64_t top = shape.spec.hidden.back();
  part_dy_.assign(dy_.size(), 0);
  for (std::int64_t t = 0; t < steps_; ++t)
    for (const std::int64_t n : sequences_) {
      const std::int64_t row = (t * shape.batch + n) * top;
      std::copy_n(dy_.begin() + row, top, part_dy_.begin() + row);
    }
  const auto rows = [&](const View& view, std::int64_t steps) {
    return rows_of(download<double>(backend, view), view.shape.last(), shape.batch, steps,
                   sequences_);
  };
  ReferenceInputs in{shape.spec, steps_, count, shape.input,           rows(inputs.x, steps_),
                     {},         {},     {},    rows(inputs.y, steps_)};
  for (const View& h : inputs.h) in.h0.push_back(rows(h, 1));
  for (const View& c : inputs.c) in.c0.push_back(rows(c, 1));
  for (const RecurrentWeights& w : inputs.weights)
    in.weights.push_back(
        {download<float>(backend, w.weight_ih), download<float>(backend, w.weight_hh),
         download<float>(backend, w.bias_ih), download<float>(backend, w.bias_hh)});
  const ReferenceOutputs out = recurrent_reference(in);
  expected_ = {floats(out.dx), floats(out.y)};
  for (const auto& dh : out.dh0) expected_.push_back(floats(dh));
  if (!inputs.c.empty())
    for (const auto& dc : out.dc0) expected_.push_back(floats(dc));
  for (const LayerArrays<double>& d : out.dweights)
    for (const auto* gradient : {&d.weight_ih, &d.weight_hh, &d.bias_ih, &d.bias_hh})
      expected_.push_back(floats(*gradient));
}

void PartialReference::check(RecurrentNode& node, const std::string& name,
                             const ErrorLimits& limits) const {
  Backend& backend = node.backend();
  const View dy = node.inputs().y;
  backend.upload(dy.data, part_dy_.data(), dy.bytes());
  try {
    run_both(node);
  } catch (...) {
    backend.upload(dy.data, dy_.data(), dy.bytes());  // all nodes share it
    throw;
  }
  backend.upload(dy.data, dy_.data(), dy.bytes());
  backend.synchronize();
  const auto tensors = node.outputs().all();
  for (std::size_t k = 0; k < tensors.size(); ++k) {
    const auto& [tensor, view] = tensors[k];
    const std::vector<float>& expected = expected_[k];
    std::vector<float> actual = download<float>(backend, view);
    if (view.shape.rank() == 3)  // a row per sequence
      actual = rows_of(actual, view.shape.last(), shape_.batch, std::min(steps_, view.shape[0]),
                       sequences_);
    double difference = 0, size = 0;
    for (std::size_t e = 0; e < expected.size(); ++e) {
      const double d = double(actual[e]) - double(expected[e]);
      difference += d * d;
      size += double(expected[e]) * double(expected[e]);
    }
    require(std::sqrt(difference / size), tensor == "y" ? limits.outputs : limits.gradients, name,
            tensor == "y" ? tensor : "the gradient of " + tensor, "float64");
  }
}

double relative_distance(Backend& backend, const View& a, const View& b) {
  TensorMemory memory(std::shared_ptr<Backend>(&backend, [](Backend*) {}));
  const View difference = memory.tensor(a.shape), sum = memory.tensor({1});
  const auto size = [&](const View& view) {
    backend.elementwise({ElementwiseKind::kMultiply, view, view, difference});
    Shape ones;
    for (int axis = 0; axis < a.shape.rank(); ++axis) ones.append(1);
    View total = sum;
    total.shape = ones;
    backend.reduce({ReduceKind::kSum, difference, total});
    float squares = 0;
    backend.download(&squares, sum.data, sizeof squares);
    return std::sqrt(double(squares));
  };
  const double norm = size(b);
  backend.elementwise({ElementwiseKind::kSubtract, a, b, difference});
  const double distance = size(difference);
  return norm > 0 ? distance / norm : distance;
}

void check_equal(RecurrentNode& node, const std::string& name, RecurrentNode& like,
                 const std::string& like_name, const ErrorLimits& limits) {
  run_both(like);
  run_both(node);
  const auto tensors = node.outputs().all(), like_tensors = like.outputs().all();
  for (std::size_t k = 0; k < tensors.size(); ++k) {
    const std::string& tensor = tensors[k].first;
    require(relative_distance(node.backend(), tensors[k].second, like_tensors[k].second),
            tensor == "y" ? limits.outputs : limits.gradients, name,
            tensor == "y" ? tensor : "the gradient of " + tensor, like_name);
  }
}

void check_repeats(RecurrentNode& node, const std::string& name, const ErrorLimits& limits,
                   const std::function<void()>& work) {
  Backend& backend = node.backend();
  TensorMemory memory(std::shared_ptr<Backend>(&backend, [](Backend*) {}));
  work();
  const auto tensors = node.outputs().all();
  std::vector<View> before;
  for (const auto& [tensor, view] : tensors) {
    before.push_back(memory.tensor(view.shape));
    backend.copy(before.back().data, view.data, view.bytes());
    backend.clear(view.data, view.bytes());  // a tensor that is not written again is wrong
  }
  node.forget_forward();
  work();
  for (std::size_t k = 0; k < tensors.size(); ++k) {
    const std::string& tensor = tensors[k].first;
    require(relative_distance(backend, tensors[k].second, before[k]),
            tensor == "y" ? limits.outputs : limits.gradients, name,
            tensor == "y" ? tensor : "the gradient of " + tensor, "its first run");
  }
}

}  // namespace unroll::benchmark
