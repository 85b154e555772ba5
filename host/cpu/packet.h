/// Packet: as many floats as a vector register of the target holds, with the arithmetic of the
/// shared formulas (include/unroll/cells), which accept it in place of a float.
///
/// It lives in namespace unroll::host::UNROLL_ISA, a macro that the build sets for each of the
/// three compilations of a kernel file (see isa.h): equal names in different files are different
/// types. Compile with -ffp-contract=off: a * b + c rounds twice, fma(a, b, c) once (baseline:
/// twice).
#pragma once

#include <cstdint>

#define UNROLL_JOIN_(a, b) a##b
#define UNROLL_JOIN(a, b) UNROLL_JOIN_(a, b)
// NOLINTBEGIN(readability-identifier-naming): pasted together with the value of UNROLL_ISA
#define UNROLL_WIDTH_amx 16
#define UNROLL_WIDTH_avx512_bf16 16
#define UNROLL_WIDTH_avx512 16
#define UNROLL_WIDTH_avx2 8
#define UNROLL_WIDTH_baseline 4
// NOLINTEND(readability-identifier-naming)
#define UNROLL_WIDTH UNROLL_JOIN(UNROLL_WIDTH_, UNROLL_ISA)

#if !defined(UNROLL_ISA)
#error "packet.h: define UNROLL_ISA as avx512, avx2 or baseline"
#elif UNROLL_WIDTH == 16 && !(defined(__AVX512F__) && defined(__AVX512DQ__))
#error "packet.h: UNROLL_ISA=avx512 needs -mavx512f -mavx512dq -mavx512bw -mavx512vl"
#elif UNROLL_WIDTH == 8 && !(defined(__AVX2__) && defined(__FMA__))
#error "packet.h: UNROLL_ISA=avx2 needs -mavx2 -mfma"
#endif

#if UNROLL_WIDTH >= 8 || defined(__SSE2__)
#include <immintrin.h>
#endif

namespace unroll::host::UNROLL_ISA {

#define UNROLL_INLINE [[gnu::always_inline]] inline

inline constexpr int kPacketWidth = UNROLL_WIDTH;
#if UNROLL_WIDTH == 16
// The forms without a mask make g++ 12 warn about an uninitialised value in its own header (GCC bug
// 105593). With a full mask it emits the same instruction.
inline constexpr __mmask16 kAllLanes = 0xffff;
#endif

using FloatVector [[gnu::vector_size(4 * kPacketWidth)]] = float;
using IntVector [[gnu::vector_size(4 * kPacketWidth)]] = std::int32_t;
using UintVector [[gnu::vector_size(4 * kPacketWidth)]] = std::uint32_t;

/// One truth value per lane, from a comparison; used by select().
struct Mask {
#if UNROLL_WIDTH == 16
  __mmask16 bits;
  UNROLL_INLINE friend Mask operator&(Mask a, Mask b) {
    return {static_cast<__mmask16>(a.bits & b.bits)};
  }
  UNROLL_INLINE friend Mask operator|(Mask a, Mask b) {
    return {static_cast<__mmask16>(a.bits | b.bits)};
  }
  UNROLL_INLINE friend Mask operator!(Mask a) {
    return {static_cast<__mmask16>(~a.bits)};
  }
#else
  IntVector bits;  // all ones or all zeros
  UNROLL_INLINE friend Mask operator&(Mask a, Mask b) {
    return {a.bits & b.bits};
  }
  UNROLL_INLINE friend Mask operator|(Mask a, Mask b) {
    return {a.bits | b.bits};
  }
  UNROLL_INLINE friend Mask operator!(Mask a) {
    return {~a.bits};
  }
#endif
};

/// Uninitialised unless given a value, like a float.
struct Packet {
  FloatVector v;

