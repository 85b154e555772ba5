/// Rows of a table by id: gathering, scattering, coalescing, the sparse gradient; and ids as rows
/// with a single 1.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <stdexcept>
#include <utility>
#include <vector>

#include "tests/support/backends.h"
#include "tests/support/compare.h"
#include "tests/support/element_types.h"
#include "tests/support/graph_case.h"
#include "tests/support/random.h"
#include "tests/support/reference.h"
#include "unroll/gradients.h"
#include "unroll/ops.h"
#include "unroll/session.h"

namespace unroll::test {
namespace {

constexpr std::int64_t kRows[] = {1, 31, 32, 33, 257};
constexpr std::int64_t kColumns[] = {1, 2, 3, 4, 5, 8, 31, 32, 33, 128, 257};

class RowKernels : public OnEachBackend {
 protected:
  /// Ids for a table of `limit` rows: many repeated, some out of range on both sides.
  std::vector<std::int32_t> ids(std::int64_t count, std::int32_t limit) {
    return random_.integers(std::size_t(count), -2, limit + 2);
  }

  /// The expected result of scattering (ids, rows) onto `before`: float32 in the promised order.
  static std::vector<float> scattered(const std::vector<std::int32_t>& ids,
                                      const std::vector<float>& rows, std::vector<float> before,
                                      std::size_t columns) {
    const auto limit = std::int32_t(before.size() / columns);
    for (std::size_t k = 0; k < ids.size(); ++k)
      for (std::size_t c = 0; c < columns; ++c)
        if (ids[k] >= 0 && ids[k] < limit)
          before[std::size_t(ids[k]) * columns + c] += rows[k * columns + c];
    return before;
  }

