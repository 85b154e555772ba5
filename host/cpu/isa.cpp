#include "host/cpu/isa.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <stdexcept>
#include <string>

#include "host/cpu/gemm_kernel.h"

namespace unroll::host {
namespace {

constexpr Isa kEvery[] = {Isa::kAmx, Isa::kAvx512Bf16, Isa::kAvx512, Isa::kAvx2, Isa::kBaseline};
constexpr Isa kWidestFirst[] = {Isa::kAvx512, Isa::kAvx2, Isa::kBaseline};

#if defined(__x86_64__)
/// Whether CPUID names AMX-TILE and AMX-BF16.
bool has_amx_instructions() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  constexpr unsigned kBf16 = 1U << 22, kTile = 1U << 24;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (d & kBf16) != 0 && (d & kTile) != 0;
}

/// Linux saves tiles only for a process that has asked.
bool may_use_tiles() {
  constexpr long kAskPermission = 0x1023, kTileData = 18;
  return ::syscall(SYS_arch_prctl, kAskPermission, kTileData) == 0;
}

/// The product of (2 3) and (5 7)^T.
bool tiles_multiply() {
  const GemmKernels& kernel = amx::kBf16GemmKernels;
  alignas(64) float a[32] = {}, b[256] = {}, c[1] = {};
  const float left[] = {2, 3}, right[] = {5, 7};
  kernel.pack_a({1, 2, left, 2, false, a, 0});
  kernel.pack_b({1, 2, right, 2, false, b, 0});
  kernel.multiply_packed({1, kernel.words(2), 1, 1, a, 0, b, 0, c, 1, false, {}});
  return c[0] == 31;
}

bool amx_works() {
  static const bool works = has_amx_instructions() && may_use_tiles() && tiles_multiply();
  return works;
}
#endif

Isa initial_isa() {
  if (const char* name = std::getenv("UNROLL_ISA")) {
    for (const Isa isa : kEvery)
      if (std::string(name) == isa_name(isa)) {
        if (isa_supported(isa)) return isa;
        throw std::runtime_error("UNROLL_ISA: this CPU does not support " + std::string(name));
      }
    throw std::runtime_error(
        "UNROLL_ISA: expected amx, avx512_bf16, avx512, avx2 or baseline, got '" +
        std::string(name) + "'");
  }
  for (const Isa isa : kWidestFirst)
    if (isa_supported(isa)) return isa;
  return Isa::kBaseline;
}

std::atomic<Isa>& current() {
  static std::atomic<Isa> isa{initial_isa()};
  return isa;
}

/// Whether UNROLL_ISA or select_isa() has named a set.
std::atomic<bool>& is_named() {
  static std::atomic<bool> named{std::getenv("UNROLL_ISA") != nullptr};
  return named;
}

}  // namespace

const char* isa_name(Isa isa) {
  switch (isa) {
    case Isa::kAmx:
      return "amx";
    case Isa::kAvx512Bf16:
      return "avx512_bf16";
    case Isa::kAvx512:
      return "avx512";
    case Isa::kAvx2:
      return "avx2";
    default:
      return "baseline";
  }
}

// __builtin_cpu_supports also checks that the operating system saves the wide registers.
bool isa_supported(Isa isa) {
#if defined(__x86_64__)
  switch (isa) {
    case Isa::kAmx:
      return isa_supported(Isa::kAvx512) && amx_works();
    case Isa::kAvx512Bf16:
      return isa_supported(Isa::kAvx512) && __builtin_cpu_supports("avx512bf16");
    case Isa::kAvx512:
      return isa_supported(Isa::kAvx2) && __builtin_cpu_supports("avx512f") &&
             __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
             __builtin_cpu_supports("avx512vl");
    case Isa::kAvx2:
      return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    default:
      return true;
  }
#else
  return isa == Isa::kBaseline;
#endif
}

Isa selected_isa() {
  return std::min(current().load(std::memory_order_relaxed), Isa::kAvx512);
}

Isa selected_bf16_isa() {
  const Isa isa = current().load(std::memory_order_relaxed);
  if (isa != Isa::kAvx512 || is_named().load(std::memory_order_relaxed)) return isa;
  static const Isa widest = *std::ranges::find_if(kEvery, isa_supported);
  return widest;
}

void select_isa(Isa isa) {
  if (!isa_supported(isa))
    throw std::runtime_error(std::string("select_isa: this CPU does not support ") + isa_name(isa));
  current().store(isa, std::memory_order_relaxed);
  is_named().store(true, std::memory_order_relaxed);
}

}  // namespace unroll::host