  Packet() = default;
  UNROLL_INLINE Packet(FloatVector vector) : v(vector) {}
  UNROLL_INLINE Packet(float x) : v(x - FloatVector{}) {}  // in every lane; preserves -0 and NaN
  UNROLL_INLINE explicit Packet(IntVector bit_pattern)
      : v(reinterpret_cast<FloatVector>(bit_pattern)) {}

  UNROLL_INLINE IntVector bits() const { return reinterpret_cast<IntVector>(v); }

  UNROLL_INLINE friend Packet operator+(Packet a, Packet b) { return a.v + b.v; }
  UNROLL_INLINE friend Packet operator-(Packet a, Packet b) { return a.v - b.v; }
  UNROLL_INLINE friend Packet operator*(Packet a, Packet b) { return a.v * b.v; }
  UNROLL_INLINE friend Packet operator/(Packet a, Packet b) { return a.v / b.v; }
  UNROLL_INLINE friend Packet operator-(Packet a) { return -a.v; }
  UNROLL_INLINE Packet& operator+=(Packet b) { return *this = *this + b; }
  UNROLL_INLINE Packet& operator-=(Packet b) { return *this = *this - b; }
  UNROLL_INLINE Packet& operator*=(Packet b) { return *this = *this * b; }
  UNROLL_INLINE Packet& operator/=(Packet b) { return *this = *this / b; }

#if UNROLL_WIDTH == 16
  UNROLL_INLINE friend Mask operator<(Packet a, Packet b) {
    return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ)};
  }
  UNROLL_INLINE friend Mask operator<=(Packet a, Packet b) {
    return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_LE_OQ)};
  }
  UNROLL_INLINE friend Mask operator==(Packet a, Packet b) {
    return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_EQ_OQ)};
  }
#else
  UNROLL_INLINE friend Mask operator<(Packet a, Packet b) {
    return {a.v < b.v};
  }
  UNROLL_INLINE friend Mask operator<=(Packet a, Packet b) {
    return {a.v <= b.v};
  }
  UNROLL_INLINE friend Mask operator==(Packet a, Packet b) {
    return {a.v == b.v};
  }
#endif
  UNROLL_INLINE friend Mask operator>(Packet a, Packet b) {
    return b < a;
  }
  UNROLL_INLINE friend Mask operator>=(Packet a, Packet b) {
    return b <= a;
  }
  UNROLL_INLINE friend Mask operator!=(Packet a, Packet b) {
    return !(a == b);
  }
};

/// yes in lanes where the mask is true, otherwise no.
UNROLL_INLINE Packet select(Mask mask, Packet yes, Packet no) {
#if UNROLL_WIDTH == 16
  return _mm512_mask_blend_ps(mask.bits, no.v, yes.v);
#else
  return mask.bits ? yes.v : no.v;
#endif
}

/// Loads kPacketWidth floats, of any alignment.
UNROLL_INLINE Packet load(const float* p) {
  Packet x;
  __builtin_memcpy(&x.v, p, sizeof(x.v));
  return x;
}

UNROLL_INLINE void store(float* p, Packet x) {
  __builtin_memcpy(p, &x.v, sizeof(x.v));
}

/// Loads the first n floats, 0 <= n <= kPacketWidth; the rest are zeros. Reads no memory past them.
UNROLL_INLINE Packet load(const float* p, std::int64_t n) {
#if UNROLL_WIDTH == 16
  return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << n) - 1), p);
#elif UNROLL_WIDTH == 8
  const IntVector lane = {0, 1, 2, 3, 4, 5, 6, 7};
  const IntVector valid = lane < static_cast<std::int32_t>(n);
  return _mm256_maskload_ps(p, reinterpret_cast<__m256i>(valid));
#else
  Packet x(0.0f);
  for (int i = 0; i < kPacketWidth; ++i)
    if (i < n) x.v[i] = p[i];
  return x;
#endif
}

