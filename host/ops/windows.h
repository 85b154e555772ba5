/// What convolutions and pools share: a window that moves over the last two axes of [N, C, H, W].
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

#include "unroll/graph.h"

namespace unroll {

struct Window {
  std::int64_t height, width;
  std::int64_t stride = 1, dilation = 1;  // of both axes

  /// Throws std::invalid_argument, without an operation's name, if the window has no place in x.
  /// Its sizes include any padding, and may be open.
  void require_place(const Shape& x) const;
  /// The elements of all places: [N, C, OH, OW, KH, KW].
  Shape extent(const Shape& x) const;
  /// Strides of the extent's axes in x.
  Shape strides_in(const Shape& x) const;
};

std::invalid_argument refused(const char* operation, const std::string& got,
                              const std::string& expected);
/// Throws std::invalid_argument unless x is float32 and has `axes` axes after N and C.
void require_windows_input(const char* operation, Tensor x, int axes);

}  // namespace unroll
