/// What products read, and how their rows are padded.
#pragma once

#include <cstddef>
#include <cstdint>

namespace unroll::gpu {

enum class Element : std::uint8_t { kFloat32, kBfloat16 };
constexpr std::size_t size_of(Element element) {
  return element == Element::kFloat32 ? 4 : 2;
}

/// A row of this many elements, or of a multiple of it, suits tensor cores and accesses of 16
/// bytes.
constexpr std::int64_t kPadding = 8;
constexpr std::int64_t padded(std::int64_t n) {
  return (n + kPadding - 1) / kPadding * kPadding;
}

}  // namespace unroll::gpu
