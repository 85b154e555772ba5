/// Slices, concatenation, reshaping and transposition.
#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "tests/support/backends.h"
#include "tests/support/compare.h"
#include "tests/support/element_types.h"
#include "tests/support/graph_case.h"
#include "tests/support/random.h"
#include "tests/support/reference.h"
#include "unroll/ops.h"

namespace unroll::test {
namespace {

class CopyRegionKernel : public OnEachBackend {
 protected:
  /// Copies and compares with the definition: out[j] = in[i] over the grid, the rest untouched.
  void check(const Dims& in_dims, const Dims& out_dims, const CopyRegion& region) {
    Random random(2);
    const Reals in = random.array(in_dims, -1, 1), before = random.array(out_dims, -1, 1);
    CopyRegion args = region;
    args.in = memory_->in(in);
    args.out = memory_->inout(before);
    Reals expected = before;
    reference::for_each_index(dims_of(region.extent), [&](const Dims& index) {
      std::int64_t i = region.in_offset, j = region.out_offset;
      for (std::size_t k = 0; k < index.size(); ++k) {
        i += index[k] * region.in_stride[int(k)];
        j += index[k] * region.out_stride[int(k)];
      }
      expected.values[std::size_t(j)] = in.values[std::size_t(i)];
    });
    backend_->copy_region(args);
    EXPECT_TRUE(close(memory_->get(args.out), expected.values, 0));
    finish_case();
  }

