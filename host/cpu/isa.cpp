#include "host/cpu/isa.h"

#include <atomic>
#include <cstdlib>
#include <stdexcept>
#include <string>

namespace unroll::host {
namespace {

constexpr Isa kWidestFirst[] = {Isa::kAvx512, Isa::kAvx2, Isa::kBaseline};

Isa initial_isa() {
  if (const char* name = std::getenv("UNROLL_ISA")) {
    for (const Isa isa : kWidestFirst)
      if (std::string(name) == isa_name(isa)) {
        if (isa_supported(isa)) return isa;
        throw std::runtime_error("UNROLL_ISA: this CPU does not support " + std::string(name));
      }
    throw std::runtime_error("UNROLL_ISA: expected avx512, avx2 or baseline, got '" +
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

}  // namespace

const char* isa_name(Isa isa) {
  switch (isa) {
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
  return current().load(std::memory_order_relaxed);
}

void select_isa(Isa isa) {
  if (!isa_supported(isa))
    throw std::runtime_error(std::string("select_isa: this CPU does not support ") + isa_name(isa));
  current().store(isa, std::memory_order_relaxed);
}

}  // namespace unroll::host
