/// The element types of products, and how their rows are padded.
#pragma once

#include <cstddef>
#include <cstdint>

namespace unroll::gpu {

enum class Element : std::uint8_t { kFloat32, kBfloat16 };
constexpr std::size_t size_of(Element element) {
  return element == Element::kFloat32 ? 4 : 2;
}

/// Rows of a multiple of this many elements suit tensor cores and 16-byte accesses.
constexpr std::int64_t kPadding = 8;
constexpr std::int64_t padded(std::int64_t n) {
  return (n + kPadding - 1) / kPadding * kPadding;
}

}  // namespace unroll::gpu
