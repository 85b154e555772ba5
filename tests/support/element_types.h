/// The same test for every element type that moves: values by their places, exactly.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "tests/support/random.h"
#include "unroll/session.h"

namespace unroll::test {

/// An array that bool has, too, which std::vector has not.
template <typename T>
struct Elements {
  std::unique_ptr<T[]> data;
  std::size_t size;

  explicit Elements(std::size_t n) : data(new T[n]()), size(n) {}
  std::span<const T> view() const { return {data.get(), size}; }
};

/// A value that tells apart the 256 places before it comes back; all 8 bytes of a long one count.
template <typename T>
T value_of_place(std::size_t place) {
  if constexpr (std::is_same_v<T, bool>) return place * 0x9E3779B9u >> 31 & 1;
  if constexpr (std::is_same_v<T, float>) return float(place) + 0.5F;
  if constexpr (std::is_same_v<T, double>) return double(place) + 0x1p-40;
  if constexpr (std::is_same_v<T, std::int32_t>) return std::int32_t(place) - 7;
  if constexpr (std::is_same_v<T, std::int64_t>) return std::int64_t(place) * 0x100000001 - 7;
}

/// Feeds x of the given shape with one value per place and expects of build(x) the values of the
/// places that `expected` lists, and `other` where it lists -1.
template <typename T>
void check_moves(const std::shared_ptr<Backend>& backend, const Dims& dims,
                 const std::function<Tensor(Tensor)>& build,
                 const reference::Array<double>& expected, T other = T()) {
  SCOPED_TRACE(to_string(dtype_of<T>()));
  Elements<T> values(reference::elements(dims));
  for (std::size_t k = 0; k < values.size; ++k) values.data[k] = value_of_place<T>(k);
  Graph g;
  const Tensor x = g.placeholder("x", shape_of(dims), dtype_of<T>());
  const Tensor y = build(x);
  ASSERT_EQ(y.dtype(), dtype_of<T>());
  ASSERT_EQ(dims_of(y.shape()), expected.dims);
  Session session(g, backend);
  session.run(y, {{x, values.view()}});
  Elements<T> found(expected.values.size());
  session.read(y, std::span<T>(found.data.get(), found.size));
  for (std::size_t k = 0; k < found.size; ++k) {
    const double place = expected.values[k];
    EXPECT_EQ(found.data[k], place < 0 ? other : values.data[std::size_t(place)]) << k;
  }
}

/// For each element type: `reference` gets the number of each place and gives those of the result.
inline void check_moves_of_each_type(
    const std::shared_ptr<Backend>& backend, const Dims& dims,
    const std::function<Tensor(Tensor)>& build,
    const std::function<reference::Array<double>(const reference::Array<double>&)>& reference) {
  reference::Array<double> places(dims);
  for (std::size_t k = 0; k < places.values.size(); ++k) places.values[k] = double(k);
  const reference::Array<double> expected = reference(places);
  check_moves<float>(backend, dims, build, expected);
  check_moves<double>(backend, dims, build, expected);
  check_moves<std::int32_t>(backend, dims, build, expected);
  check_moves<std::int64_t>(backend, dims, build, expected);
  check_moves<bool>(backend, dims, build, expected);
}

}  // namespace unroll::test
