/// The library as its users write: one include, and every name without its namespace. A name that
/// would be ambiguous does not compile here.
#include "unroll/unroll.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/temp_folder.h"

using namespace unroll;  // NOLINT(google-build-using-namespace): as users do

namespace {

// Every operation, each in its shortest form; the sum of all that they give.
Tensor every_operation(Graph& graph, Tensor x, Tensor ids) {
  Tensor sum = reduce_sum(x + x - x * x / (x * x + 1) + (-x) + 1 - 1 + (1 + x) * 2 / 2);
  const auto add = [&](Tensor tensor) { sum = sum + reduce_sum(tensor); };
  for (Tensor (*function)(Tensor) :
       {static_cast<Tensor (*)(Tensor)>(tanh), static_cast<Tensor (*)(Tensor)>(exp),
        static_cast<Tensor (*)(Tensor)>(log), &logistic, &relu, &softmax, &log_softmax,
        &stop_gradient})
    add(function(x));
  add(tanh(x) + exp(x) + log(x) + abs(x) + sqrt(x) + sin(x) + cos(x) + pow(x, x) + pow(x, 2));
  add(maximum(x, minimum(x, clip(x, 0, 1))) + leaky_relu(x) + gelu(x) + softplus(x));
  const Tensor ordered = logical_and(logical_or(equal(x, x), not_equal(x, x)),
                                     logical_xor(greater(x, x), less_equal(x, x)));
  const Tensor other = logical_not(logical_and(less(x, x), greater_equal(x, x)));
  add(where(logical_and(ordered, other), x, cast(cast(x, DType::kInt64) + 1, DType::kFloat32)));
  add(cast(reduce_any(ordered, 0), DType::kFloat32) +
      cast(reduce_all(ordered, 0), DType::kFloat32));
  add(cast(argmax(x, 0) + argmin(x, 0), DType::kFloat32) + reduce_min(x, {0}));
  add(reduce_sum(x, {0, 1}));
  add(matmul(x, transpose(x)));
  add(matmul(x, x, {.transpose_b = true}));
  add(slice(x, 0, 0, kEnd));
  add(concat({x, x}, 0));
  add(reshape(x, {kOpen}));
  add(reduce_mean(x, 1, {.keep_dims = true}));
  add(reduce_max(x, kAllAxes));
  add(mean_squared_error(x, x));
  add(embedding(x, ids));
  add(one_hot(ids, 2));
  add(dropout(x, 0.0));
  add(dense(x, 2, "dense", {.weight = uniform(0, 1), .bias = constant(0)}));
  add(softmax_cross_entropy(
          x, {graph.variable("w", {2, 2}, xavier()), graph.variable("b", {2}, constant(0))}, ids)
          .loss);
  const RecurrentSpec spec{.cell = CellKind::kGru, .hidden = {2}};
  validate(spec);
  const std::vector<CellWeights> weights = recurrent_weights(graph, spec, 2);
  const Tensor series = reshape(x, {2, 1, 2});
  const RecurrentResult whole = recurrent(spec, {.x = series, .weights = weights});
  const Unrolled steps = unrolled(cell(spec, weights.at(0)), series, {graph.constant(0, {1, 2})});
  add(whole.y - steps.y);
  return sum;
}

TEST(PublicApi, EveryNameIsUnambiguous) {
  Graph graph;
  const Tensor x = graph.placeholder("x", {2, 2});
  const Tensor ids = graph.placeholder("ids", {2}, DType::kInt32);
  const Tensor sum = every_operation(graph, x, ids);
  const Tensor square = mean_squared_error(dense(x, 2, "line"), x);
  const Tensor step = Optimizer({.kind = OptimizerKind::kAdamW}, 0.1).minimize(square);
  const Tensor drawn = sample(slice(reshape(x, {4}), 0, 0, 3), {.temperature = 0});
  const Tensor count = graph.variable("count", {}, constant(0), {.trainable = false});
  const Tensor counted = group({assign_add(count, graph.constant(1)), step});
  const std::vector<Gradient> slope = gradients(square, {x});
  EXPECT_FALSE(slope.at(0).is_sparse());

  const std::shared_ptr<Backend> device = cpu(1);
  EXPECT_LE(0, cuda_device_count());
  Session session(graph, device, 7);
  const std::vector<float> values{1, 2, 3, 4};
  const std::vector<std::int32_t> id_values{0, 1};
  session.run({sum, drawn, counted, slope.at(0).values}, {{x, values}, {ids, id_values}});
  EXPECT_TRUE(std::isfinite(session.read(sum)[0]));
  EXPECT_EQ(session.read<std::int32_t>(drawn)[0], 2);
  EXPECT_EQ(session.variables().read<float>("count")[0], 1);
  EXPECT_EQ(to_string(Precision::kTf32) + to_string(CellKind::kLstm) + to_string(Shape{1, kOpen}) +
                to_string(DType::kInt64),
            "tf32lstm[1, ?]int64");
}

// run({step, cost}, {{x, batch}}): the cost is that of before the update.
TEST(PublicApi, ARunWithSeveralFetches) {
  Graph graph;
  const Tensor x = graph.placeholder("x", {1});
  const Tensor w = graph.variable("w", {1}, constant(3));
  const Tensor cost = mean_squared_error(w * x, x);
  const Tensor step = GradientDescentOptimizer(0.25).minimize(cost);
  Session session(graph, cpu(1));
  const std::vector<float> one{1};
  session.run({step, cost}, {{x, one}});
  EXPECT_EQ(session.read(cost), (std::vector<float>{4}));
  session.run({w});
  EXPECT_EQ(session.read(w), (std::vector<float>{2}));
  session.run({cost, step}, {{x, one}});
  EXPECT_EQ(session.read(cost), (std::vector<float>{1}));
}

TEST(PublicApi, TheVersionIsTheProjects) {
  EXPECT_EQ(kVersion, std::to_string(UNROLL_VERSION_MAJOR) + "." +
                          std::to_string(UNROLL_VERSION_MINOR) + "." +
                          std::to_string(UNROLL_VERSION_PATCH));
}

// The first block of C++ in README.md is a part of the example, word for word.
TEST(PublicApi, TheReadmesCodeIsAnExcerptOfTheExample) {
  const std::filesystem::path root = UNROLL_SOURCE_DIR;
  const std::string readme = test::read_text(root / "README.md");
  constexpr std::string_view kBegin = "```cpp\n", kEndOfBlock = "```\n";
  const std::size_t begin = readme.find(kBegin);
  ASSERT_NE(begin, readme.npos);
  const std::size_t at = begin + kBegin.size();
  const std::string snippet = readme.substr(at, readme.find(kEndOfBlock, at) - at);
  EXPECT_GT(std::count(snippet.begin(), snippet.end(), '\n'), 5);
  EXPECT_TRUE(test::contains(test::read_text(root / "examples/softmax_regression.cpp"), snippet));
}

}  // namespace
