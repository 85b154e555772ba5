/// What the algorithm auto remembers, and what later plans make of it.
#include "cuda/recurrent_choices.h"

#include <gtest/gtest.h>

#include "tests/support/backends.h"

namespace unroll::test {
namespace {

using gpu::or_stepwise;
using gpu::RecurrentChoices;

constexpr PassAlgorithm kStepwise{}, kBlocks{.block = 8}, kPersistent{.persistent = true};

RecurrentArgs args_of(std::int64_t batch, bool training) {
  return {.spec = {.hidden = {200, 200}},
          .steps = 35,
          .batch = batch,
          .input = 200,
          .training = training};
}

TEST(RecurrentChoices, AreKeptForAStackAndABatchInTraining) {
  RecurrentChoices choices;
  EXPECT_EQ(choices.find(args_of(20, true)), nullptr);
  EXPECT_EQ(choices.last(), nullptr);
  choices.add(args_of(20, true), {kPersistent, kBlocks});
  ASSERT_NE(choices.find(args_of(20, true)), nullptr);
  EXPECT_EQ(*choices.find(args_of(20, true)), (StackAlgorithm{kPersistent, kBlocks}));
  EXPECT_EQ(choices.find(args_of(21, true)), nullptr);

  RecurrentArgs other = args_of(20, true);  // what changes nothing about it
  other.steps = 1;
  other.input = 7;
  other.has_lengths = true;
  other.spec.dropout = 0.5F;
  EXPECT_NE(choices.find(other), nullptr);

  const auto expect_unknown = [&](auto&& change) {
    for (const bool training : {true, false}) {
      RecurrentArgs args = args_of(20, training);
      change(args.spec);
      EXPECT_EQ(choices.find(args), nullptr);
    }
  };
  expect_unknown([](RecurrentSpec& spec) { spec.cell = CellKind::kGru; });
  expect_unknown([](RecurrentSpec& spec) { spec.reset = GruReset::kBefore; });
  expect_unknown([](RecurrentSpec& spec) { spec.hidden = {200}; });
  expect_unknown([](RecurrentSpec& spec) { spec.directions = 2; });
  expect_unknown([](RecurrentSpec& spec) { spec.input_gate = InputGate::kCoupled; });
  expect_unknown([](RecurrentSpec& spec) { spec.layer_norm = true; });
  expect_unknown([](RecurrentSpec& spec) { spec.projection = 8; });
}

TEST(RecurrentChoices, OfAnotherBatchServeInference) {
  RecurrentChoices choices;
  EXPECT_EQ(choices.find(args_of(1, false)), nullptr);
  choices.add(args_of(20, true), {kPersistent, kBlocks});
  choices.add(args_of(40, true), {kStepwise, kPersistent});
  EXPECT_EQ(*choices.last(), (StackAlgorithm{kStepwise, kPersistent}));
  EXPECT_EQ(*choices.find(args_of(20, false)), (StackAlgorithm{kPersistent, kBlocks}));
  EXPECT_EQ(*choices.find(args_of(40, false)), (StackAlgorithm{kStepwise, kPersistent}));
  EXPECT_EQ(*choices.find(args_of(1, false)), (StackAlgorithm{kStepwise, kPersistent}));
}

TEST(RecurrentChoices, GiveWayInEachPassThatTheyCannotCompute) {
  const StackAlgorithm chosen{kPersistent, kPersistent};
  const auto planned = [&](bool training, bool forward_fits, bool backward_fits) {
    return or_stepwise(chosen, args_of(20, training),
                       [&](const PassAlgorithm& pass, bool backward) {
                         EXPECT_EQ(pass, kPersistent);
                         EXPECT_TRUE(training || !backward) << "inference has no backward pass";
                         return backward ? backward_fits : forward_fits;
                       });
  };
  EXPECT_EQ(planned(true, true, true), chosen);
  EXPECT_EQ(planned(true, false, true), (StackAlgorithm{kStepwise, kPersistent}));
  EXPECT_EQ(planned(true, true, false), (StackAlgorithm{kPersistent, kStepwise}));
  EXPECT_EQ(planned(true, false, false), (StackAlgorithm{kStepwise, kStepwise}));
  EXPECT_EQ(planned(false, false, true).forward, kStepwise);
  EXPECT_EQ(planned(false, true, true).forward, kPersistent);
}

class RecurrentAuto : public OnEachBackend {
 protected:
  /// What a plan for training has chosen.
  RecurrentAlgorithm chosen(const RecurrentArgs& args) {
    plan_ = backend_->recurrent_plan(args);
    const RecurrentAlgorithm algorithm = backend_->recurrent_algorithm();
    EXPECT_NE(algorithm.ours(), nullptr) << to_string(algorithm);
    EXPECT_EQ(plan_->algorithm(), to_string(algorithm));
    return algorithm;
  }

 private:
  std::unique_ptr<RecurrentPlan> plan_;
};

TEST_P(RecurrentAuto, LaterPlansKeepTheChoice) {
  RecurrentArgs args{
      .spec = {.hidden = {16, 16}}, .steps = 6, .batch = 3, .input = 8, .training = true};
  const std::string name = to_string(chosen(args));
  const auto expect_kept = [&](std::int64_t batch, std::int64_t steps, bool lengths) {
    args.batch = batch;
    args.steps = steps;
    args.has_lengths = lengths;
    EXPECT_EQ(backend_->recurrent_plan(args)->algorithm(), name);
  };
  expect_kept(3, 1, false);
  expect_kept(3, 40, true);
  args.training = false;
  expect_kept(3, 1, true);
  expect_kept(1, 1, false);
  expect_kept(500, 6, false);
}

// Only stepwise forms compute these.
TEST_P(RecurrentAuto, TriesNothingThatCannotComputeTheCells) {
  for (const RecurrentSpec& spec :
       {RecurrentSpec{.cell = CellKind::kGru, .reset = GruReset::kBefore, .hidden = {16, 16}},
        RecurrentSpec{.hidden = {16}, .directions = 2, .layer_norm = true, .projection = 8},
        RecurrentSpec{.hidden = {16, 24}, .input_gate = InputGate::kCoupled}})
    EXPECT_FALSE(chosen({.spec = spec, .steps = 6, .batch = 3, .input = 8, .training = true})
                     .is_persistent());
}

INSTANTIATE_TEST_SUITE_P(On, RecurrentAuto, ::testing::Values("CudaAuto"), backend_name);

}  // namespace
}  // namespace unroll::test
