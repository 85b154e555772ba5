/// Philox4x32-10, the counter-based generator behind every random number of the project. A value
/// depends only on (key, step, index), so the CPU and the GPU draw the same bits in any order.
/// Source: Salmon, Moraes, Dror & Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
#pragma once

#include <cstdint>

#include "unroll/host_device.h"

namespace unroll::math {

struct PhiloxBlock {
  std::uint32_t word[4];
};

/// The 128 random bits at counter (block, step) under `key`.
UNROLL_HD inline PhiloxBlock philox(std::uint64_t key, std::uint64_t step, std::uint64_t block) {
  PhiloxBlock x{{std::uint32_t(block), std::uint32_t(block >> 32), std::uint32_t(step),
                 std::uint32_t(step >> 32)}};
  std::uint32_t k0 = std::uint32_t(key), k1 = std::uint32_t(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = std::uint64_t(0xD2511F53u) * x.word[0];
    const std::uint64_t p1 = std::uint64_t(0xCD9E8D57u) * x.word[2];
    x = {{std::uint32_t(p1 >> 32) ^ x.word[1] ^ k0, std::uint32_t(p1),
          std::uint32_t(p0 >> 32) ^ x.word[3] ^ k1, std::uint32_t(p0)}};
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return x;
}

/// The 32 random bits of element `index`.
UNROLL_HD inline std::uint32_t philox_word(std::uint64_t key, std::uint64_t step,
                                           std::uint64_t index) {
  return philox(key, step, index / 4).word[index % 4];
}

/// Uniform in [0, 1) on a grid of 2^-24: exact in float32, the same on every device.
UNROLL_HD inline float uniform01(std::uint32_t bits) {
  return float(bits >> 8) * 0x1p-24f;
}

/// Uniform in [0, 1) on a grid of 2^-53, from the first two words of the block.
UNROLL_HD inline double uniform53(const PhiloxBlock& bits) {
  return double((std::uint64_t(bits.word[0]) << 21) ^ (bits.word[1] >> 11)) * 0x1p-53;
}

/// Dropout keeps an element if its word is at least this: rate 0 keeps all.
UNROLL_HD inline std::uint32_t dropout_threshold(float rate) {
  return std::uint32_t(double(rate) * 4294967296.0);
}

/// SplitMix64's finaliser: a bijection that spreads each bit over all.
inline std::uint64_t philox_mix(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

/// The step number of iteration `k` of a loop inside step `step`. For one step no two are equal.
inline std::uint64_t philox_step(std::uint64_t step, std::uint64_t k) {
  return philox_mix(philox_mix(step) + (k + 1) * 0x9E3779B97F4A7C15u);
}

/// One key per (seed, site): FNV-1a over the site's name, then a finaliser so that neighbouring
/// seeds give unrelated keys.
inline std::uint64_t philox_key(std::uint64_t seed, const char* site) {
  std::uint64_t hash = 0xCBF29CE484222325u;
  for (const char* c = site; *c; ++c) hash = (hash ^ std::uint8_t(*c)) * 0x100000001B3u;
  return philox_mix(hash + seed * 0x9E3779B97F4A7C15u);
}

}  // namespace unroll::math
