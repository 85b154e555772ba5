/// Elementwise kernels on float64, integers and bool, comparisons, where and cast, and constants of
/// these types.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <span>
#include <stdexcept>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "tests/support/backends.h"
#include "tests/support/compare.h"
#include "tests/support/random.h"
#include "tests/support/reference.h"
#include "unroll/gradients.h"
#include "unroll/ops.h"
#include "unroll/session.h"

namespace unroll::test {
namespace {

using Kind = ElementwiseKind;

constexpr double kNan64 = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf64 = std::numeric_limits<double>::infinity();

/// Small numbers, of which many are equal, and the ends of the range.
template <typename T>
std::vector<T> some_values(Random& random, const Dims& dims) {
  using Limits = std::numeric_limits<T>;
  std::vector<T> values(reference::elements(dims));
  for (T& x : values) {
    const int draw = random.integer(0, 12);
    if constexpr (std::is_same_v<T, bool>)
      x = draw % 2 == 0;
    else if constexpr (std::is_integral_v<T>)
      x = draw == 0 ? Limits::min() : draw == 1 ? Limits::max() : T(random.integer(-3, 4));
    else
      x = draw == 0 ? T(kInf64) : draw == 1 ? T(kNan64) : T(random.integer(-3, 4)) / T(3);
  }
  return values;
}

/// The whole number `x` in T's bits, as two's complement wraps it.
template <typename T>
T wrapped(__int128 x) {
  return static_cast<T>(static_cast<std::make_unsigned_t<T>>(static_cast<unsigned __int128>(x)));
}

/// What NumPy gives.
template <typename T>
T expected_number(Kind kind, T a, T b) {
  using Wide = std::conditional_t<std::is_integral_v<T>, __int128, T>;
  const auto of = [](Wide x) {
    if constexpr (std::is_integral_v<T>)
      return wrapped<T>(x);
    else
      return x;
  };
  const Wide x = a, y = b;
  const bool nan = x != x || y != y;
  switch (kind) {
    case Kind::kAffine:
      return of(Wide(3) * x + Wide(-2));
    case Kind::kAdd:
      return of(x + y);
    case Kind::kSubtract:
      return of(x - y);
    case Kind::kMultiply:
      return of(x * y);
    case Kind::kDivide:
      return of(x / y);
    case Kind::kAbs:
      return of(x < 0 ? -x : x);
    case Kind::kMaximum:
      return nan ? of(x + y) : std::max(a, b);
    case Kind::kMinimum:
      return nan ? of(x + y) : std::min(a, b);
    case Kind::kClip:
      return x != x ? a : T(std::min(std::max(x, Wide(-2)), Wide(3)));
    case Kind::kAbsGradient:
      return of(y * (x > 0 ? Wide(1) : x < 0 ? Wide(-1) : x));
    case Kind::kMaximumShare:
      return nan ? of(x + y) : of(x > y ? Wide(1) : x < y ? Wide(0) : Wide(1) / 2);
    case Kind::kClipGradient:
      return x >= -2 && x <= 3 ? b : T(0);
    default:
      return a;  // kCopy
  }
}

template <typename T>
bool expected_truth(Kind kind, T a, T b) {
  switch (kind) {
    case Kind::kEqual:
      return a == b;
    case Kind::kNotEqual:
      return !(a == b);
    case Kind::kGreater:
      return a > b;
    case Kind::kGreaterEqual:
      return a > b || a == b;
    case Kind::kLess:
      return a < b;
    case Kind::kLessEqual:
      return a < b || a == b;
    case Kind::kAnd:
      return a ? bool(b) : false;
    case Kind::kOr:
      return a ? true : bool(b);
    case Kind::kXor:
      return bool(a) != bool(b);
    default:
      return !a;
  }
}

/// Equal, or both NaN.
template <typename T>
::testing::AssertionResult same(const std::vector<T>& actual, const std::vector<T>& expected) {
  if (actual.size() != expected.size()) return ::testing::AssertionFailure() << "another size";
  for (std::size_t k = 0; k < actual.size(); ++k) {
    const T x = actual[k], y = expected[k];
    if (x != y && !(x != x && y != y))
      return ::testing::AssertionFailure() << "element " << k << ": " << x << ", expected " << y;
  }
  return ::testing::AssertionSuccess();
}

/// Every way in which an axis can broadcast, around the sizes of a warp and a block.
std::vector<std::pair<Dims, Dims>> typed_shape_pairs() {
  std::vector<std::pair<Dims, Dims>> pairs = {{{}, {}},
                                              {{2, 1, 3, 33}, {1, 5, 1, 33}},
                                              {{1, 2, 1, 3, 1, 5}, {2, 1, 2, 1, 4, 1}},
                                              {{0}, {1}}};
  for (const std::int64_t n : {1, 31, 32, 33, 255, 256, 257})
    for (const auto& [a, b] :
         {std::pair<Dims, Dims>{{n}, {n}}, {{3, n}, {n}}, {{n, 3}, {n, 1}}, {{}, {3, n}}})
      pairs.emplace_back(a, b);
  return pairs;
}

class TypedKernel : public OnEachBackend {
 protected:
  /// All kinds that take T, of operands of these shapes.
  template <typename T>
  void check_kinds(const Dims& a_dims, const Dims& b_dims) {
    const reference::Array<T> a(a_dims, some_values<T>(random_, a_dims));
    const reference::Array<T> b(b_dims, some_values<T>(random_, b_dims));
    for (int k = 0; k < kElementwiseKinds; ++k) {
      const auto kind = Kind(k);
      if (!computes(kind, dtype_of<T>())) continue;
      if (std::is_same_v<T, float> && !gives_bool(kind)) continue;  // elementwise_test.cpp
      SCOPED_TRACE(::testing::Message() << "kind " << k << " of " << to_string(dtype_of<T>()));
      if (gives_bool(kind))
        check_kind<T, bool>(kind, a, b, [&](T x, T y) { return expected_truth(kind, x, y); });
      else if constexpr (!std::is_same_v<T, bool>)
        check_kind<T, T>(kind, a, b, [&](T x, T y) { return expected_number(kind, x, y); });
    }
    finish_case();
  }

