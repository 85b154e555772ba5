#include "cuda/recurrent/recurrent.h"

#include <span>

#include "cuda/device/packed_matrix.h"
#include "cuda/recurrent/pass_schedule.h"
#include "cuda/recurrent/persistent_schedule.h"
#include "cuda/recurrent/stack_buffers.h"
#include "cuda/recurrent/stack_products.h"
#include "cuda/recurrent/stepwise.h"

namespace unroll::gpu {
namespace {

/// A stack computed by our own kernels. Each pass has a schedule of its own.
class StackPlan final : public RecurrentPlan {
 public:
  StackPlan(SharedWeightCopies& weights, const RecurrentArgs& args, const StackAlgorithm& algorithm)
      : weights_(weights),
        buffers_(weights.device(), args),
        products_(buffers_),
        algorithm_(to_string(algorithm)) {
    const bool both = args.training && algorithm.forward == algorithm.backward;
    forward_ = schedule(algorithm.forward, {.backward = false, .and_other = both});
    if (args.training)
      backward_ = schedule(algorithm.backward, {.backward = true, .and_other = both});
  }

  std::string algorithm() const override { return algorithm_; }
  std::size_t reserve_bytes() const override {
    return args().training ? buffers_.forward_bytes() : 0;
  }
  std::size_t scratch_bytes() const override {
    return args().training ? buffers_.backward_bytes() : buffers_.forward_bytes();
  }

  void prepare(std::span<const RecurrentWeights> weights) override {
    const bool evenly_spaced = forward_->has_batches() || (backward_ && backward_->has_batches());
    if (!copies_) buffers_.use(copies_ = weights_.of(args(), evenly_spaced, weights));
    copies_->update(weights);
  }

  void forward(const RecurrentForward& given) override {
    const ForwardPass pass{given,
                           (args().training ? given.reserve : given.scratch).as<std::byte>()};
    if (const LayerBuffers& lowest = buffers_.layer(0); lowest.copies_x)
      pack_matrix(buffers_.device(), {buffers_.rows(), args().input, buffers_.device().element()},
                  given.x.as<float>(), pass.memory + lowest.x);
    for (const Stage& stage : forward_->stages()) {
      buffers_.start_states(pass, stage);
      products_.multiply_inputs(pass, stage.lowest_layer(), all_steps());
      forward_->forward(pass, stage);
    }
  }

  void backward(const RecurrentBackward& given) override {
    const BackwardPass pass{given, given.reserve.as<std::byte>(), given.scratch.as<std::byte>()};
    for (std::size_t k = backward_->stages().size(); k-- > 0;) {
      const Stage& stage = backward_->stages()[k];
      buffers_.start_gradients(pass, stage);
      backward_->backward(pass, stage);
      buffers_.finish_gradients(pass, stage);
      for (int cell = stage.first; cell < stage.first + stage.count; ++cell)
        products_.weight_gradients(pass, cell);
      if (buffers_.cell(stage.first).layer > 0 || given.dx)
        products_.input_gradients(pass, stage.lowest_layer(), all_steps());
    }
  }

 private:
  const RecurrentArgs& args() const { return buffers_.args(); }
  Timesteps all_steps() const { return {0, args().steps}; }

  std::unique_ptr<PassSchedule> schedule(const PassAlgorithm& algorithm,
                                         const WhichPass& which) const {
    if (algorithm.persistent)
      return std::make_unique<PersistentSchedule>(buffers_, products_, which);
    return std::make_unique<Stepwise>(buffers_, products_, algorithm.block);
  }

  SharedWeightCopies& weights_;
  StackBuffers buffers_;
  StackProducts products_;
  std::string algorithm_;
  std::unique_ptr<PassSchedule> forward_, backward_;  // backward_ in training only
  std::shared_ptr<RecurrentWeightCopies> copies_;
};

}  // namespace

std::unique_ptr<RecurrentPlan> make_stack_plan(SharedWeightCopies& weights,
                                               const RecurrentArgs& args,
                                               const StackAlgorithm& algorithm) {
  return std::make_unique<StackPlan>(weights, args, algorithm);
}

}  // namespace unroll::gpu
