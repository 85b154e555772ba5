/// Permutations of axes.
#include <gtest/gtest.h>

#include <stdexcept>
#include <vector>

#include "tests/support/backends.h"
#include "tests/support/graph_case.h"
#include "tests/support/reference.h"
#include "unroll/ops.h"

namespace unroll::test {
namespace {

GraphCase order_case(const Dims& dims, const std::vector<int>& order) {
  std::vector<int> full = order;
  for (int axis = int(dims.size()); order.empty() && axis-- > 0;) full.push_back(axis);
  return {.name = "transpose " + to_string(shape_of(dims)),
          .operands = {{dims}},
          .build = [=](const auto& x) { return transpose(x[0], order); },
          .reference = [=](const auto& x) { return reference::transpose(x[0], full); },
          .ulps = 0};
}

class Transpose : public OnEachBackend {};

// The value has no rounding; the gradient is a permutation of w times 1.
TEST_P(Transpose, ValuesAndGradientsMatchTheReference) {
  const GraphCase all[] = {
      order_case({3, 5}, {}),
      order_case({31, 33}, {}),
      order_case({33, 32}, {1, 0}),
      order_case({3, 5}, {0, 1}),
      order_case({2, 3, 4}, {}),
      order_case({2, 3, 4}, {1, 2, 0}),
      order_case({2, 3, 4}, {2, 0, 1}),  // the cycles, which are not their own inverse
      order_case({7}, {}),
      order_case({2, 3, 2, 3, 2, 5}, {5, 0, 3, 1, 4, 2}),
  };
  for (const GraphCase& test : all) check_graph_case(test, backend_);
}

UNROLL_FOR_EACH_BACKEND(Transpose);

TEST(TransposeShapes, AreChecked) {
  Graph g;
  const Tensor x = g.placeholder("x", {2, kOpen, 4});
  EXPECT_EQ(transpose(x).shape(), (Shape{4, kOpen, 2}));
  EXPECT_EQ(transpose(x, {1, 0, 2}).shape(), (Shape{kOpen, 2, 4}));
  EXPECT_THROW(transpose(x, {0, 1}), std::invalid_argument);
  EXPECT_THROW(transpose(x, {0, 1, 1}), std::invalid_argument);
  EXPECT_THROW(transpose(x, {0, 1, 3}), std::invalid_argument);
  EXPECT_THROW(transpose(x, {0, 1, -1}), std::invalid_argument);
}

}  // namespace
}  // namespace unroll::test