/// Stores the first n lanes, 0 <= n <= kPacketWidth.
UNROLL_INLINE void store(float* p, Packet x, std::int64_t n) {
#if UNROLL_WIDTH == 16
  _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << n) - 1), x.v);
#elif UNROLL_WIDTH == 8
  const IntVector lane = {0, 1, 2, 3, 4, 5, 6, 7};
  const IntVector valid = lane < static_cast<std::int32_t>(n);
  _mm256_maskstore_ps(p, reinterpret_cast<__m256i>(valid), x.v);
#else
  for (int i = 0; i < kPacketWidth; ++i)
    if (i < n) p[i] = x.v[i];
#endif
}

/// a * b + c, rounded once if the target can.
UNROLL_INLINE Packet fma(Packet a, Packet b, Packet c) {
#if UNROLL_WIDTH == 16
  return _mm512_fmadd_ps(a.v, b.v, c.v);
#elif UNROLL_WIDTH == 8
  return _mm256_fmadd_ps(a.v, b.v, c.v);
#else
  return a.v * b.v + c.v;
#endif
}

/// std::max and std::min lane by lane: a unless b is strictly better, so a if either is NaN.
UNROLL_INLINE Packet max(Packet a, Packet b) {
#if UNROLL_WIDTH == 16
  return _mm512_maskz_max_ps(
      kAllLanes, b.v,
      a.v);  // the instruction returns its second operand for NaN and equal values
#elif UNROLL_WIDTH == 8
  return _mm256_max_ps(b.v, a.v);
#else
  return select(a < b, b, a);
#endif
}

UNROLL_INLINE Packet min(Packet a, Packet b) {
#if UNROLL_WIDTH == 16
  return _mm512_maskz_min_ps(kAllLanes, b.v, a.v);
#elif UNROLL_WIDTH == 8
  return _mm256_min_ps(b.v, a.v);
#else
  return select(b < a, b, a);
#endif
}

UNROLL_INLINE Packet abs(Packet x) {
  return Packet(x.bits() & 0x7fffffff);
}

/// |x| with the sign bit of s.
UNROLL_INLINE Packet copysign(Packet x, Packet s) {
  return Packet((x.bits() & 0x7fffffff) | (s.bits() & INT32_MIN));
}

/// x, or a zero of its sign if x is subnormal. Arithmetic flushes subnormals itself (subnormals.h);
/// functions that return one of their operands unchanged do not.
UNROLL_INLINE Packet flushed(Packet x) {
  return select(abs(x) < Packet(1.17549435e-38f), copysign(Packet(0.0f), x), x);
}

/// x rounded to the nearest bfloat16, ties to even. NaN stays NaN.
UNROLL_INLINE Packet round_to_bf16(Packet x) {
  const auto bits = reinterpret_cast<UintVector>(x.v);
  const UintVector sum = bits + 0x7fffu + (bits >> 16 & 1u);
  // A NaN of all ones would overflow.
  const Packet nan(reinterpret_cast<IntVector>(bits | 0x00400000u));
  const Packet y = select(x == x, Packet(reinterpret_cast<IntVector>(sum)), nan);
  return Packet(y.bits() & -0x10000);
}

UNROLL_INLINE Packet sqrt(Packet x) {
#if UNROLL_WIDTH == 16
  return _mm512_maskz_sqrt_ps(kAllLanes, x.v);
#elif UNROLL_WIDTH == 8
  return _mm256_sqrt_ps(x.v);
#else
  for (int i = 0; i < kPacketWidth; ++i) x.v[i] = __builtin_sqrtf(x.v[i]);
  return x;
#endif
}

