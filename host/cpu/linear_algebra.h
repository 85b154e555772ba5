/// The engine's end of libunroll_lapack.so, which is opened when a run with an inverse or a
/// determinant is planned, and never before.
#pragma once

#include "unroll/kernels/linear_algebra.h"

namespace unroll::host {

/// What libunroll_lapack.so offers. The two are built and installed together.
struct LapackModuleApi {
  const char* version;  // first, so that it can be read whatever follows it
  LinearAlgebraKernels* (*kernels)();
};

/// Errors    std::runtime_error, on one line, if there is no module or it does not load.
LinearAlgebraKernels* linear_algebra();

}  // namespace unroll::host
