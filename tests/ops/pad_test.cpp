/// Borders of one value, and repetitions.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/support/backends.h"
#include "tests/support/compare.h"
#include "tests/support/element_types.h"
#include "tests/support/graph_case.h"
#include "tests/support/reference.h"
#include "unroll/ops.h"

namespace unroll::test {
namespace {

class PadTile : public OnEachBackend {};

GraphCase pad_case(const Dims& dims, const Dims& before, const Dims& after, double value) {
  std::vector<Padding> padding;
  for (std::size_t k = 0; k < dims.size(); ++k) padding.push_back({before[k], after[k]});
  return {.name = "pad " + to_string(shape_of(dims)),
          .operands = {{dims}},
          .build = [=](const auto& x) { return pad(x[0], padding, value); },
          .reference = [=](const auto& x) { return reference::pad(x[0], before, after, value); },
          .ulps = 0};
}

// Moved values are exact, and so are their gradients: each is one element of w.
TEST_P(PadTile, PaddedValuesAndGradientsMatchTheReference) {
  for (const GraphCase& test : {
           pad_case({1}, {0}, {0}, 3),
           pad_case({5}, {2}, {0}, 0),
           pad_case({5}, {0}, {3}, -1.5),
           pad_case({3, 31}, {1, 1}, {0, 1}, 0),
           pad_case({3, 32}, {0, 0}, {2, 1}, 7),
           pad_case({2, 255}, {0, 1}, {1, 1}, 0),
           pad_case({2, 256}, {0, 1}, {0, 0}, 0.25),
           pad_case({2, 3, 4}, {1, 0, 2}, {0, 3, 1}, 2),
           pad_case({2, 1, 2, 3, 2, 3}, {1, 0, 0, 1, 0, 1}, {0, 1, 0, 0, 2, 0}, -4),
       })
    check_graph_case(test, backend_);
}

GraphCase tile_case(const Dims& dims, const Dims& repeats) {
  return {.name = "tile " + to_string(shape_of(dims)) + " by " + to_string(shape_of(repeats)),
          .operands = {{dims}},
          .build = [=](const auto& x) { return tile(x[0], repeats); },
          .reference = [=](const auto& x) { return reference::tile(x[0], repeats); },
          .ulps = 0,
          // At most 36 terms below 1 in a sum of at most 8.
          .gradient_ulps = 36,
          .gradient_scale = 4};
}

TEST_P(PadTile, TiledValuesAndGradientsMatchTheReference) {
  for (const GraphCase& test : {
           tile_case({1}, {1}),
           tile_case({1}, {33}),
           tile_case({5}, {3}),
           tile_case({3, 31}, {1, 2}),
           tile_case({3, 32}, {2, 1}),
           tile_case({2, 33}, {2, 3}),
           tile_case({2, 257}, {3, 1}),
           tile_case({257, 1}, {1, 2}),
           tile_case({2, 3, 4}, {4, 3, 3}),
           tile_case({2, 1, 2, 1, 2, 3}, {1, 3, 2, 1, 1, 2}),
       })
    check_graph_case(test, backend_);
}

TEST_P(PadTile, MoveEveryElementType) {
  for (const std::int64_t n : {1, 31, 32, 33, 255, 256, 257}) {
    SCOPED_TRACE(n);
    check_moves_of_each_type(
        backend_, {2, n},
        [](Tensor x) {
          return pad(x, {{1, 0}, {2, 3}});
        },
        [](const Reals& x) {
          return reference::pad(x, {1, 2}, {0, 3}, -1);
        });
    check_moves_of_each_type(
        backend_, {2, n},
        [](Tensor x) {
          return tile(x, {3, 2});
        },
        [](const Reals& x) {
          return reference::tile(x, {3, 2});
        });
  }
  const Reals expected({4}, {-1, 0, 1, -1});
  const auto padded_with = [](double value) {
    return [=](Tensor x) { return pad(x, {{1, 1}}, value); };
  };
  check_moves<std::int32_t>(backend_, {2}, padded_with(-5), expected, -5);
  check_moves<std::int64_t>(backend_, {2}, padded_with(-0x1p40), expected,
                            -(std::int64_t{1} << 40));
  check_moves<double>(backend_, {2}, padded_with(0.1), expected, 0.1);
  check_moves<bool>(backend_, {2}, padded_with(1), expected, true);
}

// The border does not touch what is inside, whatever that is.
TEST_P(PadTile, NanAndInfinityStayWhereTheyAre) {
  Graph g;
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  const Tensor x = g.placeholder("x", {2});
  const Tensor padded = pad(x, {{1, 0}}, -double(infinity)), twice = tile(x, {2});
  Session session(g, backend_);
  const std::vector<float> values{nan, infinity};
  session.run({padded, twice}, {{x, values}});
  const std::vector<float> y = session.read(padded), z = session.read(twice);
  EXPECT_EQ(y[0], -infinity);
  EXPECT_TRUE(std::isnan(y[1]));
  EXPECT_EQ(y[2], infinity);
  EXPECT_TRUE(std::isnan(z[0]) && std::isnan(z[2]));
  EXPECT_TRUE(z[1] == infinity && z[3] == infinity);
}

TEST_P(PadTile, OpenDimensionsAreFixedByTheFeeds) {
  Graph g;
  const Tensor x = g.placeholder("x", {kOpen, 2});
  const Tensor padded = pad(x, {{1, 0}, {0, 1}}, 9), twice = tile(x, {2, 1});
  EXPECT_EQ(padded.shape(), (Shape{kOpen, 3}));
  EXPECT_EQ(twice.shape(), (Shape{kOpen, 2}));
  const Tensor slope = dense_gradients(reduce_sum(padded * padded) + reduce_sum(twice), {x})[0];
  const std::vector<float> values{1, 2, 3, 4};
  Session session(g, backend_);
  session.run({padded, twice, slope}, {{x, values}});
  EXPECT_EQ(session.read(padded), (std::vector<float>{9, 9, 9, 1, 2, 9, 3, 4, 9}));
  EXPECT_EQ(session.read(twice), (std::vector<float>{1, 2, 3, 4, 1, 2, 3, 4}));
  EXPECT_EQ(session.read(slope), (std::vector<float>{4, 6, 8, 10}));
}

UNROLL_FOR_EACH_BACKEND(PadTile);

TEST(PadTileShapes, AreChecked) {
  Graph g;
  const Tensor x = g.placeholder("x", {3, 4}), ids = g.placeholder("ids", {3}, DType::kInt32),
               flags = g.placeholder("flags", {3}, DType::kBool);
  const auto said = [](const auto& call) {
    try {
      call();
    } catch (const std::invalid_argument& error) {
      return std::string(error.what());
    }
    return std::string("nothing");
  };
  EXPECT_EQ(said([&] {
              pad(x, {{1, 1}});
            }),
            "pad: got 1 paddings, expected one for each axis of [3, 4]");
  EXPECT_EQ(said([&] { pad(x, {{0, 0}, {1, -2}}); }), "pad: got padding of -2, expected 0 or more");
  EXPECT_EQ(said([&] {
              pad(ids, {{1, 1}}, 0.5);
            }),
            "pad: got the value 0.500000, expected one of type int32");
  EXPECT_THROW(pad(ids, {{1, 1}}, 0x1p31), std::invalid_argument);
  EXPECT_THROW(pad(ids, {{1, 1}}, NAN), std::invalid_argument);
  EXPECT_THROW(pad(flags, {{1, 1}}, 2), std::invalid_argument);
  EXPECT_THROW(pad(Tensor(), {}), std::invalid_argument);
  EXPECT_EQ(said([&] { tile(x, {2}); }),
            "tile: got 1 numbers of repeats, expected one for each axis of [3, 4]");
  EXPECT_EQ(said([&] { tile(x, {1, 0}); }), "tile: got 0 repeats, expected 1 or more");
  EXPECT_THROW(tile(Tensor(), {}), std::invalid_argument);
}

}  // namespace
}  // namespace unroll::test
