/// Products of matrices and of stacks of them, transposed or not.
#include <gtest/gtest.h>

#include <cmath>
#include <stdexcept>
#include <utility>
#include <vector>

#include "tests/support/backends.h"
#include "tests/support/compare.h"
#include "tests/support/graph_case.h"
#include "tests/support/random.h"
#include "tests/support/reference.h"
#include "unroll/gradients.h"
#include "unroll/ops.h"

namespace unroll::test {
namespace {

struct Sizes {
  std::int64_t m, n, k;
};

const Sizes kSizes[] = {
    {1, 1, 1},     {1, 257, 33},  {257, 1, 31},   {31, 33, 1},   {32, 32, 32},    {33, 31, 257},
    {3, 255, 256}, {256, 17, 33}, {255, 256, 31}, {5, 7, 1025},  {129, 257, 255}, {20, 100, 40},
    {1, 1, 257},   {2, 1000, 3},  {65, 130, 64},  {1, 31, 1025},
};

class MatmulKernel : public OnEachBackend {};

TEST_P(MatmulKernel, EverySizeAndTranspositionMatchesFloat64) {
  Random random(3);
  for (const auto& [m, n, k] : kSizes)
    for (const bool ta : {false, true})
      for (const bool tb : {false, true}) {
        SCOPED_TRACE(::testing::Message()
                     << "M=" << m << " N=" << n << " K=" << k << " transposed " << ta << tb);
        const Reals a = random.array(ta ? Dims{k, m} : Dims{m, k}, -1, 1);
        const Reals b = random.array(tb ? Dims{n, k} : Dims{k, n}, -1, 1);
        const Reals expected = reference::matmul(a, b, ta, tb);
        const auto size = [](double x) { return std::abs(x); };
        const Reals magnitude =
            reference::matmul(reference::map(a, size), reference::map(b, size), ta, tb);
        const View c = memory_->out({m, n});
        backend_->matmul({.a = memory_->in(a),
                          .b = memory_->in(b),
                          .transpose_a = ta,
                          .transpose_b = tb,
                          .c = c});
        // K products and K additions, each rounded (half an ulp) relative to at most the sum of
        // |a b|: no order of summation is worse (Higham 2002, section 3.1).
        EXPECT_TRUE(close_to_sums(memory_->get(c), expected.values, double(k), magnitude.values));
        finish_case();
      }
}

/// The dimensions before the last two, of a, b and c: equal, broadcast each way, in runs that one
/// call can take and in runs that it cannot.
struct Stacks {
  Dims a, b, c;
};
const Stacks kStacks[] = {
    {{3}, {3}, {3}},          {{3}, {}, {3}},           {{}, {3}, {3}},
    {{2, 3}, {2, 3}, {2, 3}}, {{2, 1}, {1, 3}, {2, 3}}, {{2, 3}, {3}, {2, 3}},
    {{2, 3}, {2, 1}, {2, 3}}, {{1, 4}, {2, 1}, {2, 4}}, {{2, 1, 2}, {1, 3, 1}, {2, 3, 2}},
    {{0}, {1}, {0}},          {{1, 1}, {1}, {1, 1}},    {{2, 3}, {1, 1}, {2, 3}},
};

TEST_P(MatmulKernel, StacksMatchFloat64) {
  Random random(4);
  const auto with = [](Dims dims, std::int64_t rows, std::int64_t columns) {
    dims.push_back(rows);
    dims.push_back(columns);
    return dims;
  };
  for (const auto& [m, n, k] : {Sizes{1, 1, 1}, {2, 3, 4}, {31, 33, 32}, {5, 1, 257}, {33, 31, 7}})
    for (const Stacks& stacks : kStacks)
      for (const bool ta : {false, true})
        for (const bool tb : {false, true}) {
          const Reals a = random.array(ta ? with(stacks.a, k, m) : with(stacks.a, m, k), -1, 1);
          const Reals b = random.array(tb ? with(stacks.b, n, k) : with(stacks.b, k, n), -1, 1);
          SCOPED_TRACE(::testing::Message() << to_string(shape_of(a.dims)) << " "
                                            << to_string(shape_of(b.dims)) << ta << tb);
          const Reals expected = reference::stacked_matmul(a, b, ta, tb);
          const auto size = [](double x) { return std::abs(x); };
          const Reals magnitude =
              reference::stacked_matmul(reference::map(a, size), reference::map(b, size), ta, tb);
          const View c = memory_->out(shape_of(with(stacks.c, m, n)));
          backend_->matmul({.a = memory_->in(a),
                            .b = memory_->in(b),
                            .transpose_a = ta,
                            .transpose_b = tb,
                            .c = c});
          EXPECT_TRUE(close_to_sums(memory_->get(c), expected.values, double(k), magnitude.values));
          finish_case();
        }
}

TEST_P(MatmulKernel, ReplacesWhatWasInC) {
  // c arrives as NaN (GuardedMemory::out), so a product that adds to c or scales it by zero cannot
  // pass. K = 1 and the identity need no rounding.
  const View c = memory_->out({2, 2});
  backend_->matmul({.a = memory_->in<float>({1, 2, 3, 4}, {2, 2}),
                    .b = memory_->in<float>({0, 1, 1, 0}, {2, 2}),
                    .c = c});
  EXPECT_EQ(memory_->get(c), (std::vector<float>{2, 1, 4, 3}));
}

UNROLL_FOR_EACH_BACKEND(MatmulKernel);

class MatmulPrecision : public OnEachBackend {};

// TF32 keeps 10 bits of a mantissa: the relative error of an operand is at most 2^-10, and far
// above float32's 2^-24. The product is large enough that cuBLAS uses the tensor cores.
TEST_P(MatmulPrecision, Tf32RoundsOperands) {
  constexpr std::int64_t kSize = 256;
  constexpr double kLargest = 0x1p-10;
  Random random(5);
  const Reals a = random.array({kSize, kSize}, -1, 1), b = random.array({kSize, kSize}, -1, 1);
  const Reals expected = reference::matmul(a, b, false, true);
  const View c = memory_->out({kSize, kSize});
  backend_->matmul({.a = memory_->in(a), .b = memory_->in(b), .transpose_b = true, .c = c});
  const std::vector<float> actual = memory_->get(c);
  double difference = 0, norm = 0;
  for (std::size_t k = 0; k < actual.size(); ++k) {
    difference += std::pow(double(actual[k]) - expected.values[k], 2);
    norm += std::pow(expected.values[k], 2);
  }
  const double distance = std::sqrt(difference / norm);
  EXPECT_LT(distance, 2 * kLargest);
  EXPECT_GT(distance, kLargest / 100);
}

INSTANTIATE_TEST_SUITE_P(On, MatmulPrecision, ::testing::Values("CudaTf32"), backend_name);

std::vector<GraphCase> matmul_cases() {
  std::vector<GraphCase> all;
  const auto add = [&](Dims a, Dims b, MatmulOptions options = {}) {
    // Up to 33 terms below 4 in a sum: 33 roundings of partial sums around sqrt(33) 4 / 3.
    all.push_back({.name = "matmul " + to_string(shape_of(a)) + " " + to_string(shape_of(b)),
                   .operands = {{a}, {b}},
                   .build = [=](const auto& x) { return matmul(x[0], x[1], options); },
                   .reference =
                       [=](const auto& x) {
                         return reference::matmul(x[0], x[1], options.transpose_a,
                                                  options.transpose_b);
                       },
                   .ulps = 33,
                   .scale = 8,
                   .gradient_ulps = 33,
                   .gradient_scale = 8});
  };
  add({3, 33}, {33, 5});
  add({33, 3}, {33, 5}, {.transpose_a = true});
  add({3, 33}, {5, 33}, {.transpose_b = true});
  add({33, 3}, {5, 33}, {.transpose_a = true, .transpose_b = true});
  add({1, 1}, {1, 1});
  add({4, 3, 7}, {7, 5});
  add({4, 3, 7}, {5, 7}, {.transpose_b = true});
  add({2, 2, 3, 7}, {7, 1});
  const auto add_stacks = [&](const Dims& a, const Dims& b) {
    for (const bool ta : {false, true})
      for (const bool tb : {false, true}) {
        Dims a_dims = a, b_dims = b;
        if (ta) std::swap(a_dims[a.size() - 1], a_dims[a.size() - 2]);
        if (tb) std::swap(b_dims[b.size() - 1], b_dims[b.size() - 2]);
        add(a_dims, b_dims, {.transpose_a = ta, .transpose_b = tb});
        all.back().reference = [=](const auto& x) {
          return reference::stacked_matmul(x[0], x[1], ta, tb);
        };
      }
  };
  add_stacks({4, 3, 7}, {4, 7, 5});
  add_stacks({3, 7}, {4, 7, 5});
  add_stacks({4, 3, 7}, {7, 5});
  add_stacks({2, 1, 3, 7}, {4, 7, 2});
  add_stacks({1, 3, 2}, {2, 5, 2, 3});
  return all;
}

class MatmulOp : public OnEachBackend {};

TEST_P(MatmulOp, ValuesAndGradientsMatchTheReference) {
  for (const GraphCase& test : matmul_cases()) check_graph_case(test, backend_);
}

TEST_P(MatmulOp, GradientOfASquareMatrixUsedTwice) {
  check_graph_case({.name = "x x",
                    .operands = {{{5, 5}}},
                    .build = [](const auto& x) { return matmul(x[0], x[0]); },
                    .reference = [](const auto& x) { return reference::matmul(x[0], x[0]); },
                    .ulps = 5,
                    .scale = 8,
                    .gradient_ulps = 11,  // two sums of five products, and their sum
                    .gradient_scale = 8},
                   backend_);
}

TEST_P(MatmulOp, OpenStacksAreBroadcastWhenTheyAreFed) {
  Graph g;
  const Tensor a = g.placeholder("a", {kOpen, 2, 3}), b = g.placeholder("b", {2, 3, 1});
  const Tensor y = matmul(a, b), slope = dense_gradients(reduce_sum(y), {a})[0];
  EXPECT_EQ(y.shape(), (Shape{2, 2, 1}));  // a's open dimension is 1 or 2
  const std::vector<float> bv{1, 0, 2, 0, 3, 1}, one{1, 2, 3, 4, 5, 6},
      two{1, 2, 3, 4, 5, 6, 1, 1, 1, 0, 2, 0};
  Session session(g, backend_);
  session.run({y, slope}, {{a, one}, {b, bv}});
  EXPECT_EQ(session.read(y), (std::vector<float>{7, 16, 9, 21}));
  EXPECT_EQ(session.read(slope), (std::vector<float>{1, 3, 3, 1, 3, 3}));
  session.run({y, slope}, {{a, two}, {b, bv}});
  EXPECT_EQ(session.read(y), (std::vector<float>{7, 16, 4, 6}));
  EXPECT_EQ(session.read(slope), (std::vector<float>{1, 0, 2, 1, 0, 2, 0, 3, 1, 0, 3, 1}));
}

UNROLL_FOR_EACH_BACKEND(MatmulOp);

TEST(MatmulThreads, GiveTheSameBits) {
  Random random(6);
  const Reals a = random.array({3, 1, 65, 130}, -1, 1), b = random.array({4, 130, 33}, -1, 1);
  const auto run = [&](int threads) {
    const auto backend = cpu(threads);
    GuardedMemory memory(*backend);
    const View c = memory.out({3, 4, 65, 33});
    backend->matmul({.a = memory.in(a), .b = memory.in(b), .c = c});
    return memory.get(c);
  };
  for (const int threads : {2, 7}) EXPECT_TRUE(identical(run(threads), run(1)));
}

TEST(MatmulShapes, AreChecked) {
  Graph g;
  const Tensor a = g.placeholder("a", {3, 4}), b = g.placeholder("b", {5, 6}),
               stack = g.placeholder("stack", {2, 3, 5}), scalar = g.placeholder("scalar", {});
  EXPECT_THROW(matmul(a, b), std::invalid_argument);
  EXPECT_THROW(matmul(a, b, {.transpose_a = true}), std::invalid_argument);
  EXPECT_THROW(matmul(a, b, {.transpose_b = true}), std::invalid_argument);
  EXPECT_THROW(matmul(b, stack), std::invalid_argument);
  EXPECT_THROW(matmul(stack, a), std::invalid_argument);
  EXPECT_THROW(matmul(scalar, b), std::invalid_argument);
  const Tensor stacks = g.placeholder("stacks", {4, 5, 6});
  EXPECT_THROW(matmul(a, g.placeholder("row", {4})), std::invalid_argument);
  EXPECT_THROW(matmul(stack, stacks), std::invalid_argument);  // 2 and 4 products
  EXPECT_THROW(matmul(g.placeholder("wide", {1, 5, 6}, DType::kFloat64), b), std::invalid_argument);
  EXPECT_EQ(matmul(g.placeholder("one", {1, 3, 5}), stacks).shape(), (Shape{4, 3, 6}));
  EXPECT_EQ(matmul(stacks, stacks, {.transpose_a = true}).shape(), (Shape{4, 6, 6}));
  EXPECT_THROW(matmul(a, g.placeholder("ids", {4, 2}, DType::kInt32)), std::invalid_argument);
  EXPECT_EQ(matmul(stack, b).shape(), (Shape{2, 3, 6}));
  EXPECT_EQ(matmul(a, g.placeholder("c", {3, 9}), {.transpose_a = true}).shape(), (Shape{4, 9}));
}

TEST(MatmulShapes, OpenDimensionsPassThrough) {
  Graph g;
  const Tensor a = g.placeholder("a", {kOpen, kOpen, 4}), b = g.placeholder("b", {4, 6});
  EXPECT_EQ(matmul(a, b).shape(), (Shape{kOpen, kOpen, 6}));
}

// An open last dimension cannot be told from the rows before it.
TEST(MatmulOpenDimensions, HaveGradients) {
  Graph g;
  const Tensor a = g.placeholder("a", {2, 3, kOpen}), b = g.placeholder("b", {kOpen, 4});
  const Tensor c = g.placeholder("c", {4, kOpen});
  const Tensor cost = reduce_sum(matmul(matmul(a, b), c));
  const std::vector<Tensor> slopes = dense_gradients(cost, {a, b, c});
  Session session(g, cpu(1));
  const std::vector<float> av(12, 1), bv(8, 1), cv(20, 1);
  const std::vector<Feed> feeds{{a, av}, {b, bv}, {c, cv}};
  session.run(slopes, feeds);
  EXPECT_EQ(session.read(slopes[0]), std::vector<float>(12, 20));
  EXPECT_EQ(session.read(slopes[1]), std::vector<float>(8, 30));
  EXPECT_EQ(session.read(slopes[2]), std::vector<float>(20, 12));
}

}  // namespace
}  // namespace unroll::test