  Random random_{12};
};

TEST_P(RowKernels, GatherCopiesRowsAndZeroesUnknownIds) {
  for (const std::int64_t m : kRows)
    for (const std::int64_t e : kColumns) {
      SCOPED_TRACE(::testing::Message() << m << " x " << e);
      const std::vector<std::int32_t> rows = ids(m, 7);
      const Reals table = random_.array({7, e}, -1, 1);
      const View out = memory_->out({m, e});
      backend_->gather_rows(
          {.table = memory_->in(table), .ids = memory_->in(rows, {m}), .out = out});
      EXPECT_TRUE(close(memory_->get(out), reference::gather(table, rows, {m}).values, 0));
      finish_case();
    }
}

TEST_P(RowKernels, ScatterAddsInOrderOfPosition) {
  for (const std::int64_t m : kRows)
    for (const std::int64_t e : kColumns) {
      SCOPED_TRACE(::testing::Message() << m << " x " << e);
      const std::vector<std::int32_t> targets = ids(m, 5);
      const std::vector<float> rows = floats(random_.array({m, e}, -1, 1));
      const std::vector<float> before = floats(random_.array({5, e}, -1, 1));
      const std::vector<float> expected = scattered(targets, rows, before, std::size_t(e));
      const View table = memory_->inout(before, {5, e});
      backend_->scatter_add_rows(
          {.ids = memory_->in(targets, {m}), .rows = memory_->in(rows, {m, e}), .table = table});
      EXPECT_TRUE(identical(memory_->get(table), expected));
      finish_case();
    }
}

TEST_P(RowKernels, ScatterAddsPairsThatAreFarApart) {
  for (const std::int64_t m : {1023, 1024, 1025, 2500})
    for (const std::int32_t limit : {3, 4000}) {
      SCOPED_TRACE(::testing::Message() << m << " of " << limit);
      const std::vector<std::int32_t> targets = ids(m, limit);
      const std::vector<float> rows = floats(random_.array({m, 4}, -1, 1));
      const std::vector<float> before = floats(random_.array({limit, 4}, -1, 1));
      const View table = memory_->inout(before, {limit, 4});
      backend_->scatter_add_rows(
          {.ids = memory_->in(targets, {m}), .rows = memory_->in(rows, {m, 4}), .table = table});
      EXPECT_TRUE(identical(memory_->get(table), scattered(targets, rows, before, 4)));
      finish_case();
    }
}

TEST_P(RowKernels, RowsNeedNoAlignment) {
  const std::vector<std::int32_t> targets{3, 0, 3, 9, 1, 0, 3};
  const Reals table = random_.array({4, 8}, -1, 1);
  const std::vector<float> rows = floats(random_.array({7, 8}, -1, 1));
  memory_->shift_by(1);
  const View ids = memory_->in(targets, {7}), rows_view = memory_->in(rows, {7, 8});
  const View gathered = memory_->out({7, 8}), sums = memory_->inout(table);
  backend_->gather_rows({.table = memory_->in(table), .ids = ids, .out = gathered});
  EXPECT_TRUE(close(memory_->get(gathered), reference::gather(table, targets, {7}).values, 0));
  backend_->scatter_add_rows({.ids = ids, .rows = rows_view, .table = sums});
  EXPECT_TRUE(identical(memory_->get(sums), scattered(targets, rows, floats(table), 8)));

  const CoalesceRows args{.ids = ids,
                          .rows = rows_view,
                          .limit = 4,
                          .unique_ids = memory_->out({7}, DType::kInt32),
                          .sums = memory_->out({7, 8}),
                          .scratch = memory_->raw(backend_->coalesce_scratch_bytes(7))};
  backend_->coalesce_rows(args);
  EXPECT_EQ(memory_->get<std::int32_t>(args.unique_ids),
            (std::vector<std::int32_t>{0, 1, 3, -1, -1, -1, -1}));
  // Coalesced pairs, scattered onto zeros, give the same as the pairs themselves.
  const View dense = memory_->inout(std::vector<float>(32, 0.0F), {4, 8});
  backend_->scatter_add_rows({.ids = args.unique_ids, .rows = args.sums, .table = dense});
  EXPECT_TRUE(identical(memory_->get(dense), scattered(targets, rows, std::vector<float>(32), 8)));
}

// A tolerated error must not reappear in the sort and the scan that follow it.
TEST_P(RowKernels, CoalesceAfterACaptureThatFailed) {
  const auto allocating = backend_->capture([&] { backend_->allocate(4); });
  allocating->run();  // direct; on a GPU the second run is captured and must not allocate
  if (GetParam() == "Cpu")
    allocating->run();
  else
    EXPECT_THROW(allocating->run(), DeviceError);
  const CoalesceRows args{.ids = memory_->in<std::int32_t>({3, 1, 3}, {3}),
                          .rows = memory_->in<float>({1, 2, 4}, {3, 1}),
                          .limit = 4,
                          .unique_ids = memory_->out({3}, DType::kInt32),
                          .sums = memory_->out({3, 1}),
                          .scratch = memory_->raw(backend_->coalesce_scratch_bytes(3))};
  backend_->coalesce_rows(args);
  EXPECT_EQ(memory_->get<std::int32_t>(args.unique_ids), (std::vector<std::int32_t>{1, 3, -1}));
  EXPECT_EQ(memory_->get(args.sums), (std::vector<float>{2, 5, 0}));
}

TEST_P(RowKernels, CoalesceSumsEqualIdsInOrderOfPosition) {
  std::vector<std::pair<std::int64_t, std::int64_t>> sizes{{1023, 4}, {1024, 5}, {1025, 8}};
  for (const std::int64_t m : kRows)
    for (const std::int64_t e : kColumns) sizes.push_back({m, e});
  for (const auto& [m, e] : sizes)
    for (const std::int32_t limit : {1, 5, 100000}) {
      SCOPED_TRACE(::testing::Message() << m << " x " << e << " of " << limit);
      const std::vector<std::int32_t> targets = ids(m, limit);
      const std::vector<float> rows = floats(random_.array({m, e}, -1, 1));
      std::map<std::int32_t, std::vector<float>> sums;  // in ascending order of id
      for (std::size_t k = 0; k < targets.size(); ++k) {
        if (targets[k] < 0 || targets[k] >= limit) continue;
        std::vector<float>& sum = sums[targets[k]];
        sum.resize(std::size_t(e));
        for (std::size_t c = 0; c < sum.size(); ++c) sum[c] += rows[k * sum.size() + c];
      }
      std::vector<std::int32_t> expected_ids;
      std::vector<double> expected;
      for (const auto& [id, sum] : sums) {
        expected_ids.push_back(id);
        expected.insert(expected.end(), sum.begin(), sum.end());
      }
      expected_ids.resize(std::size_t(m), -1);
      expected.resize(std::size_t(m * e), 0);

      const CoalesceRows args{.ids = memory_->in(targets, {m}),
                              .rows = memory_->in(rows, {m, e}),
                              .limit = limit,
                              .unique_ids = memory_->out({m}, DType::kInt32),
                              .sums = memory_->out({m, e}),
                              .scratch = memory_->raw(backend_->coalesce_scratch_bytes(m))};
      backend_->coalesce_rows(args);
      EXPECT_EQ(memory_->get<std::int32_t>(args.unique_ids), expected_ids);
      EXPECT_TRUE(close(memory_->get(args.sums), expected, 0));
      finish_case();
    }
}

UNROLL_FOR_EACH_BACKEND(RowKernels);

class Embedding : public OnEachBackend {};

struct EmbeddingCase {
  Dims ids;
  std::int64_t vocabulary, columns;
};

TEST_P(Embedding, ValuesAndGradientsMatchTheReference) {
  Random random(4);
  for (const auto& [dims, vocabulary, columns] :
       {EmbeddingCase{{3}, 5, 4}, EmbeddingCase{{5, 4}, 7, 33}, EmbeddingCase{{2, 3, 4}, 3, 1},
        EmbeddingCase{{1}, 1, 257}}) {
    SCOPED_TRACE(to_string(shape_of(dims)));
    Graph g;
    const Tensor ids = g.placeholder("ids", shape_of(dims), DType::kInt32);
    const Tensor table = g.variable("table", {vocabulary, columns}, uniform(-1, 1));
    const Tensor y = embedding(table, ids);
    Dims out = dims;
    out.push_back(columns);
    ASSERT_EQ(dims_of(y.shape()), out);
    const Tensor w = g.placeholder("w", shape_of(out));
    const Tensor cost = reduce_sum(w * y);
    const std::vector<Tensor> xs{table};
    const std::vector<Gradient> sparse = gradients(cost, xs);
    EXPECT_TRUE(sparse[0].is_sparse());
    const Tensor dense = dense_gradients(cost, xs)[0];

    const std::vector<std::int32_t> id_values =
        random.integers(reference::elements(dims), -1, std::int32_t(vocabulary) + 1);
    const Reals weights = random.array(out, -1, 1);
    const std::vector<float> weight_values = floats(weights);
    const std::vector<Feed> feeds{{ids, id_values}, {w, weight_values}};
    const std::vector<Tensor> fetches{y, dense};
    Session session(g, backend_);
    session.run(fetches, feeds);

    const Reals rows({vocabulary, columns}, doubles(session.variables().read<float>("table")));
    EXPECT_TRUE(close(session.read(y), reference::gather(rows, id_values, dims).values, 0));
    Reals expected({vocabulary, columns});
    for (std::size_t m = 0; m < id_values.size(); ++m)
      for (std::int64_t e = 0; e < columns; ++e)
        if (id_values[m] >= 0 && id_values[m] < vocabulary)
          expected.at(id_values[m], e) += weights.at(std::int64_t(m), e);
    // At most 24 terms below 1 in a sum, each addition half an ulp of at most 8.
    EXPECT_TRUE(close(session.read(dense), expected.values, 24, 4));
  }
}

TEST_P(Embedding, GradientIsDenseWhereTheTableIsUsedElsewhereToo) {
  Graph g;
  const Tensor ids = g.placeholder("ids", {4}, DType::kInt32);
  const Tensor table = g.variable("table", {3, 2}, constant(2));
  const Tensor cost = reduce_sum(embedding(table, ids)) + reduce_sum(table * table);
  const std::vector<Tensor> xs{table};
  EXPECT_FALSE(gradients(cost, xs)[0].is_sparse());
  const Tensor slope = dense_gradients(cost, xs)[0];
  Session session(g, backend_);
  EXPECT_EQ(session.evaluate(slope, {{ids, std::vector<std::int32_t>{2, 0, 2, 9}}}),
            (std::vector<float>{5, 5, 4, 4, 6, 6}));
}

// Both gradients are the same values: those of the lookup are added to them, not to what has been
// added already.
TEST_P(Embedding, ALookupBesideTheTableItself) {
  Graph g;
  const Tensor table = g.placeholder("table", {3, 1}), w = g.placeholder("w", {3, 1});
  const Tensor ids = g.constant(std::vector<std::int32_t>{1, 2, 0}, {3});
  const Tensor cost = reduce_sum((embedding(table, ids) + table) * w);
  const Tensor slope = dense_gradients(cost, {table})[0];
  Session session(g, backend_);
  const std::vector<float> zeros(3), weights{1, 10, 100};
  EXPECT_EQ(session.evaluate(slope, {{table, zeros}, {w, weights}}),
            (std::vector<float>{101, 11, 110}));
}

TEST_P(Embedding, TwoLookupsInOneTableAddUp) {
  Graph g;
  const Tensor a = g.placeholder("a", {2}, DType::kInt32),
               b = g.placeholder("b", {3}, DType::kInt32);
  const Tensor table = g.variable("table", {4, 1}, constant(1));
  const Tensor cost = reduce_sum(embedding(table, a)) + 10 * reduce_sum(embedding(table, b));
  const Tensor slope = dense_gradients(cost, {table})[0];
  Session session(g, backend_);
  EXPECT_EQ(session.evaluate(slope, {{a, std::vector<std::int32_t>{0, 1}},
                                     {b, std::vector<std::int32_t>{1, 1, 3}}}),
            (std::vector<float>{1, 21, 0, 10}));
}

UNROLL_FOR_EACH_BACKEND(Embedding);

TEST(EmbeddingShapes, AreChecked) {
  Graph g;
  const Tensor ids = g.placeholder("ids", {kOpen, 4}, DType::kInt32);
  const Tensor table = g.placeholder("table", {5, 3}), vector = g.placeholder("vector", {5});
  EXPECT_EQ(embedding(table, ids).shape(), (Shape{kOpen, 4, 3}));
  EXPECT_THROW(embedding(vector, ids), std::invalid_argument);
  EXPECT_THROW(embedding(table, g.placeholder("x", {4})), std::invalid_argument);
  EXPECT_THROW(embedding(ids, ids), std::invalid_argument);
}

// The gradient of two tables that are one: int64 ids are as good, also beside int32 ones.
TEST_P(Embedding, TakesInt64Ids) {
  Graph g;
  const Tensor long_ids = g.placeholder("long_ids", {2, 3}, DType::kInt64),
               ids = g.placeholder("ids", {2}, DType::kInt32);
  const Tensor table = g.variable("table", {4, 3}, uniform(-1, 1));
  const Tensor y = embedding(table, long_ids);
  EXPECT_EQ(y.shape(), (Shape{2, 3, 3}));
  const Tensor cost = reduce_sum(y) + 10 * reduce_sum(embedding(table, ids));
  EXPECT_TRUE(gradients(cost, {table})[0].is_sparse());
  const Tensor slope = dense_gradients(cost, {table})[0];
  // Outside int32, among them one whose lowest 32 bits are an id.
  const std::vector<std::int64_t> values{3, -1, std::int64_t{1} << 32, 3, 0, INT64_MIN};
  const std::vector<std::int32_t> short_values{1, 3};
  Session session(g, backend_);
  session.run({y, slope}, {{long_ids, values}, {ids, short_values}});
  const Reals rows({4, 3}, doubles(session.variables().read<float>("table")));
  EXPECT_TRUE(
      close(session.read(y), reference::gather(rows, {3, -1, -1, 3, 0, -1}, {2, 3}).values, 0));
  EXPECT_EQ(session.read(slope), (std::vector<float>{1, 1, 1, 10, 10, 10, 0, 0, 0, 12, 12, 12}));
}

class Gather : public OnEachBackend {
 protected:
  struct Case {
    Dims x;
    int axis;
    Dims ids;
  };

