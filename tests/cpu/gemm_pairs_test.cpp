/// The kernels of products in bfloat16 by VDPBF16PS, with float32 arithmetic in place of the
/// instruction: packing, tiles and remainders are tested everywhere. gemm_tiles_test.cpp does the
/// same for AMX.
#define UNROLL_WIDTH_emulated_pairs 4
#define UNROLL_ISA emulated_pairs
#define UNROLL_BF16_DOT 1
#include "host/cpu/gemm_kernel.cpp"

#include "tests/cpu/gemm_kernel_check.h"

namespace unroll::host {
namespace {

TEST(GemmPairs, MultiplyInEveryShape) {
  check_kernels(emulated_pairs::kBf16GemmKernels);
}

// Where pairs are widened instead, A is packed in another form, but the sums have the same bits.
TEST(GemmPairs, HaveTheBitsOfWidenedOnes) {
  std::mt19937 rng(13);
  for (const KernelProblem& p : {KernelProblem{37, 21, 77, true, false, true},
                                 KernelProblem{5, 64, 384, false, true, false}}) {
    const std::vector<float> a = random_floats(p.m * p.k, rng), b = random_floats(p.k * p.n, rng);
    const std::vector<float> c = random_floats(p.m * (p.n + 3), rng);
    EXPECT_EQ(run_kernel(emulated_pairs::kBf16GemmKernels, p, a, b, c),
              run_kernel(baseline::kBf16GemmKernels, p, a, b, c));
  }
}

}  // namespace
}  // namespace unroll::host
