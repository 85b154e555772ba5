#include "cuda/recurrent_trial.h"

#include <algorithm>
#include <cmath>

#include "cuda/recurrent/recurrent_kernels.h"

namespace unroll::gpu {

View RecurrentTrial::Tensors::zeros(const Shape& shape, DType dtype) {
  View view{nullptr, shape, dtype};
  memory_.push_back(device_.allocate(view.bytes()));
  view.data = memory_.back().get();
  clear(view);
  return view;
}

void RecurrentTrial::Tensors::clear(const View& view) const {
  UNROLL_CUDA_CHECK(cudaMemsetAsync(view.data, 0, view.bytes(), device_.stream()));
}

View RecurrentTrial::Tensors::random(const Shape& shape, double limit) {
  const View view = zeros(shape);
  fill_random(device_.stream(), {view.as<float>(), view.elements(), ++key_, float(limit)});
  return view;
}

RecurrentTrial::RecurrentTrial(SharedWeightCopies& copies, const RecurrentArgs& args)
    : copies_(copies), device_(copies.device()), args_(args), tensors_(device_) {
  args_.has_lengths = false;  // ended sequences would cost less
  const RecurrentSpec& spec = args.spec;
  for (int layer = 0; layer < spec.layers(); ++layer) {
    const double limit = 1 / std::sqrt(double(spec.units(layer)));
    for (int direction = 0; direction < spec.directions; ++direction) {
      weights_.emplace_back();
      dweights_.emplace_back();
      for (const CellParameter& parameter : cell_parameters(spec, layer, args.input)) {
        parameter.of(weights_.back()) = tensors_.random(parameter.shape, limit);
        parameter.of(dweights_.back()) = tensors_.zeros(parameter.shape);
      }
    }
    h_.push_back(tensors_.zeros(spec.h_shape(layer, args.batch)));
    if (spec.has_c()) c_.push_back(tensors_.zeros(spec.c_shape(layer, args.batch)));
  }
  x_ = tensors_.random({args.steps, args.batch, args.input}, 1);
  y_ = tensors_.zeros({args.steps, args.batch, spec.output()});
  step_ = tensors_.zeros({1}, DType::kInt64);
}

RecurrentTrial::Times RecurrentTrial::run(const StackAlgorithm& algorithm) {
  const auto plan = make_stack_plan(copies_, args_, algorithm);
  Tensors memory(device_);
  const View reserve = memory.bytes(plan->reserve_bytes()),
             scratch = memory.bytes(plan->scratch_bytes());
  const std::vector<View> none(h_.size());
  // Clear the results of the algorithm before this one, so that they cannot pass for its own.
  for (const View& view : outputs()) tensors_.clear(view);
  plan->prepare(weights_);
  const RecurrentForward forward{x_, {}, h_, c_, weights_, step_, y_, none, none, reserve, {}};
  const RecurrentBackward backward{x_,   {},   h_, c_,   weights_, step_,     reserve, y_,
                                   none, none, {}, none, none,     dweights_, scratch};
  const auto forward_graph = graph_of([&] { plan->forward(forward); });
  const auto backward_graph = graph_of([&] { plan->backward(backward); });
  const auto replay = [&] {
    const Times times{replayed(forward_graph), replayed(backward_graph)};
    device_.grid_watcher().check();
    return times;
  };
  // The first run loads the graphs. Meanwhile an idle device reaches its full clock.
  constexpr double kWarmUp = 0.3;
  Times least = replay();
  for (double time = 0; !warm_ && time < kWarmUp; time += least.forward + least.backward)
    least = replay();
  warm_ = true;
  for (int more = 0; more < 5; ++more) {
    const Times times = replay();
    least = {std::min(least.forward, times.forward), std::min(least.backward, times.backward)};
  }
  return least;
}

std::vector<float> RecurrentTrial::result() const {
  std::vector<float> all;
  for (const RecurrentWeights& d : dweights_) {
    const View& bias = d.bias_hh;
    std::vector<float> values(std::size_t(bias.elements()));
    UNROLL_CUDA_CHECK(cudaMemcpyAsync(values.data(), bias.data, bias.bytes(),
                                      cudaMemcpyDeviceToHost, device_.stream()));
    UNROLL_CUDA_CHECK(cudaStreamSynchronize(device_.stream()));
    all.insert(all.end(), values.begin(), values.end());
  }
  return all;
}

std::vector<View> RecurrentTrial::outputs() const {
  std::vector<View> all{y_};
  for (std::size_t cell = 0; cell < dweights_.size(); ++cell)
    for (const CellParameter& parameter :
         cell_parameters(args_.spec, int(cell) / args_.spec.directions, args_.input))
      all.push_back(parameter.of(dweights_[cell]));
  return all;
}

Graph RecurrentTrial::graph_of(const std::function<void()>& work) const {
  work();
  return capture(device_.stream(), work);
}

double RecurrentTrial::replayed(const Graph& graph) const {
  return seconds(device_.stream(),
                 [&] { UNROLL_CUDA_CHECK(cudaGraphLaunch(graph.get(), device_.stream())); });
}

}  // namespace unroll::gpu
