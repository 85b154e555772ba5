#include <dlfcn.h>

#include <cstdlib>

#include "benchmarks/products.h"

namespace unroll::benchmark {

Library openblas(int threads) {
  // They choose kernels of another processor, and would stay set in the measured process.
  for (const char* variable : {"OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"}) ::unsetenv(variable);
  Library library{"OpenBLAS fp32", "", nullptr};
  void* const handle = ::dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL);
  if (!handle) {
    library.version = ::dlerror();
    return library;
  }
  const auto find = [&]<typename F>(const char* name, F*& function) {
    function = reinterpret_cast<F*>(::dlsym(handle, name));
    return function != nullptr;
  };
  void (*set_threads)(int) = nullptr;
  char* (*config)() = nullptr;
  // Its enumerations, with only the values that are needed.
  constexpr int kRowMajor = 101, kAsIs = 111, kTransposed = 112;
  void (*sgemm)(int order, int op_a, int op_b, int m, int n, int k, float alpha, const float* a,
                int lda, const float* b, int ldb, float beta, float* c, int ldc) = nullptr;
  if (!find("openblas_set_num_threads", set_threads) || !find("openblas_get_config", config) ||
      !find("cblas_sgemm", sgemm)) {
    library.version = "libopenblas.so.0 lacks a function";
    return library;
  }
  set_threads(threads);
  library.version = config();
  library.prepare = [=](const Product& p, const Operands& o) -> Work {
    const int m = int(p.m), n = int(p.n), k = int(p.k);
    return [=, ta = p.transpose_a, tb = p.transpose_b] {
      sgemm(kRowMajor, ta ? kTransposed : kAsIs, tb ? kTransposed : kAsIs, m, n, k, 1, o.a,
            ta ? m : k, o.b, tb ? k : n, 0, o.c, n);
    };
  };
  return library;
}

}  // namespace unroll::benchmark
