/// Which instruction set the CPU kernels use, chosen once at run time.
///
/// A kernel file, say gates_kernel.cpp, is written once with packet.h, inside namespace
/// unroll::host::UNROLL_ISA, and compiled three times into object libraries:
///     UNROLL_ISA=avx512    -mavx512f -mavx512dq -mavx512bw -mavx512vl -mavx2 -mfma
///     UNROLL_ISA=avx2      -mavx2 -mfma
///     UNROLL_ISA=baseline  (no flag)
/// each with -O3 -ffp-contract=off -DUNROLL_ISA=<name>. In CMake:
///     foreach(isa avx512 avx2 baseline)
///       add_library(kernels_${isa} OBJECT host/cpu/gemm_kernel.cpp host/cpu/gates_kernel.cpp)
///       target_compile_definitions(kernels_${isa} PRIVATE UNROLL_ISA=${isa})
///       target_compile_options(kernels_${isa} PRIVATE -O3 -ffp-contract=off ${flags_of_${isa}})
///     endforeach()
/// It defines one constant table of function pointers, `extern const GatesKernels kGatesKernels;`,
/// and the caller takes UNROLL_FOR_ISA(kGatesKernels).
///
/// Rule      a kernel file may define and instantiate nothing outside its own namespace: the linker
///           keeps one copy of an inline function, and if that were the AVX-512 one, the program
///           would fault on every other CPU. So no std:: containers or algorithms in it.
#pragma once

namespace unroll::host {

enum class Isa { kBaseline, kAvx2, kAvx512 };

/// "baseline", "avx2" or "avx512".
const char* isa_name(Isa isa);

/// Whether this CPU and operating system can run it.
bool isa_supported(Isa isa);

/// The widest one supported; or, for tests, the one that the environment variable UNROLL_ISA named
/// at the first call. Errors: std::runtime_error if that is unknown or unsupported.
Isa selected_isa();

/// For tests: selects another one from here on. Operands packed before are invalid after. Not to be
/// called while kernels run. Errors: std::runtime_error if it is not supported.
void select_isa(Isa isa);

/// The one of three tables that belongs to the selected instruction set.
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

/// The selected instruction set's own `table`; other processors are built with the baseline alone.
#if defined(__x86_64__)
#define UNROLL_FOR_ISA(table) for_isa(avx512::table, avx2::table, baseline::table)
#else
#define UNROLL_FOR_ISA(table) baseline::table
#endif
