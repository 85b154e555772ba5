/// Dimensions as tensors.
#include <gtest/gtest.h>

#include <cstdint>
#include <stdexcept>
#include <vector>

#include "tests/support/backends.h"
#include "unroll/gradients.h"
#include "unroll/ops.h"
#include "unroll/session.h"

namespace unroll::test {
namespace {

class ShapeOf : public OnEachBackend {};

TEST_P(ShapeOf, OpenDimensionsAreThoseOfTheRun) {
  Graph g;
  const Tensor x = g.placeholder("x", {kOpen, 3, kOpen}),
               ids = g.placeholder("ids", {}, DType::kInt64);
  const Tensor dims = shape(x), axes = rank(x), none = shape(ids), zero = rank(ids);
  EXPECT_EQ(dims.shape(), Shape{3});
  EXPECT_EQ(dims.dtype(), DType::kInt64);
  EXPECT_EQ(axes.shape(), Shape());
  EXPECT_EQ(none.shape(), Shape{0});
  const Tensor turned = shape(transpose(x));
  Session session(g, backend_);
  const std::vector<std::int64_t> id{5};
  for (const std::int64_t n : {1, 7}) {
    const std::vector<float> values(std::size_t(6 * n), 1);
    const std::vector<Feed> feeds{{x, std::span<const float>(values), {n, 3, 2}}, {ids, id}};
    const std::vector<Tensor> fetches{dims, axes, turned, zero};
    session.run(fetches, feeds);
    EXPECT_EQ(session.read<std::int64_t>(dims), (std::vector<std::int64_t>{n, 3, 2}));
    EXPECT_EQ(session.read<std::int64_t>(turned), (std::vector<std::int64_t>{2, 3, n}));
    EXPECT_EQ(session.read<std::int64_t>(axes), (std::vector<std::int64_t>{3}));
    EXPECT_EQ(session.read<std::int64_t>(zero), (std::vector<std::int64_t>{0}));
  }
}

TEST_P(ShapeOf, PassesNoGradientOn) {
  Graph g;
  const Tensor x = g.placeholder("x", {3});
  const Tensor picked = gather(x * x, rank(x));  // element 1
  const Tensor slope = dense_gradients(reduce_sum(picked), {x})[0];
  Session session(g, backend_);
  EXPECT_EQ(session.evaluate(slope, {{x, std::vector<float>{2, 5, 7}}}),
            (std::vector<float>{0, 10, 0}));
}

UNROLL_FOR_EACH_BACKEND(ShapeOf);

TEST(ShapeOfNothing, IsRefused) {
  EXPECT_THROW(shape(Tensor()), std::invalid_argument);
  EXPECT_THROW(rank(Tensor()), std::invalid_argument);
}

}  // namespace
}  // namespace unroll::test