/// Combines lane i with lane i + width / 2, then the halves of that, and so on: a fixed order.
template <typename Combine>
UNROLL_INLINE float reduce(Packet x, Combine combine) {
#if UNROLL_WIDTH == 16
  x = combine(x, Packet(_mm512_maskz_shuffle_f32x4(kAllLanes, x.v, x.v, 0x4e)));
  x = combine(x, Packet(_mm512_maskz_shuffle_f32x4(kAllLanes, x.v, x.v, 0xb1)));
  x = combine(x, Packet(_mm512_maskz_permute_ps(kAllLanes, x.v, 0x4e)));
  x = combine(x, Packet(_mm512_maskz_permute_ps(kAllLanes, x.v, 0xb1)));
#elif UNROLL_WIDTH == 8
  x = combine(x, Packet(_mm256_permute2f128_ps(x.v, x.v, 1)));
  x = combine(x, Packet(_mm256_permute_ps(x.v, 0x4e)));
  x = combine(x, Packet(_mm256_permute_ps(x.v, 0xb1)));
#else
  x = combine(x, Packet(__builtin_shufflevector(x.v, x.v, 2, 3, 0, 1)));
  x = combine(x, Packet(__builtin_shufflevector(x.v, x.v, 1, 0, 3, 2)));
#endif
  return x.v[0];
}

UNROLL_INLINE float horizontal_sum(Packet x) {
  return reduce(x, [](Packet a, Packet b) { return a + b; });
}

/// Ignores NaN lanes or returns NaN, depending on their places.
UNROLL_INLINE float horizontal_max(Packet x) {
  return reduce(x, [](Packet a, Packet b) { return max(a, b); });
}

/// The common part of exp and tanh: x = n ln 2 + r with n an integer and |r| <= ln(2) / 2.
struct Reduced {
  Packet n;
  IntVector n_int;
  Packet r;
  Packet expm1;  // e^r - 1

