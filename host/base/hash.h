/// XXH3 with 128 bits, in hexadecimal. It detects accidental changes, not attacks.
#pragma once

#include <fmt/format.h>

#include <cstddef>
#include <span>
#include <string>

#define XXH_INLINE_ALL  // NOLINT(readability-identifier-naming): the library's own name
#include <xxhash.h>

#include "host/base/bytes.h"

namespace unroll {

class Hash {
 public:
  Hash() { XXH3_128bits_reset(&state_); }
  void add(std::span<const std::byte> bytes) {
    XXH3_128bits_update(&state_, bytes.data(), bytes.size());
  }
  std::string hex() const {
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(&state_));
    return fmt::format("{:02x}", fmt::join(canonical.digest, ""));
  }

 private:
  XXH3_state_t state_;
};

inline std::string hash_of(std::span<const std::byte> bytes) {
  Hash hash;
  hash.add(bytes);
  return hash.hex();
}

}  // namespace unroll
