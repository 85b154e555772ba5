/// The emulated tiles of tensor cores against plain loops.
#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <type_traits>
#include <utility>
#include <vector>

#include "tests/cuda_emulation/emulated.h"
#include "tests/cuda_emulation/include/mma.h"

namespace unroll::test {
namespace {

namespace wmma = nvcuda::wmma;

/// Each warp computes its own d = a b + c. Rows or columns are `ld` elements apart, tiles are
/// kTileStride apart.
constexpr int kTileStride = 32 * 40;
template <int m, int n, int k, typename T, typename LayoutA, typename LayoutB>
__global__ void multiply_tiles(const wmma::Stored<T>* a, const wmma::Stored<T>* b, float* c,
                               unsigned ld, wmma::layout_t layout, bool rounds) {
  const int offset = int(threadIdx.x) / 32 * kTileStride;
  wmma::fragment<wmma::matrix_a, m, n, k, T, LayoutA> tile_a;
  wmma::fragment<wmma::matrix_b, m, n, k, T, LayoutB> tile_b;
  wmma::fragment<wmma::accumulator, m, n, k, float> sums, loaded;
  wmma::load_matrix_sync(tile_a, a + offset, ld);
  wmma::load_matrix_sync(tile_b, b + offset, ld);
  wmma::load_matrix_sync(loaded, c + offset, ld, layout);
  if constexpr (std::is_same_v<T, wmma::precision::tf32>) {
    if (rounds) {
      for (auto& x : tile_a.x) x = wmma::__float_to_tf32(x);
      for (int i = 0; i < tile_b.num_elements; ++i)
        tile_b.x[i] = wmma::__float_to_tf32(tile_b.x[i]);
    }
  }
  wmma::fill_fragment(sums, 0.0F);
  wmma::mma_sync(sums, tile_a, tile_b, sums);
  for (int i = 0; i < sums.num_elements; ++i) sums.x[i] += loaded.x[i];
  wmma::store_matrix_sync(c + offset, sums, ld, layout);
}

/// Rounds to 10 bits of mantissa, in another way than the emulation.
float to_tf32(float x, bool rounds) {
  int exponent = 0;
  const float scaled = std::frexp(x, &exponent) * 2048;  // 11 bits before the point
  return std::ldexp(rounds ? std::round(scaled) : std::trunc(scaled), exponent - 11);
}

template <int m, int n, int k, typename T, typename LayoutA, typename LayoutB>
void expect_product(wmma::layout_t layout, bool rounds = true) {
  constexpr unsigned kLd = 40;
  constexpr int kWarps = 2;
  constexpr bool kTf32 = std::is_same_v<T, wmma::precision::tf32>;
  std::mt19937 random(11);
  std::uniform_real_distribution<float> uniform(-1, 1);
  const auto draw = [&] {
    std::vector<float> values(kWarps * kTileStride);
    for (float& value : values) value = uniform(random);
    return values;
  };
  std::vector<float> a = draw(), b = draw();
  const std::vector<float> c = draw();
  std::vector<wmma::Stored<T>> stored_a, stored_b;
  for (auto [values, stored] : {std::pair{&a, &stored_a}, std::pair{&b, &stored_b}})
    for (float& x : *values) {
      if constexpr (kTf32) {
        stored->push_back(x);
        x = to_tf32(x, rounds);
      } else {
        stored->push_back(__float2bfloat16(x));
        x = __bfloat162float(stored->back());
      }
    }
  const Array<wmma::Stored<T>> device_a(stored_a), device_b(stored_b);
  const Array<float> device_c(c);
  start(nullptr, 1, 32 * kWarps, multiply_tiles<m, n, k, T, LayoutA, LayoutB>, device_a.get(),
        device_b.get(), device_c.get(), kLd, layout, rounds);
  std::vector<float> expected = c;
  const auto at = [](bool by_rows, int row, int column) {
    return std::size_t(by_rows ? row * int(kLd) + column : column * int(kLd) + row);
  };
  for (std::size_t first = 0; first < c.size(); first += kTileStride)
    for (int row = 0; row < m; ++row)
      for (int column = 0; column < n; ++column) {
        float sum = 0;  // a sum of exact products in this order
        for (int q = 0; q < k; ++q)
          sum += a[first + at(std::is_same_v<LayoutA, wmma::row_major>, row, q)] *
                 b[first + at(std::is_same_v<LayoutB, wmma::row_major>, q, column)];
        expected[first + at(layout == wmma::mem_row_major, row, column)] += sum;
      }
  EXPECT_EQ(device_c.values(), expected) << m << " " << n << " " << k << " " << kTf32;
}

template <int m, int n, int k, typename T>
void expect_products() {
  using wmma::col_major, wmma::row_major;
  expect_product<m, n, k, T, row_major, row_major>(wmma::mem_row_major);
  expect_product<m, n, k, T, row_major, col_major>(wmma::mem_col_major);
  expect_product<m, n, k, T, col_major, row_major>(wmma::mem_row_major);
  expect_product<m, n, k, T, col_major, col_major>(wmma::mem_col_major);
}

class TilesInEveryOrder : public InEveryOrder {};
INSTANTIATE_TEST_SUITE_P(Emulation, TilesInEveryOrder, kOrders);

TEST_P(TilesInEveryOrder, TilesAreMultiplied) {
  expect_products<16, 16, 16, __nv_bfloat16>();
  expect_products<32, 8, 16, __nv_bfloat16>();
  expect_products<8, 32, 16, __nv_bfloat16>();
  expect_products<16, 16, 8, wmma::precision::tf32>();
  expect_product<16, 16, 8, wmma::precision::tf32, wmma::row_major, wmma::col_major>(
      wmma::mem_row_major, false);
}

TEST(Emulation, RoundsToTf32AsTheHardwareDoes) {
  EXPECT_EQ(wmma::__float_to_tf32(1 + 0x1p-11F), 1 + 0x1p-10F);  // half way, away from 0
  EXPECT_EQ(wmma::__float_to_tf32(-1 - 0x1p-11F), -1 - 0x1p-10F);
  EXPECT_EQ(wmma::__float_to_tf32(1 + 0x1.FFp-12F), 1);
  EXPECT_EQ(wmma::__float_to_tf32(0x1.FFFp0F), 2);
  EXPECT_EQ(wmma::__float_to_tf32(-INFINITY), -INFINITY);
  EXPECT_TRUE(std::isnan(wmma::__float_to_tf32(NAN)));
}

TEST(EmulationDeathTest, TilesAreMovedAsTheHardwareCan) {
  const Array<__nv_bfloat16> a(std::size_t{kTileStride}), b(std::size_t{kTileStride});
  const Array<float> c(std::size_t{kTileStride});
  const auto run = [&](int threads, int offset, unsigned ld) {
    start(nullptr, 1, unsigned(threads),
          multiply_tiles<16, 16, 16, __nv_bfloat16, wmma::row_major, wmma::row_major>,
          a.get() + offset, b.get(), c.get(), ld, wmma::mem_row_major, false);
    cudaDeviceSynchronize();
  };
  run(32, 16, 24);
  EXPECT_DEATH(run(32, 8, 24), "an address that is no multiple of 32 bytes");
  EXPECT_DEATH(run(32, 0, 20), "ldm is no multiple of 16 bytes");
  EXPECT_DEATH(run(31, 0, 24), "warp 0 has not all its lanes");
}

}  // namespace
}  // namespace unroll::test
