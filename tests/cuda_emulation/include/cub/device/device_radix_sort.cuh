/// CUB's stable sort of pairs by some bits of their keys.
#pragma once

#include <algorithm>
#include <type_traits>
#include <vector>

#include "tests/cuda_emulation/include/cub/device/device_scan.cuh"

namespace cub {

struct DeviceRadixSort {
  template <typename Key, typename Value, typename Count>
  static cudaError_t SortPairs(void* storage, std::size_t& bytes, const Key* keys_in, Key* keys_out,
                               const Value* values_in, Value* values_out, Count count,
                               int begin_bit = 0, int end_bit = 8 * int(sizeof(Key)),
                               cudaStream_t stream = nullptr) {
    static_assert(std::is_integral_v<Key>);
    return emulation::in_two_phases(storage, bytes, stream, [=] {
      using Bits = std::make_unsigned_t<Key>;
      const auto digits = [=](Key key) {
        auto bits = Bits(key);
        if (std::is_signed_v<Key>) bits ^= Bits(Bits{1} << (8 * sizeof(Key) - 1));
        const int above = 8 * int(sizeof(Key)) - (end_bit - begin_bit);
        return Bits(Bits(bits >> begin_bit) << above);
      };
      struct Pair {
        Key key;
        Value value;
      };
      std::vector<Pair> pairs;
      for (Count k = 0; k < count; ++k) pairs.push_back({keys_in[k], values_in[k]});
      std::stable_sort(pairs.begin(), pairs.end(),
                       [&](const Pair& a, const Pair& b) { return digits(a.key) < digits(b.key); });
      for (Count k = 0; k < count; ++k) {
        keys_out[k] = pairs[std::size_t(k)].key;
        values_out[k] = pairs[std::size_t(k)].value;
      }
    });
  }
};

}  // namespace cub
