#include "host/data/lower_case.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <iterator>

#include "host/base/utf8.h"

namespace unroll {
namespace {

/// Every `step`-th code point from `first` to `last` has its lower case `distance` further on.
struct Capitals {
  char32_t first, last;
  std::uint8_t step;
  std::int16_t distance;
};

constexpr std::array kCapitals = {
    Capitals{0x41, 0x5A, 1, 32},        Capitals{0xC0, 0xD6, 1, 32},
    Capitals{0xD8, 0xDE, 1, 32},        Capitals{0x100, 0x12E, 2, 1},
    Capitals{0x130, 0x130, 1, -199},    Capitals{0x132, 0x136, 2, 1},
    Capitals{0x139, 0x147, 2, 1},       Capitals{0x14A, 0x176, 2, 1},
    Capitals{0x178, 0x178, 1, -121},    Capitals{0x179, 0x17D, 2, 1},
    Capitals{0x18F, 0x18F, 1, 202},     Capitals{0x1A0, 0x1A4, 2, 1},
    Capitals{0x1AF, 0x1AF, 1, 1},       Capitals{0x1CD, 0x1DB, 2, 1},
    Capitals{0x1DE, 0x1EE, 2, 1},       Capitals{0x1F8, 0x21E, 2, 1},
    Capitals{0x222, 0x232, 2, 1},       Capitals{0x386, 0x386, 1, 38},
    Capitals{0x388, 0x38A, 1, 37},      Capitals{0x38C, 0x38C, 1, 64},
    Capitals{0x38E, 0x38F, 1, 63},      Capitals{0x391, 0x3A1, 1, 32},
    Capitals{0x3A3, 0x3AB, 1, 32},      Capitals{0x400, 0x40F, 1, 80},
    Capitals{0x410, 0x42F, 1, 32},      Capitals{0x460, 0x480, 2, 1},
    Capitals{0x48A, 0x4BE, 2, 1},       Capitals{0x4C0, 0x4C0, 1, 15},
    Capitals{0x4C1, 0x4CD, 2, 1},       Capitals{0x4D0, 0x52E, 2, 1},
    Capitals{0x531, 0x556, 1, 48},      Capitals{0x1E00, 0x1E94, 2, 1},
    Capitals{0x1E9E, 0x1E9E, 1, -7615}, Capitals{0x1EA0, 0x1EFE, 2, 1}};

}  // namespace

char32_t lower_case(char32_t code) {
  const auto* const after = std::ranges::upper_bound(kCapitals, code, {}, &Capitals::first);
  if (after == kCapitals.begin()) return code;
  const Capitals& range = *std::prev(after);
  if (code > range.last || (code - range.first) % range.step != 0) return code;
  return char32_t(std::int32_t(code) + range.distance);
}

std::string lower_case(std::string_view text) {
  std::string lower;
  while (!text.empty()) lower += utf8_of(lower_case(take_code_point(text)));
  return lower;
}

}  // namespace unroll