  template <typename T, typename Result, typename F>
  void check_kind(Kind kind, const reference::Array<T>& a, const reference::Array<T>& b, F f) {
    const Dims dims = reference::broadcast(a.dims, b.dims);
    std::vector<Result> expected;
    reference::for_each_index(dims, [&](const Dims& index) {
      expected.push_back(f(reference::broadcast_at(a, index), reference::broadcast_at(b, index)));
    });
    const View out = memory_->out(shape_of(dims), dtype_of<Result>());
    backend_->elementwise({.kind = kind,
                           .a = memory_->in(a.values, shape_of(a.dims)),
                           .b = memory_->in(b.values, shape_of(b.dims)),
                           .out = out,
                           .alpha = kind == Kind::kAffine ? 3.0 : -2.0,
                           .beta = kind == Kind::kAffine ? -2.0 : 3.0});
    EXPECT_TRUE(same(memory_->get<Result>(out), expected));
  }

  Random random_{31};
};

TEST_P(TypedKernel, EveryKindTypeAndBroadcastIsExact) {
  for (const auto& [a, b] : typed_shape_pairs()) {
    SCOPED_TRACE(to_string(shape_of(a)) + " " + to_string(shape_of(b)));
    check_kinds<float>(a, b);
    check_kinds<double>(a, b);
    check_kinds<std::int32_t>(a, b);
    check_kinds<std::int64_t>(a, b);
  }
}

// vector<bool> has no array of bools, so these are apart.
TEST_P(TypedKernel, LogicIsExact) {
  for (const std::int64_t n : {1, 31, 32, 33, 255, 256, 257}) {
    std::vector<bool> a, b;
    for (std::int64_t k = 0; k < n; ++k) {
      a.push_back(random_.integer(0, 2) == 0);
      b.push_back(random_.integer(0, 2) == 0);
    }
    for (const Kind kind : {Kind::kAnd, Kind::kOr, Kind::kXor, Kind::kNot, Kind::kCopy})
      for (const bool one : {false, true}) {  // the first of b for all
        std::vector<bool> expected;
        for (std::size_t k = 0; k < a.size(); ++k)
          expected.push_back(
              kind == Kind::kCopy ? a[k] : expected_truth<bool>(kind, a[k], b[one ? 0 : k]));
        const View out = memory_->out({n}, DType::kBool);
        backend_->elementwise(
            {.kind = kind,
             .a = memory_->in(a, {n}),
             .b = memory_->in(one ? std::vector<bool>{b[0]} : b, one ? Shape{} : Shape{n}),
             .out = out});
        EXPECT_EQ(memory_->get<bool>(out), expected) << int(kind);
      }
    finish_case();
  }
}

TEST_P(TypedKernel, OutMayBeAnOperand) {
  for (const bool onto_b : {false, true}) {
    const std::vector<std::int64_t> a(257, 1LL << 40), b(257, -3);
    const View a_view = onto_b ? memory_->in(a, {257}) : memory_->inout(a, {257});
    const View b_view = onto_b ? memory_->inout(b, {257}) : memory_->in(b, {257});
    const View out = onto_b ? b_view : a_view;
    backend_->elementwise({.kind = Kind::kAdd, .a = a_view, .b = b_view, .out = out});
    EXPECT_EQ(memory_->get<std::int64_t>(out), std::vector<std::int64_t>(257, (1LL << 40) - 3));
    finish_case();
  }
}

TEST_P(TypedKernel, WhereChoosesBits) {
  struct Shapes {
    Dims condition, a, b, out;
  };
  std::vector<Shapes> all = {{{}, {}, {}, {}},
                             {{2, 1}, {1, 3}, {}, {2, 3}},
                             {{}, {2, 3}, {3}, {2, 3}},
                             {{2, 1, 3, 1}, {4, 1, 5}, {1, 5}, {2, 4, 3, 5}}};
  for (const std::int64_t n : {1, 31, 32, 33, 255, 256, 257}) {
    all.push_back({{n}, {n}, {n}, {n}});
    all.push_back({{3, n}, {n}, {3, 1}, {3, n}});
    all.push_back({{n}, {3, n}, {}, {3, n}});
  }
  const auto check = [&]<typename T>(const Shapes& shapes, T) {
    std::vector<bool> condition;
    for (std::size_t k = 0; k < reference::elements(shapes.condition); ++k)
      condition.push_back(random_.integer(0, 2) == 0);
    const reference::Array<std::int32_t> places(
        shapes.condition, std::vector<std::int32_t>(condition.begin(), condition.end()));
    reference::Array<T> a(shapes.a), b(shapes.b);
    for (T& x : a.values) x = T(random_.integer(1, 1 << 20));
    for (T& x : b.values) x = -T(random_.integer(1, 1 << 20));
    a.values[0] = std::is_floating_point_v<T> ? T(kNan64) : std::numeric_limits<T>::max();
    std::vector<T> expected;
    reference::for_each_index(shapes.out, [&](const Dims& index) {
      expected.push_back(reference::broadcast_at(places, index) != 0
                             ? reference::broadcast_at(a, index)
                             : reference::broadcast_at(b, index));
    });
    const View out = memory_->out(shape_of(shapes.out), dtype_of<T>());
    backend_->where({.condition = memory_->in(condition, shape_of(shapes.condition)),
                     .a = memory_->in(a.values, shape_of(shapes.a)),
                     .b = memory_->in(b.values, shape_of(shapes.b)),
                     .out = out});
    EXPECT_TRUE(identical(memory_->get<T>(out), expected));
    finish_case();
  };
  for (const Shapes& shapes : all) {
    SCOPED_TRACE(to_string(shape_of(shapes.out)));
    check(shapes, float());
    check(shapes, double());
    check(shapes, std::int32_t());
    check(shapes, std::int64_t());
  }
  const View out = memory_->out({3}, DType::kBool);
  backend_->where({.condition = memory_->in(std::vector<bool>{true, false, true}, {3}),
                   .a = memory_->in(std::vector<bool>{true, true, false}, {3}),
                   .b = memory_->in(std::vector<bool>{false}, {}),
                   .out = out});
  EXPECT_EQ(memory_->get<bool>(out), (std::vector<bool>{true, false, false}));
}

/// `values` as From, converted to To, must be `expected`; the size straddles a block.
template <typename To, typename From>
void check_cast(Backend& backend, GuardedMemory& memory, const std::vector<From>& values,
                const std::vector<To>& expected) {
  SCOPED_TRACE(to_string(dtype_of<From>()) + " to " + to_string(dtype_of<To>()));
  for (const std::size_t n : {values.size(), std::size_t{257}}) {
    std::vector<From> in;
    std::vector<To> want;
    for (std::size_t k = 0; k < n; ++k) {
      in.push_back(values[k % values.size()]);
      want.push_back(expected[k % values.size()]);
    }
    const View out = memory.out({std::int64_t(n)}, dtype_of<To>());
    backend.cast({memory.in(in, {std::int64_t(n)}), out});
    EXPECT_TRUE(same(memory.get<To>(out), want));
  }
}

TEST_P(TypedKernel, CastsBetweenAllTypes) {
  using I32 = std::int32_t;
  using I64 = std::int64_t;
  constexpr I64 kMost64 = INT64_MAX, kLeast64 = INT64_MIN;
  const auto check = [&]<typename To, typename From>(const std::vector<From>& values,
                                                     const std::vector<To>& expected) {
    check_cast<To, From>(*backend_, *memory_, values, expected);
    finish_case();
  };
  const std::vector<double> reals{0,     -0.0,   2.75,   -2.75,   0.5,
                                  1e300, -1e300, kInf64, -kInf64, kNan64};
  const std::vector<float> floats{0,     -0.0F,  2.75F,         -2.75F,         0.5F,
                                  3e38F, -3e38F, float(kInf64), -float(kInf64), float(kNan64)};
  const std::vector<I32> to_32{0, 0, 2, -2, 0, INT32_MAX, INT32_MIN, INT32_MAX, INT32_MIN, 0};
  const std::vector<I64> to_64{0, 0, 2, -2, 0, kMost64, kLeast64, kMost64, kLeast64, 0};
  const std::vector<bool> is{false, false, true, true, true, true, true, true, true, true};
  check(reals, to_32);
  check(reals, to_64);
  check(reals, is);
  check(floats, to_32);
  check(floats, to_64);
  check(floats, is);
  std::vector<float> narrowed(floats);
  narrowed[5] = float(kInf64);  // 1e300
  narrowed[6] = -float(kInf64);
  check(reals, narrowed);
  check(floats, std::vector<double>(floats.begin(), floats.end()));
  // The last numbers below the limits, and the first that are out of range.
  check(std::vector<double>{2147483647.5, 2147483648, -2147483648.5, -2147483649},
        std::vector<I32>{INT32_MAX, INT32_MAX, INT32_MIN, INT32_MIN});
  check(std::vector<float>{2147483520.0F, 2147483648.0F, -2147483648.0F},
        std::vector<I32>{2147483520, INT32_MAX, INT32_MIN});
  check(std::vector<double>{9223372036854774784.0, 9223372036854775808.0, -9223372036854775808.0},
        std::vector<I64>{9223372036854774784, kMost64, kLeast64});

  const std::vector<I64> wide{0, 1, -1, (1LL << 40) + 5, kMost64, kLeast64, 16777217, 1LL << 31};
  check(wide, std::vector<I32>{0, 1, -1, 5, -1, 0, 16777217, INT32_MIN});
  check(wide, std::vector<float>{0, 1, -1, 1099511627776.0F, 9223372036854775808.0F,
                                 -9223372036854775808.0F, 16777216, 2147483648.0F});
  check(wide, std::vector<double>{0, 1, -1, 1099511627781.0, 9223372036854775808.0,
                                  -9223372036854775808.0, 16777217, 2147483648.0});
  check(wide, std::vector<bool>{false, true, true, true, true, true, true, true});
  const std::vector<I32> narrow{0, 1, -1, INT32_MAX, INT32_MIN, 256};
  check(narrow, std::vector<I64>{0, 1, -1, INT32_MAX, INT32_MIN, 256});
  check(narrow, std::vector<float>{0, 1, -1, 2147483648.0F, -2147483648.0F, 256});
  check(narrow, std::vector<double>{0, 1, -1, 2147483647.0, -2147483648.0, 256});
  check(narrow, std::vector<bool>{false, true, true, true, true, true});
  const std::vector<bool> flags{false, true};
  check(flags, std::vector<float>{0, 1});
  check(flags, std::vector<double>{0, 1});
  check(flags, std::vector<I32>{0, 1});
  check(flags, std::vector<I64>{0, 1});
}

UNROLL_FOR_EACH_BACKEND(TypedKernel);

TEST(TypedThreads, GiveTheSameBits) {
  Random random(32);
  const Dims dims{3, 8193};
  const std::vector<double> a = some_values<double>(random, dims),
                            b = some_values<double>(random, {8193});
  const auto run = [&](int threads) {
    const auto backend = cpu(threads);
    GuardedMemory memory(*backend);
    const View in = memory.in(a, {3, 8193}), other = memory.in(b, {8193});
    const View product = memory.out({3, 8193}, DType::kFloat64);
    const View less = memory.out({3, 8193}, DType::kBool),
               chosen = memory.out({3, 8193}, DType::kFloat64);
    const View ids = memory.out({3, 8193}, DType::kInt32);
    backend->elementwise({.kind = Kind::kMultiply, .a = in, .b = other, .out = product});
    backend->elementwise({.kind = Kind::kLess, .a = in, .b = other, .out = less});
    backend->where({less, product, other, chosen});
    backend->cast({chosen, ids});
    return std::pair(memory.get<double>(chosen), memory.get<std::int32_t>(ids));
  };
  for (const int threads : {2, 7}) {
    EXPECT_TRUE(identical(run(threads).first, run(1).first));
    EXPECT_TRUE(identical(run(threads).second, run(1).second));
  }
}

class TypedOps : public OnEachBackend {};

TEST_P(TypedOps, ComparisonsTakeNumbersToo) {
  Graph g;
  const Tensor n = g.placeholder("n", {3}, DType::kInt64), x = g.placeholder("x", {3});
  const std::vector<Tensor> fetches{equal(n, 2),   not_equal(n, 2),    greater(n, 2),
                                    less(x, 0.5),  less_equal(x, 0.5), greater_equal(x, 0.5),
                                    maximum(n, 2), minimum(x, 0.5)};
  const std::vector<std::int64_t> nv{1, 2, 3};
  const std::vector<float> xv{0.25F, 0.5F, std::numeric_limits<float>::quiet_NaN()};
  Session session(g, backend_);
  session.run(fetches, std::vector<Feed>{{n, nv}, {x, xv}});
  const std::vector<std::vector<bool>> expected{{false, true, false}, {true, false, true},
                                                {false, false, true}, {true, false, false},
                                                {true, true, false},  {false, true, false}};
  for (std::size_t k = 0; k < expected.size(); ++k)
    EXPECT_EQ(session.read<bool>(fetches[k]), expected[k]) << k;
  EXPECT_EQ(session.read<std::int64_t>(fetches[6]), (std::vector<std::int64_t>{2, 2, 3}));
  EXPECT_EQ(session.read(fetches[7])[1], 0.5F);
  EXPECT_TRUE(std::isnan(session.read(fetches[7])[2]));
  EXPECT_THROW(less(n, 0.5), std::invalid_argument);
  EXPECT_THROW(less(Tensor(), 0.5), std::invalid_argument);
}

TEST_P(TypedOps, NumbersBesideATensorTakeItsType) {
  Graph g;
  const Tensor n = g.placeholder("n", {2}, DType::kInt64),
               d = g.placeholder("d", {2}, DType::kFloat64);
  const std::vector<Tensor> whole{n + 1, 1 + n,  n - 1,          1 - n,          n * 3,
                                  -n,    abs(n), clip(n, -5, 5), maximum(n, -n), n * n};
  const std::vector<Tensor> real{d + 0.1, d / 3, 1 / d, -d, clip(d, -0.1, 0.1), minimum(d, -d)};
  std::vector<Tensor> fetches = whole;
  fetches.insert(fetches.end(), real.begin(), real.end());
  const std::int64_t large = (1LL << 60) + 1;
  const std::vector<std::int64_t> nv{large, -7};
  const std::vector<double> dv{0.7, -3};
  Session session(g, backend_);
  session.run(fetches, std::vector<Feed>{{n, nv}, {d, dv}});
  const std::vector<std::vector<std::int64_t>> expected{
      {large + 1, -6}, {large + 1, -6}, {large - 1, -8}, {1 - large, 8}, {3 * large, -21},
      {-large, 7},     {large, 7},      {5, -5},         {large, 7},     {large * 2 - 1, 49}};
  for (std::size_t k = 0; k + 1 < whole.size(); ++k)
    EXPECT_EQ(session.read<std::int64_t>(whole[k]), expected[k]) << k;
  // (2^60 + 1)^2 = 2^120 + 2^61 + 1.
  EXPECT_EQ(session.read<std::int64_t>(whole.back()),
            (std::vector<std::int64_t>{(1LL << 61) + 1, 49}));
  const std::vector<std::vector<double>> reals{{0.7 + 0.1, -3 + 0.1}, {0.7 / 3, -1.0},
                                               {1 / 0.7, 1 / -3.0},   {-0.7, 3},
                                               {0.1, -0.1},           {-0.7, -3}};
  for (std::size_t k = 0; k < real.size(); ++k)
    EXPECT_EQ(session.read<double>(real[k]), reals[k]) << k;
}

TEST_P(TypedOps, ConstantsOfEachType) {
  Graph g;
  const std::int64_t large = (1LL << 62) + 1;
  const std::vector<std::int64_t> ids{1, large};
  const std::vector<std::int32_t> counts{-2, 7};
  const std::vector<double> reals{0.1, -kInf64};
  const bool flags[] = {true, false};
  const Tensor a = g.constant(ids, {2}), b = g.constant(counts, {2}), c = g.constant(reals, {2});
  const Tensor d = g.constant(std::span<const bool>(flags), {2});
  const Tensor one = g.constant(5, {3}, DType::kInt32),
               real = g.constant(0.1, {2}, DType::kFloat64);
  const Tensor yes = g.constant(1, {}, DType::kBool), none = g.constant(7, {0}, DType::kInt64);
  Session session(g, backend_);
  session.run({a, b, c, d, one, real, yes, none}, {});
  EXPECT_EQ(session.read<std::int64_t>(a), ids);
  EXPECT_EQ(session.read<std::int32_t>(b), counts);
  EXPECT_EQ(session.read<double>(c), reals);
  EXPECT_EQ(session.read<bool>(d), (std::vector<bool>{true, false}));
  EXPECT_EQ(session.read<std::int32_t>(one), (std::vector<std::int32_t>{5, 5, 5}));
  EXPECT_EQ(session.read<double>(real), (std::vector<double>{0.1, 0.1}));
  EXPECT_EQ(session.read<bool>(yes), std::vector<bool>{true});
  EXPECT_TRUE(session.read<std::int64_t>(none).empty());
}

// The gradient of what is not chosen is 0, also where that is NaN.
TEST_P(TypedOps, WhereKeepsApartWhatItDoesNotChoose) {
  Graph g;
  const Tensor x = g.placeholder("x", {3}), b = g.placeholder("b", {});
  const Tensor y = where(greater(x, g.constant(0)), 2 * x, b);
  const std::vector<Tensor> slopes = dense_gradients(reduce_sum(y), {x, b});
  const std::vector<float> xv{2, -1, float(kNan64)}, bv{5};
  Session session(g, backend_);
  session.run(std::vector<Tensor>{y, slopes[0], slopes[1]}, std::vector<Feed>{{x, xv}, {b, bv}});
  EXPECT_EQ(session.read(y), (std::vector<float>{4, 5, 5}));
  EXPECT_EQ(session.read(slopes[0]), (std::vector<float>{2, 0, 0}));
  EXPECT_EQ(session.read(slopes[1]), std::vector<float>{2});
}

TEST_P(TypedOps, GradientsFlowThroughFloat64) {
  Graph g;
  const Tensor x = g.placeholder("x", {4});
  const Tensor wide = cast(x, DType::kFloat64), row = reduce_max(wide, 0, {.keep_dims = true});
  const Tensor y = abs(wide) * wide / (wide * wide + 1) + maximum(wide, -wide) + clip(wide, -1, 1) +
                   where(less(wide, row), wide * 2, wide - 3);
  const Tensor cost = cast(reduce_sum(y), DType::kFloat32);
  const Tensor slope = dense_gradients(cost, {x})[0];
  const Reals at({4}, {0.5, -2, 3, -0.25});
  Session session(g, backend_);
  const std::vector<float> actual = session.evaluate(slope, {{x, floats(at)}});
  const std::vector<Reals> expected =
      reference::complex_step({at}, [&](const std::vector<reference::Array<Complex>>& points) {
        Complex sum = 0;
        for (const Complex& p : points[0].values) {
          const Complex size = p.real() < 0 ? -p : p;
          sum += size * p / (p * p + 1.0) + size + (std::abs(p.real()) <= 1 ? p : Complex(0)) +
                 (p.real() < 3 ? p * 2.0 : p);
        }
        return sum;
      });
  EXPECT_TRUE(close(actual, expected[0].values, 1));
}

TEST_P(TypedOps, AVariableOfIntegersCounts) {
  Graph g;
  const Tensor count =
      g.variable("count", {}, constant(0), {.trainable = false, .dtype = DType::kInt64});
  const Tensor step = assign_add(count, g.constant(2, {}, DType::kInt64));
  const Tensor doubled = assign(count, count * 2);
  Session session(g, backend_);
  session.run(step);
  session.run(step);
  session.run(doubled);
  EXPECT_EQ(session.variables().read<std::int64_t>("count"), std::vector<std::int64_t>{8});
}

UNROLL_FOR_EACH_BACKEND(TypedOps);

std::string refusal_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "none";
}

TEST(TypedErrors, SayWhatWasGotAndExpected) {
  Graph g;
  const Tensor n = g.placeholder("n", {3}, DType::kInt32), x = g.placeholder("x", {3});
  const Tensor flag = g.placeholder("flag", {3}, DType::kBool),
               bytes = g.placeholder("l", {3}, DType::kInt64);
  EXPECT_EQ(refusal_of([&] { tanh(n); }), "tanh: got an input of int32, expected float32");
  EXPECT_EQ(refusal_of([&] { n + x; }), "add: got an input of float32, expected int32");
  EXPECT_EQ(refusal_of([&] { n + bytes; }), "add: got an input of int64, expected int32");
  EXPECT_EQ(refusal_of([&] { flag + flag; }),
            "add: got an input of bool, expected float32, float64, int32 or int64");
  EXPECT_EQ(refusal_of([&] { n / n; }), "div: got an input of int32, expected float32 or float64");
  EXPECT_EQ(refusal_of([&] { n / 2; }), "div: got an input of int32, expected float32 or float64");
  EXPECT_EQ(refusal_of([&] { logical_and(n, n); }),
            "logical_and: got an input of int32, expected bool");
  EXPECT_EQ(refusal_of([&] { greater(flag, flag); }),
            "greater: got an input of bool, expected float32, float64, int32 or int64");
  EXPECT_EQ(
      refusal_of([&] { n * 0.5; }),
      "affine: got the number 0.500000 beside a tensor of int32, expected a whole number of at "
      "most 2147483647");
  EXPECT_NE(refusal_of([&] { clip(n, 0, kInf64); }), "none");
  EXPECT_NE(refusal_of([&] { n + 3e9; }), "none");
  // The same numbers are accepted as an operand, as a constant and as a border.
  for (const auto& [dtype, value, fits] :
       {std::tuple(DType::kInt32, -0x1p31, true), std::tuple(DType::kInt32, -0x1p31 - 1, false),
        std::tuple(DType::kInt32, 0x1p31 - 1, true), std::tuple(DType::kInt32, 0x1p31, false),
        std::tuple(DType::kInt64, -0x1p53, true), std::tuple(DType::kInt64, 0x1p53 + 2, false),
        std::tuple(DType::kInt64, 0.5, false), std::tuple(DType::kInt64, kNan64, false)}) {
    const Tensor whole = cast(x, dtype);
    EXPECT_EQ(refusal_of([&] { whole + value; }) == "none", fits) << to_string(dtype) << value;
    EXPECT_EQ(refusal_of([&] { g.constant(value, {}, dtype); }) == "none", fits) << value;
    EXPECT_EQ(refusal_of([&] { pad(whole, {{1, 1}}, value); }) == "none", fits) << value;
  }
  EXPECT_EQ(refusal_of([&] { bytes + 3e9; }), "none");
  EXPECT_EQ(refusal_of([&] { where(x, x, x); }),
            "where: got the condition of float32, expected bool");
  EXPECT_EQ(refusal_of([&] { where(flag, x, n); }),
            "where: got the other choice of int32, expected float32");
  EXPECT_NE(refusal_of([&] { where(flag, x, g.placeholder("y", {4})); }), "none");
  EXPECT_NE(refusal_of([&] { where(g.placeholder("f", {2}, DType::kBool), x, x); }), "none");
  EXPECT_EQ(refusal_of([&] { cast(x, DType::kByte); }),
            "cast: got byte, expected float32, float64, int32, int64 or bool");
  EXPECT_NE(refusal_of([&] { cast(Tensor(), DType::kInt32); }), "none");
  EXPECT_EQ(refusal_of([&] { g.constant(1.5, {}, DType::kInt64); }),
            "constant: got 1.500000, expected a value of int64");
  for (const double value : {2147483648.0, -2147483649.0, kNan64, kInf64})
    EXPECT_NE(refusal_of([&] { g.constant(value, {}, DType::kInt32); }), "none") << value;
  EXPECT_NE(refusal_of([&] { g.constant(0x1p53 + 2, {}, DType::kInt64); }), "none");
  EXPECT_NE(refusal_of([&] { g.constant(2, {}, DType::kBool); }), "none");
  EXPECT_NE(refusal_of([&] { g.constant(0, {}, DType::kByte); }), "none");
  EXPECT_EQ(cast(x, DType::kFloat32), x);
}

}  // namespace
}  // namespace unroll::test
