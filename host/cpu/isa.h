/// The instruction set of the CPU kernels, chosen once at run time.
///
/// A kernel file, for example gates_kernel.cpp, is written once with packet.h, inside namespace
/// unroll::host::UNROLL_ISA. unroll_add_kernels() in host/CMakeLists.txt compiles it three times
/// into object libraries, with -O3 -ffp-contract=off, its own definition of UNROLL_ISA and these
/// flags:
///     UNROLL_ISA=avx512    -mavx512f -mavx512dq -mavx512bw -mavx512vl -mavx2 -mfma
///     UNROLL_ISA=avx2      -mavx2 -mfma
///     UNROLL_ISA=baseline  (no flag)
/// Two further sets, avx512_bf16 and amx, are avx512 with instructions for products in bfloat16.
/// Only gemm_kernel.cpp and gemm_amx_kernel.cpp are compiled for them.
/// Each compilation defines one constant table of function pointers (RowKernels in kernels.h, for
/// example), and the caller selects one with UNROLL_FOR_ISA(table).
///
/// Rule      a kernel file may define and instantiate nothing outside its own namespace. The linker
///           keeps one copy of an inline function; if that were the AVX-512 one, the program would
///           fault on every other CPU. So use no std:: containers or algorithms in it.
#pragma once

namespace unroll::host {

enum class Isa { kBaseline, kAvx2, kAvx512, kAvx512Bf16, kAmx };

/// "baseline", "avx2", "avx512", "avx512_bf16" or "amx".
const char* isa_name(Isa isa);

/// Whether this CPU and operating system support it. For AMX it asks the kernel for the permission
/// to use tiles, which the process then has, and tries a product.
bool isa_supported(Isa isa);

/// At most kAvx512: the widest supported set or, for tests, the one that the environment variable
/// UNROLL_ISA named at the first call. Errors: std::runtime_error if that is unknown or
/// unsupported.
Isa selected_isa();

/// What multiplies in bfloat16: selected_isa() or, where that is kAvx512, the widest supported set.
/// UNROLL_ISA chooses it, too.
Isa selected_bf16_isa();

/// For tests: selects another set from here on, also for bfloat16. It invalidates all packed
/// operands. Do not call it while kernels run. Errors: std::runtime_error if the set is not
/// supported.
void select_isa(Isa isa);

/// The table of the selected instruction set.
template <typename Table>
const Table& for_isa(const Table& avx512, const Table& avx2, const Table& baseline) {
  switch (selected_isa()) {
    case Isa::kAvx512:
      return avx512;
    case Isa::kAvx2:
      return avx2;
    default:
      return baseline;
  }
}

}  // namespace unroll::host

/// The `table` of the selected instruction set. On other processors only the baseline is built.
#if defined(__x86_64__)
#define UNROLL_FOR_ISA(table) for_isa(avx512::table, avx2::table, baseline::table)
#else
#define UNROLL_FOR_ISA(table) baseline::table
#endif
