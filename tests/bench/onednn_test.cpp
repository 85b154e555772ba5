/// oneDNN's recurrent primitives as a plan: the same cases, reference and guard words as for our
/// own kernels. Skipped by name if there is no module.
#include "host/bench/onednn_module.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/backends.h"
#include "tests/support/compare.h"
#include "tests/support/random.h"
#include "tests/support/recurrent_case.h"
#include "tests/support/recurrent_kernel_run.h"
#include "tests/support/reference.h"
#include "tests/support/reference_recurrent.h"

namespace unroll::test {
namespace {

using benchmark::onednn_recurrent_plan;
using benchmark::onednn_version;

RecurrentArgs args_of(const RecurrentCase& c, bool training) {
  return {
      .spec = c.spec, .steps = c.steps, .batch = c.batch, .input = c.input, .training = training};
}

/// One primitive for all layers, for some, and for each; layers that grow and shrink; both
/// directions; sizes around vector registers.
std::vector<RecurrentCase> forward_cases() {
  return plain_recurrent_cases({
      recurrent_shape({1}, 1, 1, 1, 1, false),
      recurrent_shape({5}, 1, 4, 3, 7, false),
      recurrent_shape({5}, 2, 4, 3, 7, false),
      recurrent_shape({33, 32}, 1, 3, 20, 31, false),
      recurrent_shape({33, 32}, 2, 3, 1, 5, false),
      recurrent_shape({16, 16, 16}, 1, 5, 3, 16, false),
      recurrent_shape({16, 16, 16}, 1, 5, 3, 24, false),
      recurrent_shape({9, 9, 4, 4}, 1, 6, 2, 24, false),
      recurrent_shape({16, 16, 16}, 2, 5, 3, 32, false),
      recurrent_shape({40, 17, 257}, 1, 2, 3, 33, false),
      recurrent_shape({64}, 1, 40, 4, 8, false),
  });
}

/// Small enough for complex step with respect to every element.
std::vector<RecurrentCase> onednn_gradient_cases() {
  return plain_recurrent_cases({
      recurrent_shape({1}, 1, 1, 1, 1, false),
      recurrent_shape({5}, 1, 4, 3, 3, false),
      recurrent_shape({4}, 2, 4, 3, 3, false),
      recurrent_shape({5, 3}, 1, 3, 4, 2, false),
      recurrent_shape({3, 3, 3}, 1, 5, 2, 2, false),
      recurrent_shape({3, 3}, 2, 3, 2, 6, false),
      recurrent_shape({8, 8}, 1, 4, 1, 8, false),
  });
}

class OnednnPlan : public ::testing::Test {
 protected:
  void SetUp() override {
    // OpenMP reads it when it is loaded. If other programs compute too, spinning threads wait for
    // each other's time slice at every barrier.
    setenv("OMP_WAIT_POLICY", "passive", 0);
    std::string why;
    if (!onednn_version(&why)) GTEST_SKIP() << why;
  }

  KernelRun run_of(const RecurrentCase& c, const reference::RecurrentInputs<double>& data,
                   bool training, int threads = 2) {
    return {onednn_recurrent_plan(args_of(c, training), threads), memory_, c, data};
  }

  void finish_case() {
    EXPECT_TRUE(memory_.intact());
    memory_.free();
  }

