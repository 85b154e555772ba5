/// unrolled() and the built-in cells against the reference, and with a cell of the user's own.
#include <gtest/gtest.h>

#include <complex>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/backends.h"
#include "tests/support/compare.h"
#include "tests/support/graph_case.h"
#include "tests/support/recurrent_case.h"
#include "unroll/ops.h"
#include "unroll/recurrent.h"
#include "unroll/session.h"

namespace unroll::test {
namespace {

class UnrolledTest : public OnEachBackend {};

// Inputs in flatten()'s order: x, h0, (c0), and the cell's parameters.
TEST_P(UnrolledTest, BuiltInCellsMatchTheReference) {
  for (const RecurrentCase& c : recurrent_cases({recurrent_shape({4}, 1, 3, 2, 3, false)})) {
    const auto data = recurrent_data(c, 3);
    const bool lstm = !data.c0.empty();
    GraphCase test{.name = describe(c),
                   .operands = {},
                   .build = {},
                   .reference = {},
                   .ulps = recurrent_ulps(c),
                   .gradient_ulps = recurrent_gradient_ulps(c)};
    for (const Reals& input : flatten(data)) test.operands.push_back({input.dims, -1, 1});
    const std::vector<CellParameter> parameters = cell_parameters(c.spec, 0, c.input);
    test.build = [&](const std::vector<Tensor>& x) {
      CellState initial{reshape(x[1], {c.batch, c.spec.width(0)})};
      if (lstm) initial.push_back(reshape(x[2], {c.batch, c.spec.units(0)}));
      CellWeights weights;
      for (std::size_t k = 0; k < parameters.size(); ++k)
        parameters[k].of(weights) = x[x.size() - parameters.size() + k];
      return unrolled(cell(c.spec, weights), x[0], initial).y;
    };
    test.reference = [&](const std::vector<ComplexArray>& x) {
      return reference::recurrent(c.spec, unflatten(x, data)).y;
    };
    check_graph_case(test, backend_);
  }
}

// h_t = tanh(x_t) * 0.5 + h_{t-1}^2, y_t = 3 h_t: a state and an output that differ.
TEST_P(UnrolledTest, ACellOfTheUsersOwn) {
  const auto build = [](const std::vector<Tensor>& x) {
    const Cell own = [](Tensor x_t, const CellState& state) {
      const Tensor h = tanh(x_t) * 0.5 + state[0] * state[0];
      return std::pair<Tensor, CellState>(h * 3, {h});
    };
    const Unrolled out = unrolled(own, x[0], {x[1]});
    return out.y + out.state[0];  // [T, N, H] + [N, H]
  };
  const auto expected = [](const std::vector<ComplexArray>& x) {
    ComplexArray y(x[0].dims), h = x[1];
    for (std::size_t k = 0; k < y.values.size(); ++k) {
      Complex& state = h.values[k % h.values.size()];
      state = std::tanh(x[0].values[k]) * 0.5 + state * state;
      y.values[k] = 3.0 * state;
    }
    return reference::zip(y, h, [](Complex a, Complex b) { return a + b; });
  };
  check_graph_case({.name = "own cell",
                    .operands = {{{4, 2, 3}, -1, 1}, {{2, 3}, -0.5, 0.5}},
                    .build = build,
                    .reference = expected,
                    .ulps = 16,  // four steps of four roundings
                    .gradient_ulps = 32},
                   backend_);
}

UNROLL_FOR_EACH_BACKEND(UnrolledTest);

TEST(UnrolledShapes, AreChecked) {
  Graph g;
  const Cell pass = [](Tensor x_t, const CellState& state) {
    return std::pair<Tensor, CellState>(x_t, state);
  };
  EXPECT_THROW(unrolled(pass, g.placeholder("x", {kOpen, 2, 3}), {}), std::invalid_argument);
  EXPECT_EQ(unrolled(pass, g.placeholder("y", {4, 2, 3}), {}).y.shape(), (Shape{4, 2, 3}));
}

}  // namespace
}  // namespace unroll::test