  static CopyRegion region(const Shape& extent, const Shape& in_stride, const Shape& out_stride,
                           std::int64_t in_offset = 0, std::int64_t out_offset = 0) {
    return {.in = {},
            .out = {},
            .extent = extent,
            .in_stride = in_stride,
            .out_stride = out_stride,
            .in_offset = in_offset,
            .out_offset = out_offset};
  }
};

TEST_P(CopyRegionKernel, WalksEachSideWithItsOwnStrides) {
  for (const std::int64_t n : {1, 31, 32, 33, 255, 256, 257}) {
    SCOPED_TRACE(n);
    check({n}, {n}, region({n}, {1}, {1}));
    check({3, n + 2}, {3, n}, region({3, n}, {n + 2, 1}, {n, 1}, 1));     // a slice of columns
    check({3, n}, {3, n + 5}, region({3, n}, {n, 1}, {n + 5, 1}, 0, 4));  // a part of a concat
    check({n, 5}, {5, n}, region({5, n}, {1, 5}, {n, 1}));                // transposition
    check({5, n}, {n, 5}, region({5, n}, {n, 1}, {1, 5}));
    check({2 * n}, {n}, region({n}, {2}, {1}, 1));       // every second
    check({n}, {n}, region({n}, {-1}, {1}, n - 1));      // backwards
    check({n}, {3, n}, region({3, n}, {0, 1}, {n, 1}));  // one row for all
  }
  for (const std::int64_t n : {2, 3, 4, 5, 7, 8, 9, 1023, 1024, 1025}) {
    SCOPED_TRACE(n);
    check({n}, {n}, region({n}, {1}, {1}));
    for (const std::int64_t offset : {0, 1, 4}) {  // at 1, packs of four are not possible
      check({3, n + 4}, {3, n}, region({3, n}, {n + 4, 1}, {n, 1}, offset));
      check({3, n}, {3, n + 8}, region({3, n}, {n, 1}, {n + 8, 1}, 0, offset));
    }
  }
  // Transpositions in tiles: whole and partial tiles, single and in a batch, either side first.
  for (const std::int64_t n : {15, 16, 31, 32, 33, 65}) {
    SCOPED_TRACE(n);
    check({40, n}, {n, 40}, region({n, 40}, {1, n}, {40, 1}));
    check({40, n}, {n, 40}, region({40, n}, {n, 1}, {1, 40}));
    check({3, 40, n}, {n, 3, 40}, region({n, 3, 40}, {1, 40 * n, n}, {120, 40, 1}));
    check({3, 40, n}, {3, n, 40}, region({3, n, 40}, {40 * n, 1, n}, {40 * n, 40, 1}));
  }
  check({}, {}, region({}, {}, {}));
  check({4}, {4}, region({0}, {1}, {1}));  // nothing
  check({2, 3, 2, 3, 2, 7}, {7, 2, 3, 2, 3, 2},
        region({7, 2, 3, 2, 3, 2}, {1, 7, 14, 42, 84, 252}, {72, 36, 12, 6, 2, 1}));
}

// Elements of 1 and 8 bytes, whose walks have kernels of their own.
TEST_P(CopyRegionKernel, KeepsTheBitsOfEveryElementType) {
  for (const std::int64_t n : {1, 15, 16, 31, 32, 33, 255, 256, 257}) {
    SCOPED_TRACE(n);
    check_moves_of_each_type(
        backend_, {3, n}, [](Tensor x) { return transpose(x); },
        [](const Reals& x) {
          return reference::transpose(x, {1, 0});
        });
    check_moves_of_each_type(
        backend_, {40, n}, [](Tensor x) { return transpose(x); },
        [](const Reals& x) {
          return reference::transpose(x, {1, 0});
        });
    check_moves_of_each_type(
        backend_, {4, n}, [](Tensor x) { return slice(x, 0, 1, 3); },
        [](const Reals& x) { return reference::slice(x, 0, 1, 3); });
    check_moves_of_each_type(
        backend_, {4, n},
        [](Tensor x) {
          return concat({x, slice(x, 0, 1, 2), x}, 0);
        },
        [](const Reals& x) {
          return reference::concat<double>({x, reference::slice(x, 0, 1, 2), x}, 0);
        });
  }
}

UNROLL_FOR_EACH_BACKEND(CopyRegionKernel);

GraphCase slice_case(const Dims& dims, int axis, std::int64_t begin, std::int64_t end) {
  const std::size_t k = std::size_t(axis < 0 ? axis + int(dims.size()) : axis);
  const std::int64_t last = end == kEnd ? dims[k] : end;
  return {.name = "slice " + to_string(shape_of(dims)) + " axis " + std::to_string(axis),
          .operands = {{dims}},
          .build = [=](const auto& x) { return slice(x[0], axis, begin, end); },
          .reference = [=](const auto& x) { return reference::slice(x[0], k, begin, last); },
          .ulps = 0};
}

GraphCase concat_case(const std::vector<Dims>& dims, int axis) {
  const std::size_t k = std::size_t(axis < 0 ? axis + int(dims[0].size()) : axis);
  GraphCase test{.name = "concat of " + std::to_string(dims.size()),
                 .operands = {},
                 .build = [=](const auto& x) { return concat(x, axis); },
                 .reference = [=](const auto& x) { return reference::concat(x, k); },
                 .ulps = 0};
  for (const Dims& part : dims) test.operands.push_back({part});
  return test;
}

std::vector<GraphCase> layout_cases() {
  std::vector<GraphCase> all = {
      slice_case({5}, 0, 1, 4),
      slice_case({5}, 0, 0, kEnd),
      slice_case({3, 33}, 1, 31, kEnd),
      slice_case({3, 33}, -1, 0, 32),
      slice_case({3, 4, 5}, 1, 2, 3),
      slice_case({3, 4, 5}, -3, 1, kEnd),
      slice_case({2, 3, 2, 3, 2, 3}, 3, 1, 3),
      concat_case({{3}, {4}}, 0),
      concat_case({{2, 3}, {1, 3}, {4, 3}}, 0),
      concat_case({{3, 31}, {3, 1}, {3, 33}}, 1),
      concat_case({{3, 2}, {3, 5}}, -1),
      concat_case({{2, 1, 3}, {2, 4, 3}}, 1),
      concat_case({{2, 2}}, 0),
  };
  // Slices that overlap: the gradient of the shared elements is a sum.
  all.push_back({.name = "overlapping slices",
                 .operands = {{{3, 9}}},
                 .build = [](const auto& x) { return slice(x[0], 1, 0, 6) * slice(x[0], 1, 2, 8); },
                 .reference =
                     [](const auto& x) {
                       return reference::zip(reference::slice(x[0], 1, 0, 6),
                                             reference::slice(x[0], 1, 2, 8),
                                             [](Complex a, Complex b) { return a * b; });
                     }});
  // The same tensor twice in one concatenation.
  all.push_back({.name = "concat with itself",
                 .operands = {{{3, 2}}},
                 .build =
                     [](const auto& x) {
                       return concat({x[0], x[0]}, 1);
                     },
                 .reference =
                     [](const auto& x) {
                       return reference::concat(std::vector<ComplexArray>{x[0], x[0]}, 1);
                     },
                 .ulps = 0});
  for (const Dims& shape : {Dims{6, 4}, Dims{24}, Dims{2, 3, 4, 1}, Dims{3, 8}})
    all.push_back({.name = "reshape",
                   .operands = {{{2, 12}}},
                   .build = [=](const auto& x) { return reshape(x[0], shape_of(shape)); },
                   .reference = [=](const auto& x) { return ComplexArray(shape, x[0].values); },
                   .ulps = 0});
  all.push_back({.name = "reshape with an open dimension",
                 .operands = {{{2, 12}}},
                 .build =
                     [](const auto& x) {
                       return reshape(x[0], {3, kOpen, 2});
                     },
                 .reference =
                     [](const auto& x) {
                       return ComplexArray({3, 4, 2}, x[0].values);
                     },
                 .ulps = 0});
  return all;
}

/// The parts of a split, weighted so that they differ, side by side.
GraphCase split_case(const Dims& dims, int axis, const std::vector<std::int64_t>& sizes) {
  const std::size_t k = std::size_t(axis < 0 ? axis + int(dims.size()) : axis);
  return {.name = "split " + to_string(shape_of(dims)) + " axis " + std::to_string(axis),
          .operands = {{dims}},
          .build =
              [=](const auto& x) {
                std::vector<Tensor> parts = split(x[0], sizes, axis);
                for (std::size_t p = 0; p < parts.size(); ++p) parts[p] = parts[p] * double(p + 1);
                return concat(parts, axis);
              },
          .reference =
              [=](const auto& x) {
                std::vector<ComplexArray> parts;
                std::int64_t begin = 0;
                for (std::size_t p = 0; p < sizes.size(); begin += sizes[p++])
                  parts.push_back(reference::map(reference::slice(x[0], k, begin, begin + sizes[p]),
                                                 [=](Complex v) { return v * double(p + 1); }));
                return reference::concat(parts, k);
              }};
}

class SplitStack : public OnEachBackend {};

TEST_P(SplitStack, ValuesAndGradientsMatchTheReference) {
  std::vector<GraphCase> all = {
      split_case({5}, 0, {2, 3}),          split_case({3, 64}, 1, {31, 32, 1}),
      split_case({3, 289}, -1, {256, 33}), split_case({6, 2, 3}, 0, {1, 2, 3}),
      split_case({2, 5, 2, 3}, 1, {4, 1}), split_case({2, 3}, 1, {3}),
      split_case({2, 3, 257}, -2, {1, 2}),
  };
  // A part that nothing reads has no gradient of its own.
  all.push_back({.name = "one part of a split",
                 .operands = {{{6, 5}}},
                 .build = [](const auto& x) { return split(x[0], 3, 0)[1]; },
                 .reference = [](const auto& x) { return reference::slice(x[0], 0, 2, 4); },
                 .ulps = 0});
  for (const int axis : {0, 1, 2, -1, -3})
    all.push_back({.name = "stack along " + std::to_string(axis),
                   .operands = {{{3, 33}}, {{3, 33}}},
                   .build =
                       [=](const auto& x) {
                         return stack({x[0], x[1], x[0]}, axis);
                       },
                   .reference =
                       [=](const auto& x) {
                         const Dims dims[] = {{1, 3, 33}, {3, 1, 33}, {3, 33, 1}};
                         const std::size_t k = std::size_t(axis < 0 ? axis + 3 : axis);
                         const ComplexArray a(dims[k], x[0].values), b(dims[k], x[1].values);
                         return reference::concat<Complex>({a, b, a}, k);
                       },
                   .ulps = 0});
  all.push_back({.name = "unstack",
                 .operands = {{{2, 3, 4}}},
                 .build =
                     [](const auto& x) {
                       const std::vector<Tensor> parts = unstack(x[0], -2);
                       return parts.at(0) * parts.at(2);
                     },
                 .reference =
                     [](const auto& x) {
                       const auto part = [&](std::int64_t k) {
                         return ComplexArray({2, 4}, reference::slice(x[0], 1, k, k + 1).values);
                       };
                       return reference::zip(part(0), part(2),
                                             [](Complex a, Complex b) { return a * b; });
                     }});
  for (const GraphCase& test : all) check_graph_case(test, backend_);
}

TEST_P(SplitStack, OpenDimensionsAreFixedByTheFeeds) {
  Graph g;
  const Tensor x = g.placeholder("x", {kOpen, kOpen});
  const std::vector<Tensor> halves = split(x, 2, 0);
  EXPECT_EQ(halves[1].shape(), (Shape{kOpen, kOpen}));
  const std::vector<Tensor> sized = split(x, {1, 2}, 1);
  EXPECT_EQ(sized[1].shape(), (Shape{kOpen, 2}));
  const Tensor stacked = stack({x, x}, 1), column = squeeze(sized[0], 1);
  EXPECT_EQ(stacked.shape(), (Shape{kOpen, 2, kOpen}));
  const std::vector<float> values{1, 2, 3, 4, 5, 6};
  const std::vector<Feed> feeds{{x, std::span<const float>(values), {2, 3}}};
  const std::vector<Tensor> fetches{halves[1], sized[1], stacked, column};
  Session session(g, backend_);
  session.run(fetches, feeds);
  EXPECT_EQ(session.read(halves[1]), (std::vector<float>{4, 5, 6}));
  EXPECT_EQ(session.read(sized[1]), (std::vector<float>{2, 3, 5, 6}));
  EXPECT_EQ(session.read(stacked), (std::vector<float>{1, 2, 3, 1, 2, 3, 4, 5, 6, 4, 5, 6}));
  EXPECT_EQ(session.shape(column), Shape{2});
  EXPECT_EQ(session.read(column), (std::vector<float>{1, 4}));
  const std::vector<Feed> odd{{x, std::span<const float>(values), {3, 2}}};
  EXPECT_THROW(session.run(halves, odd), std::invalid_argument);
  EXPECT_THROW(session.run(sized, odd), std::invalid_argument);
}

TEST_P(SplitStack, MoveEveryElementType) {
  check_moves_of_each_type(
      backend_, {6, 33},
      [](Tensor x) {
        return split(x, {1, 5}, 0)[1];
      },
      [](const Reals& x) { return reference::slice(x, 0, 1, 6); });
  check_moves_of_each_type(
      backend_, {6, 33}, [](Tensor x) { return stack(unstack(x, 0), 0); },
      [](const Reals& x) { return x; });
}

UNROLL_FOR_EACH_BACKEND(SplitStack);

TEST(SplitStackShapes, AreChecked) {
  Graph g;
  const Tensor x = g.placeholder("x", {6, 4}), y = g.placeholder("y", {4, 6}),
               open = g.placeholder("open", {kOpen, 4});
  const auto said = [](const auto& call) {
    try {
      call();
    } catch (const std::invalid_argument& error) {
      return std::string(error.what());
    }
    return std::string("nothing");
  };
  EXPECT_EQ(
      said([&] { split(x, 4, 0); }),
      "split: got 4 parts, expected a number that divides the 6 elements of axis 0 of [6, 4]");
  EXPECT_EQ(said([&] {
              split(x, {1, 2}, 1);
            }),
            "split: got parts of 3, expected all the 4 elements of axis 1 of [6, 4]");
  EXPECT_EQ(said([&] { split(x, {4, 0}, 1); }), "split: got a part of 0, expected 1 or more");
  EXPECT_EQ(said([&] { split(x, 0, 0); }), "split: got 0 parts, expected 1 or more");
  EXPECT_EQ(said([&] { split(x, 2, 2); }),
            "split: got axis 2, expected one of a tensor of 2 dimensions");
  EXPECT_THROW(split(Tensor(), 2, 0), std::invalid_argument);
  EXPECT_THROW(stack({x, y}, 0), std::invalid_argument);
  EXPECT_THROW(stack({x, x}, 3), std::invalid_argument);
  EXPECT_THROW(stack({}, 0), std::invalid_argument);
  EXPECT_EQ(said([&] { unstack(open, 0); }),
            "unstack: got [?, 4], expected a known number of elements along axis 0");
  EXPECT_EQ(said([&] { unstack(x, -3); }),
            "unstack: got axis -3, expected one of a tensor of 2 dimensions");
  EXPECT_THROW(unstack(Tensor()), std::invalid_argument);
  EXPECT_EQ(said([&] { squeeze(x, 0); }), "squeeze: got [6, 4], expected 1 element along axis 0");
  EXPECT_THROW(expand_dims(x, 3), std::invalid_argument);
  EXPECT_EQ(expand_dims(x, -1).shape(), (Shape{6, 4, 1}));
  EXPECT_EQ(expand_dims(x, 0).shape(), (Shape{1, 6, 4}));
}

class SliceConcat : public OnEachBackend {};

// Copies do not round; gradients add at most two terms.
TEST_P(SliceConcat, ValuesAndGradientsMatchTheReference) {
  for (const GraphCase& test : layout_cases()) check_graph_case(test, backend_);
}

TEST_P(SliceConcat, OpenDimensionsAreFixedByTheFeeds) {
  Graph g;
  const Tensor x = g.placeholder("x", {kOpen, 3});
  const Tensor head = slice(x, 0, 1), flat = reshape(x, {kOpen});
  const Tensor twice = concat({x, x}, 0);
  Session session(g, backend_);
  const std::vector<float> values{1, 2, 3, 4, 5, 6, 7, 8, 9};
  const std::vector<Feed> feeds{{x, values}};
  const std::vector<Tensor> fetches{head, flat, twice};
  session.run(fetches, feeds);
  EXPECT_EQ(session.shape(head), (Shape{2, 3}));
  EXPECT_EQ(session.shape(flat), Shape{9});
  EXPECT_EQ(session.shape(twice), (Shape{6, 3}));
  EXPECT_EQ(session.read(head), (std::vector<float>{4, 5, 6, 7, 8, 9}));
  EXPECT_EQ(session.read(flat), values);
}

UNROLL_FOR_EACH_BACKEND(SliceConcat);

TEST(SliceConcatShapes, AreChecked) {
  Graph g;
  const Tensor x = g.placeholder("x", {3, 4}), y = g.placeholder("y", {2, 5}),
               flat = g.placeholder("flat", {12});
  EXPECT_THROW(slice(x, 2, 0, 1), std::invalid_argument);
  EXPECT_THROW(slice(x, -3, 0, 1), std::invalid_argument);
  EXPECT_THROW(slice(x, 0, 0, 4), std::invalid_argument);
  EXPECT_THROW(slice(x, 0, 2, 1), std::invalid_argument);
  EXPECT_THROW(slice(x, 0, -1, 1), std::invalid_argument);
  EXPECT_THROW(concat({x, y}, 0), std::invalid_argument);
  EXPECT_THROW(concat({x, flat}, 0), std::invalid_argument);
  EXPECT_THROW(concat({x, x}, 2), std::invalid_argument);
  EXPECT_THROW(concat({}, 0), std::invalid_argument);
  EXPECT_THROW(reshape(x, {5, 2}), std::invalid_argument);
  EXPECT_THROW(reshape(x, {kOpen, 5}), std::invalid_argument);
  EXPECT_THROW(reshape(x, {kOpen, kOpen}), std::invalid_argument);
}

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

TEST(SliceShapes, OfAnOpenAxisAreChecked) {
  Graph g;
  const Tensor x = g.placeholder("x", {kOpen});
  EXPECT_THROW(slice(x, 0, 5, 2), std::invalid_argument);
  EXPECT_THROW(slice(x, 0, 3, 2), std::invalid_argument);
  EXPECT_THROW(slice(x, 0, -1, -2), std::invalid_argument);
  EXPECT_EQ(slice(x, 0, -2).shape(), (Shape{2}));
}

}  // namespace
}  // namespace unroll::test
