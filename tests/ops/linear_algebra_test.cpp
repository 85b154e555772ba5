/// Inverses and determinants.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/support/backends.h"
#include "tests/support/compare.h"
#include "tests/support/graph_case.h"
#include "tests/support/random.h"
#include "tests/support/recording_backend.h"
#include "tests/support/reference.h"
#include "unroll/gradients.h"
#include "unroll/ops.h"
#include "unroll/optimizer.h"

namespace unroll::test {
namespace {

class LinearAlgebra : public OnEachBackend {
 protected:
  void SetUp() override {
    OnEachBackend::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    try {
      if (!backend_->linear_algebra()) GTEST_SKIP() << backend_->name() << " has no inverses";
    } catch (const std::runtime_error& missing) {
      GTEST_SKIP() << missing.what();
    }
  }
};

/// x + 2 sqrt(n) I: for elements of x in [-1, 1] the eigenvalues lie around 2 sqrt(n) within a
/// circle of radius sqrt(n / 3), so the condition number is some 3 and results are accurate.
Tensor well_conditioned(Tensor x) {
  const std::int64_t n = x.shape().last();
  std::vector<float> diagonal(std::size_t(n * n), 0);
  for (std::int64_t k = 0; k < n; ++k)
    diagonal[std::size_t(k * n + k)] = float(2 * std::sqrt(double(n)));
  return x + x.graph().constant(diagonal, {n, n});
}
ComplexArray well_conditioned(ComplexArray x) {
  const std::int64_t n = x.last();
  for (std::size_t k = 0; k < x.values.size(); ++k)
    if (std::int64_t(k) % (n * n) % (n + 1) == 0)
      x.values[k] += double(float(2 * std::sqrt(double(n))));
  return x;
}

std::vector<Dims> matrices() {
  return {{1, 1}, {2, 2}, {3, 3}, {2, 4, 4}, {3, 2, 3, 3}, {7, 7}, {31, 31}, {32, 32}, {33, 33}};
}

TEST_P(LinearAlgebra, InversesAndGradientsMatchTheReference) {
  for (const Dims& dims : matrices())
    check_graph_case(
        {.name = "inverse " + to_string(shape_of(dims)),
         .operands = {{dims, -1, 1}},
         .build = [](const auto& x) { return inverse(well_conditioned(x[0])); },
         .reference = [](const auto& x) { return reference::inverse(well_conditioned(x[0])); },
         // Some n roundings of the condition number times the inverse's elements, below 1.
         .ulps = 4.0 * double(dims.back()),
         .gradient_ulps = 8.0 * double(dims.back())},
        backend_);
}

TEST_P(LinearAlgebra, DeterminantsAndGradientsMatchTheReference) {
  for (const Dims& dims : matrices()) {
    const double n = double(dims.back());
    // Scaled, so that it stays near 1 for all sizes: each of n pivots is some 2 sqrt(n).
    const double scale = 1 / (2 * std::sqrt(n));
    check_graph_case(
        {.name = "determinant " + to_string(shape_of(dims)),
         .operands = {{dims, -1, 1}},
         .build = [=](const auto& x) { return determinant(well_conditioned(x[0]) * scale); },
         .reference =
             [=](const auto& x) {
               return reference::determinant(
                   reference::map(well_conditioned(x[0]), [=](Complex v) { return v * scale; }));
             },
         .ulps = 4 * n,
         .gradient_ulps = 8 * n},
        backend_);
  }
}

TEST_P(LinearAlgebra, LargerMatricesGiveTheIdentity) {
  for (const std::int64_t n : {255, 256, 257}) {
    SCOPED_TRACE(n);
    Graph g;
    const Tensor x = g.placeholder("x", {n, n});
    const Tensor a = well_conditioned(x);
    const Tensor product = matmul(a, inverse(a));
    Session session(g, backend_);
    Random random(5);
    const std::vector<float> found =
        session.evaluate(product, {{x, floats(random.array({n, n}, -1, 1))}});
    std::vector<double> identity(std::size_t(n * n), 0);
    for (std::size_t k = 0; k < std::size_t(n); ++k) identity[k * std::size_t(n) + k] = 1;
    // A sum of n terms below 1, each of an inverse with an error of some ulps times the condition.
    EXPECT_TRUE(close(found, identity, 64));
  }
}

// Rows are exchanged: an even and an odd number of times.
TEST_P(LinearAlgebra, PermutationsHaveTheirSign) {
  Graph g;
  const Tensor x = g.placeholder("x", {2, 3, 3});
  const Tensor det = determinant(x), inv = inverse(x);
  Session session(g, backend_);
  const std::vector<float> values{0, 2, 0, 1, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 4, 1, 0, 0};
  session.run({det, inv}, {{x, values}});
  EXPECT_EQ(session.read(det), (std::vector<float>{-2, 4}));
  EXPECT_EQ(session.read(inv),
            (std::vector<float>{0, 1, 0, 0.5, 0, 0, 0, 0, 1, 0, 0, 1, 1, 0, 0, 0, 0.25, 0}));
}

TEST_P(LinearAlgebra, DeterminantOfASingularMatrixIsZero) {
  Graph g;
  const Tensor x = g.placeholder("x", {3, 2, 2}), det = determinant(x);
  Session session(g, backend_);
  EXPECT_EQ(session.evaluate(det, {{x, std::vector<float>{1, 2, 2, 4, 0, 0, 0, 0, 1, 2, 3, 4}}}),
            (std::vector<float>{0, 0, -2}));
}

// On a CPU one line, and nothing has changed; on a GPU, which does not wait, NaN.
TEST_P(LinearAlgebra, ASingularMatrixIsTold) {
  Graph g;
  const Tensor x = g.placeholder("x", {kOpen, 2, 2}), one = g.placeholder("one", {2, 2});
  const Tensor inv = inverse(x), single = inverse(one);
  const Tensor runs = g.variable("runs", {}, constant(0));
  const Tensor counted = assign_add(runs, g.constant(1));
  const std::vector<float> values{2, 0, 0, 2, 1, 2, 2, 4, 1, 0, 0, 1}, zeros(4, 0);
  Session session(g, backend_);
  if (GetParam() != "Cpu") {
    const std::vector<float> found = session.evaluate(inv, {{x, values}});
    for (std::size_t k = 0; k < found.size(); ++k) EXPECT_EQ(std::isnan(found[k]), k / 4 == 1) << k;
    return;
  }
  const auto said = [&](const auto& call) {
    try {
      call();
    } catch (const std::runtime_error& error) {
      return std::string(error.what());
    }
    return std::string("nothing");
  };
  EXPECT_EQ(said([&] {
              session.run({inv, counted}, {{x, values}});
            }),
            "inverse 'inverse': matrix 1 of the batch is singular");
  EXPECT_EQ(session.variables().read<float>("runs"), std::vector<float>{0});
  EXPECT_THROW(session.read(inv), std::invalid_argument);
  EXPECT_EQ(said([&] {
              session.run(single, {{one, zeros}});
            }),
            "inverse 'inverse_1': the matrix is singular");
  session.run({inv, counted}, {{x, std::vector<float>{2, 0, 0, 4}}});
  EXPECT_EQ(session.read(inv), (std::vector<float>{0.5, 0, 0, 0.25}));
  EXPECT_EQ(session.variables().read<float>("runs"), std::vector<float>{1});
}

TEST_P(LinearAlgebra, NanPassesThroughAndStaysInItsMatrix) {
  Graph g;
  const Tensor x = g.placeholder("x", {2, 2, 2});
  const Tensor inv = inverse(x), det = determinant(x);
  Session session(g, backend_);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  session.run({inv, det}, {{x, std::vector<float>{nan, 1, 2, 3, 2, 0, 0, 4}}});
  const std::vector<float> inverses = session.read(inv), determinants = session.read(det);
  EXPECT_TRUE(std::isnan(inverses[0]) && std::isnan(inverses[3]));
  EXPECT_TRUE(std::isnan(determinants[0]));
  EXPECT_EQ((std::vector<float>(inverses.begin() + 4, inverses.end())),
            (std::vector<float>{0.5, 0, 0, 0.25}));
  EXPECT_EQ(determinants[1], 8);
}

TEST_P(LinearAlgebra, ALossOfAnInverseTrains) {
  Graph g;
  const Tensor w = g.variable("w", {2, 2}, constant(0));
  const Tensor target = g.constant(std::vector<float>{0.5, 0.25, 0, 0.5}, {2, 2});
  const Tensor cost = mean_squared_error(inverse(w), target);
  const Tensor train = GradientDescentOptimizer(0.5).minimize(cost);
  Session session(g, backend_);
  session.variables().write<float>("w", std::vector<float>{1, 0, 0, 1});
  for (int step = 0; step < 400; ++step) session.run(train);
  EXPECT_LT(session.evaluate(cost)[0], 1e-5F);
}

UNROLL_FOR_EACH_BACKEND(LinearAlgebra);

TEST(LinearAlgebraShapes, AreChecked) {
  Graph g;
  const Tensor x = g.placeholder("x", {2, 3, 4}), vector = g.placeholder("vector", {3}),
               open = g.placeholder("open", {kOpen, 3, kOpen}),
               ids = g.placeholder("ids", {2, 2}, DType::kInt32);
  EXPECT_EQ(determinant(open).shape(), Shape{kOpen});
  EXPECT_EQ(inverse(open).shape(), (Shape{kOpen, 3, kOpen}));
  try {
    inverse(x);
    FAIL();
  } catch (const std::invalid_argument& error) {
    EXPECT_STREQ(error.what(), "inverse: got [2, 3, 4], expected square matrices [..., N, N]");
  }
  EXPECT_THROW(determinant(x), std::invalid_argument);
  EXPECT_THROW(determinant(vector), std::invalid_argument);
  EXPECT_THROW(inverse(ids), std::invalid_argument);
  EXPECT_THROW(inverse(Tensor()), std::invalid_argument);
}

TEST(LinearAlgebraDevices, WithoutTheKernelsSayItWhenARunIsPlanned) {
  class Bare final : public ForwardingBackend {
   public:
    using ForwardingBackend::ForwardingBackend;
    LinearAlgebraKernels* linear_algebra() override { return nullptr; }
    std::string name() const override { return "a bare device"; }
  };
  Graph g;
  const Tensor x = g.placeholder("x", {2, 2}), y = determinant(x);
  Session session(g, std::make_shared<Bare>(cpu(1)));
  try {
    session.run(y, {{x, std::vector<float>{1, 2, 3, 4}}});
    FAIL();
  } catch (const std::runtime_error& error) {
    EXPECT_STREQ(error.what(),
                 "determinant 'determinant': a bare device has no kernel for it; use a CPU or "
                 "another GPU");
  }
}

TEST(LinearAlgebraBits, DoNotDependOnTheThreads) {
  Graph g;
  const Tensor x = g.placeholder("x", {3, 129, 129});
  const Tensor inv = inverse(well_conditioned(x)), slope = dense_gradients(reduce_sum(inv), {x})[0];
  Random random(9);
  const std::vector<float> values = floats(random.array({3, 129, 129}, -1, 1));
  const auto with = [&](int threads) {
    Session session(g, cpu(threads));
    session.run({inv, slope}, {{x, values}});
    std::vector<float> both = session.read(inv);
    const std::vector<float> slopes = session.read(slope);
    both.insert(both.end(), slopes.begin(), slopes.end());
    return both;
  };
  try {
    const std::vector<float> expected = with(1);
    EXPECT_TRUE(identical(with(2), expected));
    EXPECT_TRUE(identical(with(7), expected));
  } catch (const std::runtime_error& missing) {
    GTEST_SKIP() << missing.what();
  }
}

TEST(LinearAlgebraShapes, HaveRows) {
  Graph g;
  EXPECT_THROW(inverse(g.constant(0, {2, 0, 0})), std::invalid_argument);
  EXPECT_THROW(determinant(g.constant(0, {0, 0})), std::invalid_argument);
}

}  // namespace
}  // namespace unroll::test
