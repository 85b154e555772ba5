/// Ids as rows with a single 1.
#include <gtest/gtest.h>

#include <stdexcept>
#include <vector>

#include "tests/support/backends.h"
#include "tests/support/random.h"
#include "unroll/ops.h"
#include "unroll/session.h"

namespace unroll::test {
namespace {

class OneHotTest : public OnEachBackend {};

TEST_P(OneHotTest, KernelMatchesTheDefinition) {
  Random random(6);
  for (const std::int64_t m : {1, 3, 33, 257})
    for (const std::int32_t classes :
         {1, 2, 3, 4, 5, 8, 31, 32, 33, 127, 128, 129, 255, 256, 257}) {
      SCOPED_TRACE(::testing::Message() << m << " x " << classes);
      const std::vector<std::int32_t> ids = random.integers(std::size_t(m), -1, classes + 1);
      std::vector<float> expected(std::size_t(m * classes), 0);
      for (std::size_t k = 0; k < ids.size(); ++k)
        if (ids[k] >= 0 && ids[k] < classes)
          expected[k * std::size_t(classes) + std::size_t(ids[k])] = 1;
      const View out = memory_->out({m, classes});
      backend_->one_hot({.ids = memory_->in(ids, {m}), .out = out});
      EXPECT_EQ(memory_->get(out), expected);
      finish_case();
    }
}

TEST_P(OneHotTest, OpAppendsADimension) {
  Graph g;
  const Tensor ids = g.placeholder("ids", {2, kOpen}, DType::kInt32);
  const Tensor y = one_hot(ids, 3);
  EXPECT_EQ(y.shape(), (Shape{2, kOpen, 3}));
  Session session(g, backend_);
  EXPECT_EQ(session.evaluate(y, {{ids, std::vector<std::int32_t>{0, 2, 3, -1}}}),
            (std::vector<float>{1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0}));
  EXPECT_EQ(session.shape(y), (Shape{2, 2, 3}));
}

UNROLL_FOR_EACH_BACKEND(OneHotTest);

TEST(OneHotShapes, AreChecked) {
  Graph g;
  EXPECT_THROW(one_hot(g.placeholder("x", {3}), 4), std::invalid_argument);
  const Tensor ids = g.placeholder("ids", {3}, DType::kInt32);
  EXPECT_THROW(one_hot(ids, 0), std::invalid_argument);
  EXPECT_THROW(one_hot(ids, -2), std::invalid_argument);
}

}  // namespace
}  // namespace unroll::test
