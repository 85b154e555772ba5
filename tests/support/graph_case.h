/// One op in a graph against the reference: the value of y = f(x...) and the gradient of
/// sum(w * y), with random w, with respect to every x.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/compare.h"
#include "tests/support/random.h"
#include "tests/support/reference.h"
#include "unroll/gradients.h"
#include "unroll/ops.h"
#include "unroll/session.h"

namespace unroll::test {

using ComplexArray = reference::Array<Complex>;

struct Operand {
  Dims dims;
  double low = -2, high = 2;  // range of its random values
};

struct GraphCase {
  std::string name;
  std::vector<Operand> operands;
  std::function<Tensor(const std::vector<Tensor>&)> build;
  std::function<ComplexArray(const std::vector<ComplexArray>&)> reference;
  /// The number of roundings of one element, and the size of the rounded values: see close().
  double ulps = 4, scale = 1;
  /// The same for gradients.
  double gradient_ulps = 8, gradient_scale = 1;
};

inline void check_graph_case(const GraphCase& test, const std::shared_ptr<Backend>& backend,
                             std::uint64_t seed = 1) {
  SCOPED_TRACE(test.name);
  Random random(seed);
  std::vector<Reals> inputs;
  for (const Operand& operand : test.operands)
    inputs.push_back(random.array(operand.dims, operand.low, operand.high));
  const ComplexArray expected =
      test.reference(std::vector<ComplexArray>(inputs.begin(), inputs.end()));
  const Reals weights = random.array(expected.dims, -1, 1);

  Graph graph;
  std::vector<Tensor> xs;
  for (const Operand& operand : test.operands)
    xs.push_back(graph.placeholder("x" + std::to_string(xs.size()), shape_of(operand.dims)));
  const Tensor y = test.build(xs);
  ASSERT_EQ(dims_of(y.shape()), expected.dims);
  const Tensor w = graph.placeholder("w", shape_of(expected.dims));
  const std::vector<Tensor> slopes = dense_gradients(reduce_sum(w * y), xs);
  ASSERT_EQ(slopes.size(), xs.size());

  std::vector<std::vector<float>> values;
  values.reserve(inputs.size() + 1);
  for (const Reals& input : inputs) values.push_back(floats(input));
  values.push_back(floats(weights));
  std::vector<Feed> feeds;
  for (std::size_t i = 0; i < xs.size(); ++i) feeds.emplace_back(xs[i], values[i]);
  feeds.emplace_back(w, values.back());
  std::vector<Tensor> fetches = slopes;
  fetches.push_back(y);
  Session session(graph, backend);
  session.run(fetches, feeds);

  EXPECT_EQ(dims_of(session.shape(y)), expected.dims);
  EXPECT_TRUE(close(session.read(y), real(expected), test.ulps, test.scale));
  const std::vector<Reals> expected_slopes =
      reference::complex_step(inputs, [&](const std::vector<ComplexArray>& points) {
        return reference::weighted_sum(weights, test.reference(points));
      });
  for (std::size_t i = 0; i < xs.size(); ++i) {
    SCOPED_TRACE("gradient of operand " + std::to_string(i));
    EXPECT_EQ(dims_of(slopes[i].shape()), test.operands[i].dims);
    EXPECT_TRUE(close(session.read(slopes[i]), expected_slopes[i].values, test.gradient_ulps,
                      test.gradient_scale));
  }
}

}  // namespace unroll::test