  template <typename Id>
  void check(const Case& test) {
    SCOPED_TRACE(to_string(shape_of(test.x)) + " axis " + std::to_string(test.axis) + " ids " +
                 to_string(shape_of(test.ids)));
    const auto axis = std::size_t(test.axis < 0 ? test.axis + int(test.x.size()) : test.axis);
    Random random(17);
    std::vector<std::int64_t> ids;  // some out of range on both sides
    for (const std::int32_t id :
         random.integers(reference::elements(test.ids), -1, std::int32_t(test.x[axis]) + 1))
      ids.push_back(id);
    const std::vector<Id> fed(ids.begin(), ids.end());
    const Reals values = random.array(test.x, -2, 2);
    const Reals expected = reference::gather_along(values, axis, ids, test.ids);
    const Reals weights = random.array(expected.dims, -1, 1);

    Graph g;
    const Tensor x = g.placeholder("x", shape_of(test.x)),
                 id = g.placeholder("ids", shape_of(test.ids), dtype_of<Id>()),
                 w = g.placeholder("w", shape_of(expected.dims));
    const Tensor y = gather(x, id, test.axis);
    const Tensor slope = dense_gradients(reduce_sum(w * y), {x})[0];
    Session session(g, backend_);
    session.run({y, slope}, {{x, floats(values)}, {id, fed}, {w, floats(weights)}});
    EXPECT_TRUE(close(session.read(y), expected.values, 0));
    const auto slopes = reference::complex_step({values}, [&](const auto& point) {
      return reference::weighted_sum(weights,
                                     reference::gather_along(point[0], axis, ids, test.ids));
    });
    // At most some 30 of the ids are equal: so many terms below 1 in a sum below 8.
    EXPECT_TRUE(close(session.read(slope), slopes[0].values, 30, 4));
  }
};

TEST_P(Gather, ValuesAndGradientsMatchTheReference) {
  for (const Case& test : {
           Case{{5}, 0, {3}},
           Case{{5}, 0, {}},
           Case{{33}, 0, {2, 257}},
           Case{{4, 31}, 0, {6}},
           Case{{4, 32}, 1, {6}},
           Case{{4, 33}, -1, {3, 2}},
           Case{{7, 257}, 0, {5}},
           Case{{3, 4, 5}, 0, {2, 2}},
           Case{{3, 4, 5}, 1, {2, 3}},
           Case{{3, 4, 5}, 2, {}},
           Case{{2, 3, 2, 3, 2, 2}, 3, {4}},
           Case{{2, 3, 4}, 1, {2, 1, 2, 2}},
       }) {
    check<std::int32_t>(test);
    check<std::int64_t>(test);
  }
}

TEST_P(Gather, MovesEveryElementType) {
  for (const std::int64_t n : {1, 3, 4, 31, 32, 33, 255, 256, 257})
    for (const int axis : {0, 1}) {
      SCOPED_TRACE(n);
      check_moves_of_each_type(
          backend_, {3, n},
          [=](Tensor x) {
            const Tensor id = shape(slice(x, 0, 0, 1));  // [1, n]
            return gather(x, id, axis);
          },
          [=](const Reals& x) {
            const auto one_more = [](double place) { return place + 1; };  // 0: out of range
            return reference::map(reference::gather_along(reference::map(x, one_more),
                                                          std::size_t(axis), {1, n}, {2}),
                                  [](double place) { return place - 1; });
          });
    }
}

UNROLL_FOR_EACH_BACKEND(Gather);

TEST_P(Gather, ATableWithoutRowsGivesZeros) {
  Graph g;
  const Tensor ids = g.constant(std::vector<std::int32_t>{0, 1}, {2});
  const Tensor x = g.placeholder("x", {64});
  const Tensor gathered = gather(g.constant(0, {0, 3}), ids);
  Session session(g, backend_);
  session.run(x * 2 + 1, {{x, std::vector<float>(64, 7)}});  // what lies in the memory before
  EXPECT_EQ(session.evaluate(gathered), std::vector<float>(6));
}

TEST(GatherShapes, HaveNoGradientInFloat64) {
  Graph g;
  const Tensor x = g.placeholder("x", {4}, DType::kFloat64);
  const Tensor ids = g.constant(std::vector<std::int32_t>{0, 1}, {2});
  const Tensor cost = cast(reduce_sum(gather(x, ids)), DType::kFloat32);
  EXPECT_THROW(gradients(cost, {x}), std::invalid_argument);
}

TEST(GatherShapes, AreChecked) {
  Graph g;
  const Tensor x = g.placeholder("x", {4, kOpen, 3}),
               ids = g.placeholder("ids", {2, kOpen}, DType::kInt64);
  EXPECT_EQ(gather(x, ids).shape(), (Shape{2, kOpen, kOpen, 3}));
  EXPECT_EQ(gather(x, ids, -2).shape(), (Shape{4, 2, kOpen, 3}));
  EXPECT_EQ(gather(x, ids, 2).shape(), (Shape{4, kOpen, 2, kOpen}));
  EXPECT_EQ(gather(x, g.placeholder("id", {}, DType::kInt32), 1).shape(), (Shape{4, 3}));
  EXPECT_THROW(gather(x, ids, 3), std::invalid_argument);
  EXPECT_THROW(gather(x, x), std::invalid_argument);
  EXPECT_THROW(gather(x, g.placeholder("many", {1, 1, 1, 1, 1}, DType::kInt32)),
               std::invalid_argument);
  EXPECT_THROW(gather(g.placeholder("scalar", {}), ids), std::invalid_argument);
  EXPECT_THROW(gather(Tensor(), ids), std::invalid_argument);
  EXPECT_THROW(gather(x, Tensor()), std::invalid_argument);
}

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

TEST_P(OneHotTest, TakesInt64Ids) {
  Graph g;
  const Tensor ids = g.placeholder("ids", {4}, DType::kInt64);
  const Tensor y = one_hot(ids, 2);
  Session session(g, backend_);
  EXPECT_EQ(
      session.evaluate(y, {{ids, std::vector<std::int64_t>{1, 0, std::int64_t{1} << 32, -1}}}),
      (std::vector<float>{0, 1, 1, 0, 0, 0, 0, 0}));
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
