/// The version of this copy of Unroll. Until 1.0 a new minor version may change the interface.
#pragma once

#define UNROLL_VERSION_MAJOR 0
#define UNROLL_VERSION_MINOR 1
#define UNROLL_VERSION_PATCH 0

namespace unroll {

/// "major.minor.patch" of the headers that a program was compiled with.
inline constexpr const char* kVersion = "0.1.0";

}  // namespace unroll