  std::shared_ptr<Backend> host_ = cpu(2);  // for its memory and as a second reference
  GuardedMemory memory_{*host_};
};

TEST_F(OnednnPlan, ForwardMatchesFloat64) {
  for (const RecurrentCase& c : forward_cases())
    for (const bool training : {false, true}) {
      SCOPED_TRACE(describe(c) + (training ? " training" : ""));
      const auto data = recurrent_data(c, 31);
      KernelRun run = run_of(c, data, training);
      if (!training) {
        EXPECT_EQ(run.plan().reserve_bytes(), 0U);
      }
      expect_outputs(c, run.forward(), reference::recurrent(c.spec, data));
      finish_case();
    }
}

TEST_F(OnednnPlan, GradientsMatchComplexStep) {
  for (const RecurrentCase& c : onednn_gradient_cases()) {
    SCOPED_TRACE(describe(c));
    const auto data = recurrent_data(c, 32);
    expect_complex_step_gradients(c, data, run_of(c, data, true));
    finish_case();
  }
}

// At sizes that are too large for complex step, which has confirmed the CPU's gradients. Both sides
// have rounding errors.
TEST_F(OnednnPlan, GradientsOfLargerStacksAreThoseOfOurOwnKernels) {
  for (const RecurrentCase& c : plain_recurrent_cases({
           recurrent_shape({33, 32}, 2, 3, 5, 31, false),
           recurrent_shape({64, 64}, 1, 9, 8, 64, false),
           recurrent_shape({40, 17, 65}, 1, 3, 3, 33, false),
       })) {
    SCOPED_TRACE(describe(c));
    const auto data = recurrent_data(c, 34);
    const RecurrentLoss loss = recurrent_loss(reference::recurrent(c.spec, data), 35);
    KernelRun run = run_of(c, data, true);
    KernelRun own(*host_, memory_, c, data, true);
    run.forward(), own.forward();
    const auto slopes = run.backward(loss, {}), expected = own.backward(loss, {});
    for (std::size_t k = 0; k < slopes.size(); ++k)
      EXPECT_TRUE(close(slopes[k], doubles(expected[k]), 2 * recurrent_gradient_ulps(c)))
          << "gradient of " << flat_names(data)[k];
    finish_case();
  }
}

TEST_F(OnednnPlan, EmptyGradientsOfOutputsMeanZero) {
  for (const RecurrentCase& c :
       plain_recurrent_cases({recurrent_shape({4, 3, 3}, 1, 3, 3, 2, false)})) {
    SCOPED_TRACE(describe(c));
    const auto data = recurrent_data(c, 37);
    const RecurrentLoss full = recurrent_loss(reference::recurrent(c.spec, data), 38);
    expect_empty_gradients_mean_zero(
        data, full, [&] { return run_of(c, data, true); }, [&] { finish_case(); });
  }
}

// Leaving out some outputs does not change the others.
TEST_F(OnednnPlan, EveryOutputMayBeLeftOut) {
  for (const RecurrentCase& c :
       plain_recurrent_cases({recurrent_shape({4, 3, 3}, 1, 3, 3, 2, false)})) {
    SCOPED_TRACE(describe(c));
    const auto data = recurrent_data(c, 51);
    const RecurrentLoss loss = recurrent_loss(reference::recurrent(c.spec, data), 52);
    KernelRun whole = run_of(c, data, true);
    whole.forward();
    const std::vector<float> expected = whole.backward(loss, {}).front();

    const auto plan = onednn_recurrent_plan(args_of(c, true), 2);
    std::vector<View> h0, c0;
    for (const Reals& h : data.h0) h0.push_back(memory_.in(h));
    for (const Reals& h : data.c0) c0.push_back(memory_.in(h));
    std::vector<RecurrentWeights> weights;
    for (const auto& w : data.weights)
      weights.push_back({memory_.in(w.weight_ih), memory_.in(w.weight_hh), memory_.in(w.bias_ih),
                         memory_.in(w.bias_hh)});
    std::vector<View> dh_n, dc_n;
    for (const Reals& h : loss.h_n) dh_n.push_back(memory_.in(h));
    for (const Reals& h : loss.c_n) dc_n.push_back(memory_.in(h));
    const View x = memory_.in(data.x), dx = memory_.out(x.shape);
    const View reserve = memory_.raw(plan->reserve_bytes());
    const View scratch = memory_.raw(plan->scratch_bytes());
    const std::vector<View> no_h(h0.size()), no_c(c0.size());
    const std::vector<RecurrentWeights> no_weights(weights.size());
    plan->prepare(weights);
    plan->forward({.x = x,
                   .lengths = {},
                   .h0 = h0,
                   .c0 = c0,
                   .weights = weights,
                   .step = {},
                   .y = {},
                   .h_n = no_h,
                   .c_n = no_c,
                   .reserve = reserve,
                   .scratch = scratch});
    plan->backward({.x = x,
                    .lengths = {},
                    .h0 = h0,
                    .c0 = c0,
                    .weights = weights,
                    .step = {},
                    .reserve = reserve,
                    .dy = memory_.in(loss.y),
                    .dh_n = dh_n,
                    .dc_n = dc_n,
                    .dx = dx,
                    .dh0 = no_h,
                    .dc0 = no_c,
                    .dweights = no_weights,
                    .scratch = scratch});
    EXPECT_TRUE(close(memory_.get(dx), doubles(expected), 2));
    finish_case();
  }
}

// Its primitives add to gradients of weights.
TEST_F(OnednnPlan, BackwardCanBeRepeated) {
  for (const RecurrentCase& c :
       plain_recurrent_cases({recurrent_shape({8, 8}, 1, 4, 3, 5, false)})) {
    SCOPED_TRACE(describe(c));
    const auto data = recurrent_data(c, 39);
    const RecurrentLoss loss = recurrent_loss(reference::recurrent(c.spec, data), 40);
    KernelRun run = run_of(c, data, true);
    run.forward();
    const auto first = run.backward(loss, {}), second = run.backward(loss, {});
    for (std::size_t k = 0; k < first.size(); ++k)
      EXPECT_TRUE(close(second[k], doubles(first[k]), 2)) << flat_names(data)[k];
    finish_case();
  }
}

TEST_F(OnednnPlan, PrepareTakesNewWeights) {
  for (const RecurrentCase& c :
       plain_recurrent_cases({recurrent_shape({17, 17}, 1, 3, 2, 5, false)})) {
    SCOPED_TRACE(describe(c));
    auto data = recurrent_data(c, 47);
    KernelRun run = run_of(c, data, true);
    run.forward();
    data.weights = recurrent_data(c, 48).weights;
    std::vector<RecurrentWeights> weights;
    for (const auto& w : data.weights)
      weights.push_back({memory_.in(w.weight_ih), memory_.in(w.weight_hh), memory_.in(w.bias_ih),
                         memory_.in(w.bias_hh)});
    run.plan().prepare(weights);
    expect_outputs(c, run.forward(), reference::recurrent(c.spec, data));
    finish_case();
  }
}

TEST_F(OnednnPlan, NamesThePrimitiveAndItsImplementation) {
  const std::vector<std::string> cells = {"vanilla_rnn", "vanilla_rnn", "vanilla_rnn",
                                          "lstm",        "gru",         "lbr_gru"};
  const auto cases = plain_recurrent_cases({recurrent_shape({8}, 1, 2, 2, 8, false)});
  for (std::size_t k = 0; k < cases.size(); ++k) {
    const std::string name = onednn_recurrent_plan(args_of(cases[k], true), 1)->algorithm();
    EXPECT_TRUE(name.starts_with("onednn:" + cells[k] + ":")) << name;
    EXPECT_EQ(name.find(','), std::string::npos) << name;
  }
}

TEST_F(OnednnPlan, RefusesWhatItCannotDo) {
  RecurrentArgs args =
      args_of(plain_recurrent_cases({recurrent_shape({8, 8}, 1, 2, 2, 8, false)})[3], true);
  args.spec.dropout = 0.5F;
  EXPECT_THROW(onednn_recurrent_plan(args, 2), Unsupported);
  args.spec.dropout = 0;
  args.has_lengths = true;
  EXPECT_THROW(onednn_recurrent_plan(args, 2), Unsupported);
  args.has_lengths = false;
  EXPECT_NO_THROW(onednn_recurrent_plan(args, 2));
}

}  // namespace
}  // namespace unroll::test
