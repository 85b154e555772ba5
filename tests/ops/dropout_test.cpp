/// Dropout: the exact bits of its masks, and what they depend on.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include "tests/support/backends.h"
#include "tests/support/compare.h"
#include "tests/support/random.h"
#include "tests/support/reference.h"
#include "tests/support/reference_training.h"
#include "unroll/gradients.h"
#include "unroll/ops.h"
#include "unroll/session.h"

namespace unroll::test {
namespace {

class DropoutKernel : public OnEachBackend {};

TEST_P(DropoutKernel, KeepsTheElementsThatPhiloxKeeps) {
  constexpr std::uint64_t kKeys[] = {0, 1, 0xFEDCBA9876543210};
  constexpr std::int64_t kSteps[] = {0, 1, 0x123456789AB};
  Random random(3);
  for (const std::int64_t n :
       {1, 2, 3, 4, 5, 6, 7, 8, 9, 31, 32, 33, 255, 256, 257, 1023, 1024, 1025, 5000})
    for (const float rate : {0.0F, 0.1F, 0.5F, 0.999F})
      for (const bool in_place : {false, true}) {
        const std::uint64_t key = kKeys[n % 3];
        const std::int64_t step = kSteps[(n + 1) % 3];
        SCOPED_TRACE(::testing::Message() << n << " at rate " << rate << " key " << key);
        const Reals x = random.array({n}, 0.5, 2);
        const Reals expected =
            reference::zip(x, reference::dropout_mask({n}, double(rate), key, step),
                           [](double a, double b) { return a * b; });
        const View in = in_place ? memory_->inout(x) : memory_->in(x);
        const View out = in_place ? in : memory_->out({n});
        backend_->dropout({.in = in,
                           .out = out,
                           .rate = rate,
                           .key = key,
                           .step = memory_->in<std::int64_t>({step}, {1})});
        // 1 - rate, its reciprocal and the product are rounded: three times half an ulp.
        EXPECT_TRUE(close(memory_->get(out), expected.values, 2));
        finish_case();
      }
}

TEST_P(DropoutKernel, ATensorOfHigherRankCountsItsElementsInRowMajorOrder) {
  const std::vector<float> ones(30, 1.0F);
  const View step = memory_->in<std::int64_t>({7}, {1});
  const View flat = memory_->out({30}), cube = memory_->out({2, 3, 5});
  backend_->dropout(
      {.in = memory_->in(ones, {30}), .out = flat, .rate = 0.5F, .key = 9, .step = step});
  backend_->dropout(
      {.in = memory_->in(ones, {2, 3, 5}), .out = cube, .rate = 0.5F, .key = 9, .step = step});
  EXPECT_TRUE(identical(memory_->get(cube), memory_->get(flat)));
}

TEST_P(DropoutKernel, MasksDoNotDependOnAlignment) {
  const std::vector<float> ones(33, 1.0F);
  const View step = memory_->in<std::int64_t>({7}, {1});
  std::vector<float> aligned;
  for (const int shift : {0, 1, 2, 3}) {
    memory_->shift_by(shift);
    const View out = memory_->out({33});
    backend_->dropout(
        {.in = memory_->in(ones, {33}), .out = out, .rate = 0.5F, .key = 9, .step = step});
    if (shift == 0) aligned = memory_->get(out);
    EXPECT_TRUE(identical(memory_->get(out), aligned));
  }
}

UNROLL_FOR_EACH_BACKEND(DropoutKernel);

class DropoutOp : public OnEachBackend {
 protected:
  static constexpr std::int64_t kSize = 20000;