  /// For |x| < 2^21. ln 2 is split into two parts; the first has 9 bits, so n times it is exact.
  UNROLL_INLINE explicit Reduced(Packet x) {
    const Packet magic(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer
    const Packet shifted = fma(x, Packet(1.44269504f), magic);
    n = shifted - magic;
    n_int = shifted.bits() - magic.bits();
    r = fma(n, Packet(-0.693359375f), x);
    r = fma(n, Packet(2.12194440e-4f), r);
    // (e^r - 1 - r) / r^2 by a minimax polynomial; the relative error of e^r is below 4e-9.
    Packet q(1.3814391143e-3f);
    q = fma(q, r, Packet(8.36881706613e-3f));
    q = fma(q, r, Packet(4.16683977731e-2f));
    q = fma(q, r, Packet(0.166665198051f));
    q = fma(q, r, Packet(0.499999933921f));
    expm1 = fma(r * r, q, r);
  }
};

/// Within 1.1 ulp, including results below 2^-126; exp(-inf) = 0, exp(inf) = inf, NaN gives NaN.
UNROLL_INLINE Packet exp(Packet x) {
  // Beyond these limits the result rounds to 0 or inf anyway.
  const Reduced e(min(max(x, Packet(-105.0f)), Packet(90.0f)));
  const Packet y = e.expm1 + Packet(1.0f);
#if UNROLL_WIDTH == 16
  return _mm512_maskz_scalef_ps(kAllLanes, y.v, e.n.v);
#else
  // 2^n is applied in two factors, because n may lie outside the exponents of a float. The first
  // product is exact, so a subnormal result is rounded only once.
  const IntVector half = e.n_int >> 1;
  return y * Packet((half + 127) << 23) * Packet((e.n_int - half + 127) << 23);
#endif
}

/// Within 2.5 ulp everywhere, also near 0; odd; tanh(+-inf) = +-1, NaN gives NaN.
UNROLL_INLINE Packet tanh(Packet x) {
  // tanh |x| = -E / (E + 2) with E = e^(-2|x|) - 1, which is computed without cancellation. E lies
  // in (-1, 0], where E + 2 has a smaller rounding error than with e^(2|x|). From |x| = 9.02 on the
  // result rounds to 1.
  const Packet a = min(abs(x), Packet(10.0f));
  const Reduced e(a * Packet(-2.0f));
  const Packet power((e.n_int + 127) << 23);  // 2^n, -30 < n <= 0
  const Packet expm1 = fma(power, e.expm1, power - Packet(1.0f));
  return copysign(expm1 / (expm1 + Packet(2.0f)), x);
}

/// Within 1 ulp, also for subnormal x; log(0) = -inf, log(inf) = inf, log(x < 0) and log(NaN) =
/// NaN.
UNROLL_INLINE Packet log(Packet x) {
  const Mask subnormal = x < Packet(1.17549435e-38f);
  const Packet scaled = select(subnormal, x * Packet(8388608.0f), x);
  // scaled = 2^e m with m in [2/3, 4/3): the subtraction borrows into the exponent below 4/3.
  const auto offset = reinterpret_cast<IntVector>(reinterpret_cast<UintVector>(scaled.v) -
                                                  0x3f2aaaabu);  // unsigned: x < 0 would overflow
  const Packet f = Packet((offset & 0x7fffff) + 0x3f2aaaab) - Packet(1.0f);
  const Packet e = Packet(__builtin_convertvector(offset >> 23, FloatVector)) -
                   select(subnormal, Packet(23.0f), Packet(0.0f));
  // (log(1 + f) - f) / f^2 by a minimax polynomial; the relative error of the log is below 5e-9.
  Packet q(-0.129510384153f);
  q = fma(q, f, Packet(0.140067802123f));
  q = fma(q, f, Packet(-0.121667120579f));
  q = fma(q, f, Packet(0.140007829791f));
  q = fma(q, f, Packet(-0.166823359829f));
  q = fma(q, f, Packet(0.200107684336f));
  q = fma(q, f, Packet(-0.249997167435f));
  q = fma(q, f, Packet(0.33333208099f));
  q = fma(q, f, Packet(-0.500000012114f));
  const Packet low = fma(e, Packet(-2.12194440e-4f), f * f * q);
  Packet y = fma(e, Packet(0.693359375f), f + low);
  const Packet inf(__builtin_inff());
  y = select(x < inf, y, x);  // inf and NaN
  y = select(x == Packet(0.0f), -inf, y);
  return select(x < Packet(0.0f), Packet(__builtin_nanf("")), y);
}

/// ln(1 + x) for x >= 0, within 3 ulp. What is lost when 1 + x is rounded is made good by the
/// factor x / ((1 + x) - 1), so it stays exact near 0. Source    Kahan, as given by Goldberg 1991,
/// theorem 4.
UNROLL_INLINE Packet log1p(Packet x) {
  const Packet one(1.0f), sum = one + x, kept = sum - one;
  const Packet y = log(sum) * (x / kept);
  return select((kept == Packet(0.0f)) | (sum == Packet(__builtin_inff())), x, y);
}

/// f of each lane (and of that of y), by the C library. It takes subnormal numbers apart by their
/// bits, so it must not see them.
template <typename Function>
UNROLL_INLINE Packet lane_by_lane(Packet x, Packet y, const Function& f) {
  x = flushed(x);
  y = flushed(y);
  for (int i = 0; i < kPacketWidth; ++i) x.v[i] = f(x.v[i], y.v[i]);
  return flushed(x);
}
UNROLL_INLINE Packet sin(Packet x) {
  return lane_by_lane(x, x, [](float a, float) { return __builtin_sinf(a); });
}
UNROLL_INLINE Packet cos(Packet x) {
  return lane_by_lane(x, x, [](float a, float) { return __builtin_cosf(a); });
}
UNROLL_INLINE Packet erfc(Packet x) {
  return lane_by_lane(x, x, [](float a, float) { return __builtin_erfcf(a); });
}
UNROLL_INLINE Packet pow(Packet x, Packet y) {
  return lane_by_lane(x, y, [](float a, float b) { return __builtin_powf(a, b); });
}

}  // namespace unroll::host::UNROLL_ISA
