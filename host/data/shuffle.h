/// Shuffles by numbers that depend only on a key, an epoch and a place.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "unroll/math/philox.h"

namespace unroll {

/// `first` is the place of the first item, so that parts of a list are shuffled differently.
/// Source    Fisher & Yates: the last of k items changes places with one of the k.
inline void shuffle_items(std::span<std::int64_t> items, std::uint64_t key, std::int64_t epoch,
                          std::int64_t first) {
  for (std::size_t k = items.size(); k > 1; --k) {
    const math::PhiloxBlock bits =
        math::philox(key, std::uint64_t(epoch), std::uint64_t(first) + k - 1);
    const auto other = std::size_t(math::uniform53(bits) * double(k));
    std::swap(items[k - 1], items[other]);
  }
}

}  // namespace unroll
