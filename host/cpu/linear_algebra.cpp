#include "host/cpu/linear_algebra.h"

#include <stdexcept>

#include "host/base/module.h"

namespace unroll::host {

LinearAlgebraKernels* linear_algebra() {
  static const Module<LapackModuleApi> module({.what = "LAPACK",
                                               .file = "libunroll_lapack.so",
                                               .entry = "unroll_lapack_module",
                                               .install = "install LAPACK and BLAS"});
  if (!module.api)
    throw std::runtime_error("inverses and determinants need LAPACK: " + module.why_not);
  return module.api->kernels();
}

}  // namespace unroll::host
