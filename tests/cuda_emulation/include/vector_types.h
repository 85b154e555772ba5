/// CUDA's small vectors, with CUDA's alignment.
#pragma once

#define UNROLL_EMULATED_VECTORS(Type, name)                       \
  struct alignas(2 * sizeof(Type)) name##2 {                      \
    Type x, y;                                                    \
  };                                                              \
  struct name##3 {                                                \
    Type x, y, z;                                                 \
  };                                                              \
  struct alignas(16) name##4 {                                    \
    Type x, y, z, w;                                              \
  };                                                              \
  inline name##2 make_##name##2(Type x, Type y) {                 \
    return {x, y};                                                \
  }                                                               \
  inline name##3 make_##name##3(Type x, Type y, Type z) {         \
    return {x, y, z};                                             \
  }                                                               \
  inline name##4 make_##name##4(Type x, Type y, Type z, Type w) { \
    return {x, y, z, w};                                          \
  }
UNROLL_EMULATED_VECTORS(float, float)
UNROLL_EMULATED_VECTORS(double, double)
UNROLL_EMULATED_VECTORS(int, int)
UNROLL_EMULATED_VECTORS(unsigned, uint)
#undef UNROLL_EMULATED_VECTORS

struct dim3 {
  dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
  unsigned x, y, z;
};