  /// Dropout of ones at rate 0.25, in a fresh session.
  std::vector<float> mask(std::uint64_t seed, std::int64_t step, const char* name = "dropout") {
    Graph g;
    const Tensor y = dropout(g.constant(1, {kSize}), 0.25, name);
    Session session(g, backend_, seed);
    session.set_step(step);
    return session.evaluate(y);
  }
};

TEST_P(DropoutOp, MaskDependsOnSeedNameAndStepAlone) {
  const std::vector<float> base = mask(1, 5);
  EXPECT_EQ(mask(1, 5), base);
  EXPECT_NE(mask(2, 5), base);
  EXPECT_NE(mask(1, 6), base);
  EXPECT_NE(mask(1, 5, "other"), base);

  // Other nodes before or after it change nothing.
  Graph g;
  const Tensor before = dropout(g.constant(1, {33}), 0.25, "before");
  const Tensor y = dropout(g.constant(1, {kSize}), 0.25, "dropout");
  Session session(g, backend_, 1);
  session.set_step(5);
  const std::vector<Tensor> fetches{before, y};
  session.run(fetches, {});
  EXPECT_EQ(session.read(y), base);
}

TEST_P(DropoutOp, MaskIsPhiloxAtTheNodesKeyAndTheSessionsStep) {
  const Reals expected =
      reference::dropout_mask({kSize}, 0.25, reference::philox_key(1, "dropout"), 5);
  EXPECT_TRUE(close(mask(1, 5), expected.values, 1));  // 1 / 0.75, rounded
}

TEST_P(DropoutOp, EveryRunDrawsAnew) {
  Graph g;
  const Tensor y = dropout(g.constant(1, {kSize}), 0.25);
  Session session(g, backend_, 1);
  const std::vector<float> first = session.evaluate(y), second = session.evaluate(y);
  EXPECT_NE(first, second);
  session.set_step(0);
  EXPECT_EQ(session.evaluate(y), first);
  EXPECT_EQ(session.step(), 1);
}

TEST_P(DropoutOp, RateIsTheShareOfZeros) {
  // A binomial with n = 20000 and p = 0.25 has a standard deviation of 61; the bound is 5 of them
  // either way. Pairs of neighbours, of elements 32 apart and of two steps are dropped together
  // with probability 1/16.
  const std::vector<float> a = mask(3, 0), b = mask(3, 1);
  int dropped = 0, neighbours = 0, warps = 0, steps = 0;
  for (std::size_t k = 0; k < a.size(); ++k) {
    dropped += a[k] == 0;
    neighbours += k >= 1 && a[k] == 0 && a[k - 1] == 0;
    warps += k >= 32 && a[k] == 0 && a[k - 32] == 0;
    steps += a[k] == 0 && b[k] == 0;
  }
  EXPECT_NEAR(dropped, 5000, 306);
  EXPECT_NEAR(neighbours, 1250, 200);  // standard deviation about 37, and neighbours correlate
  EXPECT_NEAR(warps, 1248, 200);
  EXPECT_NEAR(steps, 1250, 171);
}

TEST_P(DropoutOp, GradientUsesTheSameMask) {
  Graph g;
  const Tensor x = g.placeholder("x", {1000});
  const Tensor y = dropout(x, 0.5);
  const Tensor w = g.placeholder("w", {1000});
  const Tensor slope = dense_gradients(reduce_sum(w * y), {x})[0];
  Random random(2);
  const std::vector<float> xv(1000, 1.0F), wv = floats(random.array({1000}, 1, 2));
  const std::vector<Feed> feeds{{x, xv}, {w, wv}};
  const std::vector<Tensor> fetches{y, slope};
  Session session(g, backend_);
  for (int run = 0; run < 3; ++run) {
    session.run(fetches, feeds);
    const std::vector<float> value = session.read(y), gradient = session.read(slope);
    for (std::size_t k = 0; k < value.size(); ++k) EXPECT_EQ(gradient[k], value[k] * wv[k]);
  }
}

TEST_P(DropoutOp, RateZeroChangesNothing) {
  Graph g;
  const Tensor x = g.placeholder("x", {33});
  Random random(2);
  const std::vector<float> values = floats(random.array({33}, -2, 2));
  const Tensor y = dropout(x, 0);
  Session session(g, backend_);
  EXPECT_TRUE(identical(session.evaluate(y, {{x, values}}), values));
}

UNROLL_FOR_EACH_BACKEND(DropoutOp);

TEST(DropoutArguments, RateLiesInZeroToOne) {
  Graph g;
  const Tensor x = g.placeholder("x", {3});
  EXPECT_THROW(dropout(x, 1), std::invalid_argument);
  EXPECT_THROW(dropout(x, -0.1), std::invalid_argument);
  EXPECT_THROW(dropout(x, std::nan("")), std::invalid_argument);
  EXPECT_THROW(dropout(g.placeholder("ids", {3}, DType::kInt32), 0.5), std::invalid_argument);
}

}  // namespace
}  // namespace unroll::test
