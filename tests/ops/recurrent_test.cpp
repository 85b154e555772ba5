/// The recurrent node's kernels: every cell, direction and depth, with and without lengths and
/// dropout, against the float64 reference, with guard words around every buffer.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <iostream>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/backends.h"
#include "tests/support/compare.h"
#include "tests/support/random.h"
#include "tests/support/recurrent_case.h"
#include "tests/support/recurrent_fixture.h"
#include "tests/support/recurrent_kernel_run.h"
#include "tests/support/reference.h"
#include "tests/support/reference_recurrent.h"
#include "tests/support/reference_training.h"

namespace unroll::test {
namespace {

/// Sizes around vectors and warps, with a projection too, N = 1 (a matrix times a vector), sizes
/// that grow and shrink from layer to layer, and long sequences.
std::vector<RecurrentCase> forward_shapes() {
  return {
      recurrent_shape({1}, 1, 1, 1, 1, false),
      recurrent_shape({5}, 1, 4, 3, 7, false),
      recurrent_shape({5}, 2, 4, 3, 7, true),
      recurrent_shape({33, 32}, 1, 3, 20, 31, true),
      recurrent_shape({33, 32}, 2, 3, 1, 5, false),
      recurrent_shape({16, 16, 16}, 2, 5, 3, 16, true),
      recurrent_shape({16, 16, 16}, 1, 5, 3, 16, true),
      recurrent_shape({9, 9, 4, 4}, 1, 6, 2, 24, false),
      recurrent_shape({40, 17, 257}, 1, 2, 3, 33, false),
      recurrent_shape({64}, 1, 40, 4, 8, false),
      recurrent_shape({44, 43}, 2, 2, 3, 5, true),
      recurrent_shape({344}, 1, 2, 2, 3, false),
  };
}

class RecurrentKernel : public OnRecurrentCases {};

TEST_P(RecurrentKernel, ForwardMatchesFloat64) {
  for (const RecurrentCase& c : taken(recurrent_cases(with_divided(forward_shapes()))))
    for (const bool training : {false, true}) {
      SCOPED_TRACE(describe(c) + (training ? " training" : ""));
      const auto data = recurrent_data(c, 31);
      KernelRun run(*backend_, *memory_, c, data, training);
      EXPECT_FALSE(run.plan().algorithm().empty());
      if (!training) {
        EXPECT_EQ(run.plan().reserve_bytes(), 0U);
      }
      expect_outputs(c, run.forward(), reference::recurrent(c.spec, data));
      finish_case();
    }
}

/// Small enough for complex step with respect to every element.
std::vector<RecurrentCase> gradient_cases() {
  return recurrent_cases({
      recurrent_shape({1}, 1, 1, 1, 1, false),
      recurrent_shape({5}, 1, 4, 3, 3, false),
      recurrent_shape({4}, 2, 4, 3, 3, true),
      recurrent_shape({5, 3}, 1, 3, 4, 2, true),
      recurrent_shape({3, 4}, 2, 3, 1, 2, false),
      recurrent_shape({2, 3, 2}, 2, 4, 3, 2, true),
      recurrent_shape({3, 2, 3}, 1, 3, 2, 2, false),
      recurrent_shape({3, 3, 3}, 1, 5, 2, 2, true),
      recurrent_shape({8, 8}, 1, 4, 1, 8, false),
  });
}

TEST_P(RecurrentKernel, GradientsMatchComplexStep) {
  for (const RecurrentCase& c : taken(gradient_cases())) {
    SCOPED_TRACE(describe(c));
    const auto data = recurrent_data(c, 32);
    expect_complex_step_gradients(c, data, KernelRun(*backend_, *memory_, c, data, true));
    finish_case();
  }
}

// For sizes with too many elements for complex step: one random direction per input. A sum of n
// products of a gradient, whose elements have independent errors, has the root of the sum of their
// squares as its error.
TEST_P(RecurrentKernel, GradientsOfLargerStacksMatchComplexStepAlongDirections) {
  for (const RecurrentCase& c : taken(recurrent_cases(with_divided({
           recurrent_shape({33, 32}, 2, 3, 5, 31, true),
           recurrent_shape({40, 17, 65}, 1, 3, 3, 33, false),
           recurrent_shape({32}, 1, 33, 2, 5, true),
       })))) {
    SCOPED_TRACE(describe(c));
    const auto data = recurrent_data(c, 34);
    const RecurrentLoss loss = recurrent_loss(reference::recurrent(c.spec, data), 35);
    KernelRun run(*backend_, *memory_, c, data, true);
    run.forward();
    const std::vector<std::vector<float>> actual = run.backward(loss, {});
    const std::vector<Reals> inputs = flatten(data);
    Random random(36);
    std::vector<Reals> directions;
    directions.reserve(inputs.size());
    for (const Reals& input : inputs) directions.push_back(random.array(input.dims, -1, 1));
    const std::vector<double> expected =
        reference::complex_step_along(inputs, directions, complex_loss(c, loss, data));
    const std::vector<std::string> names = flat_names(data);
    for (std::size_t k = 0; k < inputs.size(); ++k) {
      double slope = 0, squares = 0;
      for (std::size_t e = 0; e < actual[k].size(); ++e) {
        const double term = double(actual[k][e]) * directions[k].values[e];
        slope += term;
        squares += term * term;
      }
      EXPECT_NEAR(slope, expected[k],
                  2 * recurrent_gradient_ulps(c) * kUlp * std::max(1.0, std::sqrt(squares)))
          << "gradient of " << names[k];
    }
    finish_case();
  }
}

TEST_P(RecurrentKernel, EmptyGradientsOfOutputsMeanZero) {
  for (const RecurrentCase& c :
       taken(recurrent_cases({recurrent_shape({4, 3}, 2, 3, 3, 2, true)}))) {
    SCOPED_TRACE(describe(c));
    const auto data = recurrent_data(c, 37);
    const RecurrentLoss full = recurrent_loss(reference::recurrent(c.spec, data), 38);
    expect_empty_gradients_mean_zero(
        data, full, [&] { return KernelRun(*backend_, *memory_, c, data, true); },
        [&] { finish_case(); });
  }
}

TEST_P(RecurrentKernel, BackwardCanBeRepeated) {
  for (const RecurrentCase& c :
       taken(recurrent_cases({recurrent_shape({8, 8}, 1, 4, 3, 5, false)}))) {
    SCOPED_TRACE(describe(c));
    const auto data = recurrent_data(c, 39);
    const RecurrentLoss loss = recurrent_loss(reference::recurrent(c.spec, data), 40);
    KernelRun run(*backend_, *memory_, c, data, true);
    const auto first_y = run.forward().y.values;
    const auto first = run.backward(loss, {});
    const auto same = [&](const std::vector<float>& now, const std::vector<float>& before) {
      return repeats_bits() ? identical(now, before)
                            : close(now, doubles(before), recurrent_gradient_ulps(c));
    };
    EXPECT_TRUE(same(run.forward().y.values, first_y));
    const auto second = run.backward(loss, {});
    for (std::size_t k = 0; k < first.size(); ++k) EXPECT_TRUE(same(second[k], first[k]));
    finish_case();
  }
}

// Data past the end of a sequence must not matter and gets no gradient. The results are those of
// the sequence on its own.
TEST_P(RecurrentKernel, NothingPastASequencesEndMatters) {
  if (is_cudnn()) GTEST_SKIP() << "cuDNN's form takes no lengths";
  for (RecurrentCase c : taken(recurrent_cases({recurrent_shape({6, 5}, 2, 6, 4, 3, true)}))) {
    SCOPED_TRACE(describe(c));
    auto data = recurrent_data(c, 41);
    data.lengths = {3, 6, 0, 1};
    const RecurrentLoss loss = recurrent_loss(reference::recurrent(c.spec, data), 42);
    auto garbage = data;
    const auto past = [&](std::int64_t t, std::int64_t n) {
      return t >= data.lengths[std::size_t(n)];
    };
    for (std::int64_t t = 0; t < c.steps; ++t)
      for (std::int64_t n = 0; n < c.batch; ++n)
        for (std::int64_t i = 0; i < c.input; ++i)
          if (past(t, n)) garbage.x.at(t * c.batch + n, i) = 1e6;
    KernelRun run(*backend_, *memory_, c, data, true);
    KernelRun other(*backend_, *memory_, c, garbage, true);
    const auto out = run.forward(), other_out = other.forward();
    EXPECT_TRUE(identical(other_out.y.values, out.y.values));
    for (std::size_t k = 0; k < out.h_n.size(); ++k)
      EXPECT_TRUE(identical(other_out.h_n[k].values, out.h_n[k].values));
    const auto expect_zeros_past_the_end = [&](const reference::Array<float>& a) {
      for (std::int64_t t = 0; t < c.steps; ++t)
        for (std::int64_t n = 0; n < c.batch; ++n)
          for (std::int64_t k = 0; k < a.last() && past(t, n); ++k)
            EXPECT_EQ(a.at(t * c.batch + n, k), 0.0F);
    };
    expect_zeros_past_the_end(out.y);

    const auto slopes = run.backward(loss, {}), other_slopes = other.backward(loss, {});
    for (std::size_t k = 0; k < slopes.size(); ++k)
      EXPECT_TRUE(identical(other_slopes[k], slopes[k])) << flat_names(data)[k];
    expect_zeros_past_the_end({data.x.dims, slopes[0]});
    finish_case();
  }
}

// Lengths that are all T: both paths through the code must give the same.
TEST_P(RecurrentKernel, FullLengthsAreNoLengths) {
  if (is_cudnn()) GTEST_SKIP() << "cuDNN's form takes no lengths";
  for (const RecurrentCase& c :
       taken(recurrent_cases({recurrent_shape({9, 8}, 2, 5, 3, 4, false)}))) {
    SCOPED_TRACE(describe(c));
    auto data = recurrent_data(c, 43);
    const RecurrentLoss loss = recurrent_loss(reference::recurrent(c.spec, data), 44);
    KernelRun none(*backend_, *memory_, c, data, true);
    auto with = data;
    with.lengths.assign(std::size_t(c.batch), std::int32_t(c.steps));
    KernelRun full(*backend_, *memory_, c, with, true);
    expect_outputs(c, full.forward(), reference::recurrent(c.spec, data));
    none.forward();
    const auto a = none.backward(loss, {}), b = full.backward(loss, {});
    for (std::size_t k = 0; k < a.size(); ++k)
      EXPECT_TRUE(close(b[k], doubles(a[k]), recurrent_gradient_ulps(c)));
    finish_case();
  }
}

// The masks between layers are Philox's at key + layer, element by element of [T, N, D H]. Given
// them, the reference computes values and gradients.
TEST_P(RecurrentKernel, DropoutBetweenLayersUsesPhiloxMasks) {
  constexpr std::uint64_t kKey = 0xABCDEF0123456789;
  constexpr std::int64_t kStep = 77;
  for (RecurrentCase c : taken(recurrent_cases({recurrent_shape({5, 3, 2}, 2, 3, 3, 2, true),
                                                recurrent_shape({7, 3}, 1, 3, 2, 2, false),
                                                recurrent_shape({5, 5, 5}, 1, 5, 2, 3, true)}))) {
    SCOPED_TRACE(describe(c));
    c.spec.dropout = 0.25F;
    auto data = recurrent_data(c, 45);
    for (std::size_t layer = 0; layer + 1 < c.spec.hidden.size(); ++layer)
      data.masks.push_back(reference::dropout_mask({c.steps, c.batch, c.spec.output(int(layer))},
                                                   0.25, kKey + layer, kStep));
    const auto expected = reference::recurrent(c.spec, data);
    const RecurrentLoss loss = recurrent_loss(expected, 46);
    KernelRun inference(*backend_, *memory_, c, data, false, kStep, kKey);
    expect_outputs(c, inference.forward(), expected);
    KernelRun run(*backend_, *memory_, c, data, true, kStep, kKey);
    expect_outputs(c, run.forward(), expected);
    expect_gradients(c, data, run.backward(loss, {}),
                     reference::complex_step(flatten(data), complex_loss(c, loss, data)));
    finish_case();
  }
}

// A plan may keep the weights in its own form; prepare() tells it that they changed.
TEST_P(RecurrentKernel, PrepareTakesNewWeights) {
  for (const RecurrentCase& c :
       taken(recurrent_cases({recurrent_shape({17, 9}, 2, 3, 2, 5, false)}))) {
    SCOPED_TRACE(describe(c));
    const auto data = recurrent_data(c, 47), other = recurrent_data(c, 48);
    const auto plan = backend_->recurrent_plan(
        {.spec = c.spec, .steps = c.steps, .batch = c.batch, .input = c.input});
    const View x = memory_->in(data.x), step = memory_->in<std::int64_t>({0}, {1});
    const View scratch = memory_->raw(plan->scratch_bytes());
    std::vector<View> h0, c0, h_n, c_n;
    for (const Reals& h : data.h0) h0.push_back(memory_->in(h)), h_n.push_back(memory_->inout(h));
    for (const Reals& h : data.c0) c0.push_back(memory_->in(h)), c_n.push_back(memory_->inout(h));
    const std::vector<CellParameter> parameters = cell_parameters(c.spec, 0, c.input);
    std::vector<RecurrentWeights> weights;
    for (const auto& w : data.weights) {
      weights.emplace_back();
      for (const CellParameter& p : parameters) p.of(weights.back()) = memory_->inout(p.of(w));
    }
    const View y = memory_->out({c.steps, c.batch, c.spec.output()});
    for (const auto& now : {data, other}) {
      for (std::size_t k = 0; k < weights.size(); ++k)
        for (const CellParameter& p : parameters) {
          const View& view = p.of(weights[k]);
          backend_->upload(view.data, floats(p.of(now.weights[k])).data(), view.bytes());
        }
      plan->prepare(weights);
      plan->forward({.x = x,
                     .lengths = {},
                     .h0 = h0,
                     .c0 = c0,
                     .weights = weights,
                     .step = step,
                     .y = y,
                     .h_n = h_n,
                     .c_n = c_n,
                     .reserve = {},
                     .scratch = scratch});
      auto expected = data;
      expected.weights = now.weights;
      EXPECT_TRUE(close(memory_->get(y), reference::recurrent(c.spec, expected).y.values,
                        recurrent_ulps(c)));
    }
    finish_case();
  }
}

// In these cases the blocks of two timesteps of a wavefront end before, at and after the last step.
INSTANTIATE_TEST_SUITE_P(On, RecurrentKernel,
                         ::testing::Values("Cpu", "Cuda", "CudaWavefront", "CudaPersistent",
                                           "CudaPersistentForward", "CudaPersistentBackward",
                                           "CudaCudnn"),
                         backend_name);

/// |actual - expected| / |expected|, as vectors.
double relative_distance(const std::vector<float>& actual, const std::vector<double>& expected) {
  double difference = 0, norm = 0;
  for (std::size_t k = 0; k < expected.size(); ++k) {
    difference += (double(actual[k]) - expected[k]) * (double(actual[k]) - expected[k]);
    norm += expected[k] * expected[k];
  }
  return std::sqrt(difference / norm);
}

class RecurrentPrecision : public OnRecurrentCases {
 protected:
  /// The largest relative error of rounding an operand. It is not documented whether the conversion
  /// to TF32 rounds or truncates; this is the error of truncation.
  double unit() const {
    if (is_float16()) return 0x1p-11;
    return is_half() ? 0x1p-8 : 0x1p-10;
  }
  /// Whether operands are stored in 16 bits.
  bool is_half() const { return backend_->precision() == Precision::kBf16 || is_float16(); }
  bool is_float16() const { return is_cudnn() && backend_->recurrent_algorithm().cudnn()->half; }
  void expect_small_errors(const RecurrentCase& c, const reference::RecurrentInputs<double>& data,
                           std::int64_t step = 0, std::uint64_t dropout_key = 0);
};

// Operands of products are rounded: W and x once, h in each step, and in the backward pass the
// gradients of the gates in each step. Let u be the largest relative error of a rounding. A sum of
// products of rounded factors of random signs has a relative error of about 2 u / sqrt(3); T steps
// add such errors like a random walk, and a layer passes its own to the next. 2 u sqrt(T) per
// layer, and the same again for the backward pass, bounds all of it; float32's own roundings are
// negligible. cuDNN's 16-bit types also hold the state (c, or the h that a GRU mixes), which is one
// more rounding in each step, and the output of dropout, one per layer: 3 u sqrt(T). The test also
// checks that the error is not far smaller, which would show another precision than the requested
// one. For TF32 cuBLAS may still compute such small products in float32, so matmul_test.cpp checks
// that with a larger one.
void RecurrentPrecision::expect_small_errors(const RecurrentCase& c,
                                             const reference::RecurrentInputs<double>& data,
                                             std::int64_t step, std::uint64_t dropout_key) {
  const double u = unit();
  const auto expected = reference::recurrent(c.spec, data);
  const double bound =
      (is_cudnn() && is_half() ? 3 : 2) * u * std::sqrt(double(c.steps)) * double(c.spec.layers());
  KernelRun inference(*backend_, *memory_, c, data, false, step, dropout_key);
  EXPECT_LT(relative_distance(inference.forward().y.values, expected.y.values), bound);
  KernelRun run(*backend_, *memory_, c, data, true, step, dropout_key);
  const auto out = run.forward();
  const double distance = relative_distance(out.y.values, expected.y.values);
  EXPECT_LT(distance, bound);
  if (is_half()) {
    EXPECT_GT(distance, u / 100);
  }

  // Where rounding moves a pre-activation to the other side of zero, the gradient of relu changes.
  if (c.spec.cell == CellKind::kRnnRelu) return;
  // There are too many gradients for the reference. The CPU's, which complex step has confirmed,
  // replace them.
  const RecurrentLoss loss = recurrent_loss(expected, 50);
  const auto host = cpu(2);
  GuardedMemory host_memory(*host);
  KernelRun exact(*host, host_memory, c, data, true, step, dropout_key);
  exact.forward();
  const auto slopes = run.backward(loss, {}), exact_slopes = exact.backward(loss, {});
  for (std::size_t k = 0; k < slopes.size(); ++k)
    EXPECT_LT(relative_distance(slopes[k], doubles(exact_slopes[k])), 2 * bound)
        << "gradient of " << flat_names(data)[k];
}

TEST_P(RecurrentPrecision, ErrsByTheRoundingOfOperands) {
  for (const RecurrentCase& c : taken(recurrent_cases(with_divided({
           recurrent_shape({33, 33}, 1, 5, 7, 31, true),
           recurrent_shape({40, 24}, 2, 4, 9, 17, false),
           recurrent_shape({64, 64, 64}, 1, 9, 8, 64, false),
       })))) {
    SCOPED_TRACE(describe(c));
    expect_small_errors(c, recurrent_data(c, 49));
    finish_case();
  }
}

TEST_P(RecurrentPrecision, DropsWhatFloat32Drops) {
  constexpr std::uint64_t kKey = 0x123456789ABCDEF;
  constexpr std::int64_t kStep = 5;
  for (RecurrentCase c : taken(recurrent_cases({recurrent_shape({17, 17}, 2, 3, 3, 9, false)}))) {
    SCOPED_TRACE(describe(c));
    c.spec.dropout = 0.25F;
    auto data = recurrent_data(c, 51);
    data.masks.push_back(
        reference::dropout_mask({c.steps, c.batch, c.spec.output(0)}, 0.25, kKey, kStep));
    expect_small_errors(c, data, kStep, kKey);
    finish_case();
  }
}

INSTANTIATE_TEST_SUITE_P(On, RecurrentPrecision,
                         ::testing::Values("CpuBf16", "CudaTf32", "CudaBf16", "CudaPersistentTf32",
                                           "CudaPersistentBf16", "CudaCudnnTf32", "CudaCudnnBf16",
                                           "CudaCudnnFp16"),
                         backend_name);

class RecurrentPersistent : public OnRecurrentCases {};

// 4 H^2 weights at 4 bytes, or 2: more than fits into the shared memory of any GPU.
TEST_P(RecurrentPersistent, SaysHowManyUnitsWouldFit) {
  try {
    backend_->recurrent_plan(
        {.spec = {.hidden = {8, 6000}}, .steps = 3, .batch = 2, .input = 8, .training = true});
    ADD_FAILURE() << "was planned";
  } catch (const Unsupported& refusal) {
    const std::string text = refusal.what();
    const std::string begin = "RNN algorithm persistent: got 6000 hidden units, expected at most ";
    ASSERT_TRUE(text.starts_with(begin)) << text;
    EXPECT_TRUE(text.ends_with(" multiprocessors; use the algorithm stepwise")) << text;
    EXPECT_EQ(text.find('\n'), text.npos) << text;
    const std::int64_t most = std::stoll(text.substr(begin.size()));
    const auto plan = [&](std::int64_t units) {
      return backend_->recurrent_plan(
          {.spec = {.hidden = {units}}, .steps = 3, .batch = 2, .input = 8, .training = true});
    };
    EXPECT_EQ(plan(most)->algorithm(), "persistent");
    EXPECT_THROW(plan(most + 1), Unsupported);
  }
}

// The blocks wait for values that continue from one launch to the next.
TEST_P(RecurrentPersistent, GoesOnAfterManyPasses) {
  RecurrentCase c = recurrent_shape({24, 16}, 2, 3, 5, 4, true);
  c.name = "lstm";
  const auto data = recurrent_data(c, 85);
  const RecurrentLoss loss = recurrent_loss(reference::recurrent(c.spec, data), 86);
  KernelRun run(*backend_, *memory_, c, data, true);
  const auto y = run.forward().y.values;
  const auto slopes = run.backward(loss, {});
  for (int pass = 0; pass < 3; ++pass) {
    for (int forward = 0; forward <= pass; ++forward)  // evaluations in between
      EXPECT_TRUE(identical(run.forward().y.values, y));
    const auto again = run.backward(loss, {});
    for (std::size_t k = 0; k < slopes.size(); ++k) EXPECT_TRUE(identical(again[k], slopes[k]));
  }
}

INSTANTIATE_TEST_SUITE_P(On, RecurrentPersistent,
                         ::testing::Values("CudaPersistent", "CudaPersistentTf32",
                                           "CudaPersistentBf16"),
                         backend_name);

class RecurrentOnCudnn : public OnRecurrentCases {
 protected:
  /// Runs both passes of an LSTM and checks them with expect_right(). Returns cuDNN's words if it
  /// refused a pass or the plan; empty if it accepted all.
  std::string refusal_of(const CudaOptions& options, double unit);
  /// Compares with float64 and the CPU's gradients; the bounds are those of RecurrentPrecision.
  /// `unit`: the largest relative error of rounding an operand or, in float32, a sum.
  static void expect_right(KernelRun& run, const RecurrentCase& c, double unit);
};

// The backward pass overwrites what the forward pass kept, so a second one would be wrong.
TEST_P(RecurrentOnCudnn, RefusesASecondBackwardPass) {
  RecurrentCase c = recurrent_shape({4}, 1, 2, 2, 3, false);
  const auto data = recurrent_data(c, 81);
  const RecurrentLoss loss = recurrent_loss(reference::recurrent(c.spec, data), 82);
  KernelRun run(*backend_, *memory_, c, data, true);
  EXPECT_TRUE(run.plan().algorithm().starts_with(to_string(backend_->recurrent_algorithm())));
  run.forward();
  run.backward(loss, {});
  EXPECT_THROW(run.backward(loss, {}), Unsupported);
  run.forward();
  EXPECT_NO_THROW(run.backward(loss, {}));
}

void RecurrentOnCudnn::expect_right(KernelRun& run, const RecurrentCase& c, double unit) {
  const auto data = recurrent_data(c, 83);
  const auto expected = reference::recurrent(c.spec, data);
  const double bound = 3 * unit * std::sqrt(double(c.steps)) * double(c.spec.layers());
  EXPECT_LT(relative_distance(run.forward().y.values, expected.y.values), bound);
  const RecurrentLoss loss = recurrent_loss(expected, 84);
  const auto host = cpu(2);
  GuardedMemory host_memory(*host);
  KernelRun exact(*host, host_memory, c, data, true);
  exact.forward();
  const auto slopes = run.backward(loss, {}), exact_slopes = exact.backward(loss, {});
  for (std::size_t k = 0; k < slopes.size(); ++k)
    EXPECT_LT(relative_distance(slopes[k], doubles(exact_slopes[k])), 2 * bound)
        << "gradient of " << flat_names(data)[k];
}

std::string RecurrentOnCudnn::refusal_of(const CudaOptions& options, double unit) {
  RecurrentCase c = recurrent_shape({128, 128}, 1, 3, 2, 64, false);
  c.name = "lstm";
  const auto backend = cuda(0, options);
  GuardedMemory memory(*backend);
  try {
    KernelRun run(*backend, memory, c, recurrent_data(c, 83), true);
    EXPECT_TRUE(run.plan().algorithm().starts_with(to_string(backend->recurrent_algorithm())));
    expect_right(run, c, unit);
    EXPECT_TRUE(memory.intact());
    return "";
  } catch (const Unsupported& refusal) {
    const std::string text = refusal.what();
    EXPECT_NE(text.find("cuDNN refuses: CUDNN_STATUS_"), text.npos) << text;
    EXPECT_NE(text.find("use the algorithm stepwise"), text.npos) << text;
    EXPECT_EQ(text.find('\n'), text.npos) << text;
    return text;
  }
}

// cuDNN's manual says that the persistent algorithms do not take bfloat16. Whether a version
// refuses it, when a node is planned or at its first pass, is not documented: a refusal is passed
// on, and accepted work must be right. The stand-in refuses at both times.
TEST_P(RecurrentOnCudnn, PassesOnWhatTheLibraryRefuses) {
  for (const std::string form : {"persist_static", "persist_dynamic", "persist_static_small_h"}) {
    SCOPED_TRACE(form);
    const CudaOptions options{.precision = Precision::kBf16,
                              .recurrent_algorithm = named("cudnn:" + form)};
    const std::string refusal = refusal_of(options, 0x1p-8);
    if (emulation::calls()) {
      EXPECT_NE(refusal, "");
      const auto plan = [&] {
        return cuda(0, options)
            ->recurrent_plan({.spec = {.hidden = {128}}, .steps = 3, .batch = 2, .input = 8});
      };
      if (form == "persist_dynamic")
        EXPECT_NO_THROW(plan());
      else
        EXPECT_THROW(plan(), Unsupported);
    }
  }
}

// All of them take an LSTM of one size; the dynamic one is first built for its batch. A real cuDNN
// may refuse any but the first, and the test's output then says so.
TEST_P(RecurrentOnCudnn, TakesEveryForm) {
  for (const std::string form : {"cudnn", "cudnn:standard:packed", "cudnn:persist_static",
                                 "cudnn:persist_dynamic", "cudnn:persist_static_small_h"}) {
    SCOPED_TRACE(form);
    const std::string refusal = refusal_of({.recurrent_algorithm = named(form)}, 0x1p-20);
    if (refusal.empty()) continue;
    EXPECT_TRUE(form != "cudnn" && !emulation::calls()) << refusal;
    std::cout << form << ": " << refusal << "\n";
  }
}

// cuDNN's manual: a projection is for LSTM cells and the standard algorithm only.
TEST_P(RecurrentOnCudnn, HasProjectionsOnlyInTheStandardAlgorithm) {
  const auto plan_name = [](const std::string& algorithm) {
    return cuda(0, {.recurrent_algorithm = named(algorithm)})
        ->recurrent_plan(
            {.spec = {.hidden = {128}, .projection = 64}, .steps = 3, .batch = 2, .input = 8})
        ->algorithm();
  };
  for (const std::string form : {"persist_static", "persist_dynamic", "persist_static_small_h"})
    try {
      plan_name("cudnn:" + form);
      ADD_FAILURE() << form << " was planned";
    } catch (const Unsupported& refusal) {
      EXPECT_EQ(std::string(refusal.what()),
                "RNN algorithm cudnn:" + form +
                    ": only cudnn:standard has a projection; use the algorithm stepwise");
    }
  for (const std::string form : {"cudnn:standard:packed", "cudnn:standard:fp16"})
    EXPECT_EQ(plan_name(form), form);
}

// The name of a plan says which layout it has: the unpacked one, unless the other is requested or
// cuDNN refuses it, as its stand-in does for one algorithm.
TEST_P(RecurrentOnCudnn, APlanNamesItsLayout) {
  const auto name = [](const std::string& algorithm) {
    return cuda(0, {.recurrent_algorithm = named(algorithm)})
        ->recurrent_plan({.spec = {.hidden = {128}}, .steps = 3, .batch = 2, .input = 8})
        ->algorithm();
  };
  EXPECT_EQ(name("cudnn:standard:packed"), "cudnn:standard:packed");
  EXPECT_EQ(name("cudnn:standard:packed:fp16:bare"), "cudnn:standard:packed:fp16:bare");
  if (!emulation::calls()) return;
  EXPECT_EQ(name("cudnn"), "cudnn:standard");
  EXPECT_EQ(name("cudnn:persist_dynamic"), "cudnn:persist_dynamic:packed");
}

// A bare form computes the given values once after each prepare(), and then only calls cuDNN.
TEST_P(RecurrentOnCudnn, ABareFormOnlyCallsCudnnOnceItHasItsData) {
  const auto backend =
      cuda(0, {.precision = Precision::kBf16, .recurrent_algorithm = named("cudnn:standard:bare")});
  GuardedMemory memory(*backend);
  const auto launches = [] { return emulation::calls() ? emulation::calls()->queued.kernel : 0; };
  for (RecurrentCase c : {recurrent_shape({16, 16}, 1, 4, 3, 8, false),
                          recurrent_shape({16, 8, 24}, 1, 4, 3, 8, false),
                          recurrent_shape({16, 16, 24}, 2, 4, 3, 8, false)}) {
    c.name = "lstm";
    if (c.spec.directions == 2) c.spec.projection = 12;
    SCOPED_TRACE(describe(c));
    const auto data = recurrent_data(c, 83);
    const RecurrentLoss loss = recurrent_loss(reference::recurrent(c.spec, data), 84);
    KernelRun run(*backend, memory, c, data, true);
    expect_right(run, c, 0x1p-8);
    for (int pass = 0; pass < 3; ++pass) {
      const auto before = launches();
      run.forward();
      for (const auto& slope : run.backward(loss, {}))
        EXPECT_TRUE(std::all_of(slope.begin(), slope.end(), [](float x) { return std::isnan(x); }))
            << "nothing is brought back";
      EXPECT_EQ(launches() - before, 0);
    }
    run.prepare();
    expect_right(run, c, 0x1p-8);
    EXPECT_TRUE(memory.intact());
    memory.free();
  }
}

// An evaluation next to a training run keeps no second copy of the weights.
TEST_P(RecurrentOnCudnn, PlansOverTheSameVariablesShareTheirCopies) {
  const RecurrentSpec spec{.hidden = {16, 16}};
  const std::int64_t sizes[4] = {64 * 16, 64 * 16, 64, 64};
  std::uint64_t version = 1;
  std::vector<RecurrentWeights> weights;
  for (int layer = 0; layer < 2; ++layer) {
    View views[4];
    for (int k = 0; k < 4; ++k) {
      views[k] = memory_->inout(std::vector<float>(std::size_t(sizes[k])),
                                k < 2 ? Shape{64, 16} : Shape{64});
      views[k].version = &version;
    }
    weights.push_back({views[0], views[1], views[2], views[3]});
  }
  const auto plan = [&](std::int64_t steps, bool training) {
    auto made = backend_->recurrent_plan(
        {.spec = spec, .steps = steps, .batch = 2, .input = 16, .training = training});
    const std::size_t before = backend_->memory().now;
    made->prepare(weights);
    return std::pair(std::move(made), backend_->memory().now - before);
  };
  const auto first = plan(3, true), second = plan(5, false);
  EXPECT_GE(first.second, std::size_t(2 * (sizes[0] + sizes[1] + sizes[2] + sizes[3])) * 4);
  EXPECT_EQ(second.second, 0U);
}

INSTANTIATE_TEST_SUITE_P(On, RecurrentOnCudnn, ::testing::Values("CudaCudnn"), backend_name);

}  // namespace
}  // namespace unroll::test
