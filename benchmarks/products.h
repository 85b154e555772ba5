/// Matrix products by other libraries, so that ours can be measured beside them.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace unroll::benchmark {

/// C = op(A) op(B), row-major without gaps: op(A) [m, k], op(B) [k, n], C [m, n].
struct Product {
  std::string name;
  std::int64_t m, n, k;
  bool transpose_a, transpose_b;
  bool packed;  // B is a weight, which may be packed beforehand

  double flop() const { return 2.0 * double(m) * double(n) * double(k); }
};

struct Operands {
  const float* a;
  const float* b;
  float* c;
};

using Work = std::function<void()>;

/// A library that computes in one precision.
struct Library {
  std::string name;                                              // "OpenBLAS fp32"
  std::string version;                                           // or why there is none
  std::function<Work(const Product&, const Operands&)> prepare;  // empty if there is none
};

/// What libopenblas.so.0 makes of a product; it is loaded on demand.
Library openblas(int threads);
/// What oneDNN makes of it, in float32 and in bfloat16, with B in oneDNN's own form if it may be
/// packed. In bfloat16 the operands are converted beforehand, which ours does as part of the
/// product.
std::vector<Library> onednn(int threads);

}  // namespace unroll::benchmark
