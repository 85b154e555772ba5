/// Numbers of one type as another.
#pragma once

#include <limits>
#include <type_traits>

#include "unroll/host_device.h"

namespace unroll::math {

/// The least and the greatest number. Constants, because device code cannot call numeric_limits.
template <typename T>
struct Limits {
  using Of = std::numeric_limits<T>;
  static constexpr T kMost = Of::has_infinity ? Of::infinity() : Of::max();
  static constexpr T kLeast = Of::has_infinity ? -Of::infinity() : Of::lowest();
};

/// To a bool: whether it is not 0. A real number to an integer: its whole part; the nearest integer
/// there is if it is out of range; 0 for NaN. A longer integer to a shorter one: its low bits.
/// Everything else rounds to nearest.
template <typename To, typename From>
UNROLL_HD To converted(From x) {
  if constexpr (std::is_same_v<To, bool>) {
    return x != From(0);
  } else if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To>) {
    constexpr To kLeast = Limits<To>::kLeast;
    if (x != x) return 0;
    if (x < From(kLeast)) return kLeast;
    if (x >= -From(kLeast)) return Limits<To>::kMost;  // a power of two, so it is exact
    return To(x);
  } else {
    return To(x);
  }
}

}  // namespace unroll::math
