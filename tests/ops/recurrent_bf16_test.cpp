/// The recurrent node in bfloat16 rounds what docs/training.md lists, and nothing else: against a
/// float64 reference that rounds in the same places.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "tests/support/backends.h"
#include "tests/support/compare.h"
#include "tests/support/recurrent_case.h"
#include "tests/support/recurrent_fixture.h"
#include "tests/support/recurrent_kernel_run.h"
#include "tests/support/reference_bf16.h"
#include "tests/support/reference_training.h"

namespace unroll::test {
namespace {

using reference::Recorded;

/// |actual - expected| / |expected|, as vectors. NaN if either has one.
double distance_of(const std::vector<float>& actual, const std::vector<double>& expected) {
  double difference = 0, norm = 0;
  for (std::size_t k = 0; k < expected.size(); ++k) {
    difference += std::pow(double(actual[k]) - expected[k], 2);
    norm += std::pow(expected[k], 2);
  }
  return std::sqrt(difference / norm);
}

class RecurrentBf16 : public OnRecurrentCases {
 protected:
  void TearDown() override {
    reference::record.clear();
    OnRecurrentCases::TearDown();
  }

  /// A float32 sum errs by some 2^-24. Where the reference is that close to the middle between two
  /// bfloat16 numbers, the node may round to the other one, 2^-8 away, and the sums that read it
  /// change so much that more roundings do. Few timesteps and many sequences keep that small. A
  /// rounding too many or too few changes all of a tensor, by a third of 2^-8 on average.
  static constexpr double kClose = 0x1p-8 / 10;

  void expect_same_roundings(const RecurrentCase& c, const reference::RecurrentInputs<double>& data,
                             std::int64_t step = 0, std::uint64_t dropout_key = 0) {
    reference::record.clear();
    std::vector<reference::Array<Recorded>> inputs;
    for (const Reals& input : flatten(data)) inputs.push_back(reference::recorded(input));
    const auto on_record = unflatten<Recorded>(inputs, data);
    const auto expected = reference::recurrent(c.spec, on_record);
    const RecurrentLoss loss = recurrent_loss(reference::recurrent(c.spec, data), 61);
    const Recorded total = loss(expected);
    reference::record.add_gradient(total.entry, 1);
    reference::record.go_back();

    KernelRun run(*backend_, *memory_, c, data, true, step, dropout_key);
    const auto actual = run.forward();
    const auto close_to = [&](const std::vector<float>& found, const std::vector<double>& wanted,
                              const std::string& what) {
      EXPECT_LT(distance_of(found, wanted), kClose) << what;
    };
    close_to(actual.y.values, real(expected.y), "y");
    // Where a sequence has ended, a GPU has kept h in bfloat16.
    const bool keeps_h = backend_->kind() == DeviceKind::kCpu || !c.lengths;
    for (std::size_t k = 0; keeps_h && k < expected.h_n.size(); ++k)
      close_to(actual.h_n[k].values, real(expected.h_n[k]), "h_n " + std::to_string(k));
    for (std::size_t k = 0; k < expected.c_n.size(); ++k)
      close_to(actual.c_n[k].values, real(expected.c_n[k]), "c_n " + std::to_string(k));
    const auto slopes = run.backward(loss, {});
    const std::vector<std::string> names = flat_names(data);
    for (std::size_t k = 0; k < slopes.size(); ++k) {
      std::vector<double> wanted;
      for (const Recorded& x : inputs[k].values)
        wanted.push_back(reference::record.gradient(x.entry));
      close_to(slopes[k], wanted, "gradient of " + names[k]);
    }
    KernelRun inference(*backend_, *memory_, c, data, false, step, dropout_key);
    close_to(inference.forward().y.values, real(expected.y), "y in inference");
  }
};

TEST_P(RecurrentBf16, RoundsWhereTheReferenceDoes) {
  for (const RecurrentCase& c : taken(recurrent_cases({
           recurrent_shape({33}, 1, 2, 65, 31, true),
           recurrent_shape({24}, 2, 2, 65, 17, false),
           recurrent_shape({31}, 1, 3, 65, 33, false),
       }))) {
    SCOPED_TRACE(describe(c));
    expect_same_roundings(c, recurrent_data(c, 62));
    finish_case();
  }
}

TEST_P(RecurrentBf16, RoundsSoWithManyUnits) {
  for (const RecurrentCase& c :
       taken(recurrent_cases({recurrent_shape({257}, 1, 2, 7, 255, false)}))) {
    SCOPED_TRACE(describe(c));
    expect_same_roundings(c, recurrent_data(c, 63));
    finish_case();
  }
}

TEST_P(RecurrentBf16, RoundsAfterDropout) {
  constexpr std::uint64_t kKey = 0x123456789ABCDEF;
  constexpr std::int64_t kStep = 5;
  for (RecurrentCase c : taken(recurrent_cases({recurrent_shape({40, 24}, 1, 2, 33, 17, false)}))) {
    SCOPED_TRACE(describe(c));
    c.spec.dropout = 0.25F;
    auto data = recurrent_data(c, 64);
    data.masks.push_back(
        reference::dropout_mask({c.steps, c.batch, c.spec.output(0)}, 0.25, kKey, kStep));
    expect_same_roundings(c, data, kStep, kKey);
    finish_case();
  }
}

// From the timestep on in which a sequence reads it, and in no other sequence.
TEST_P(RecurrentBf16, KeepsNanInItsSequence) {
  for (const RecurrentCase& c :
       taken(recurrent_cases({recurrent_shape({33}, 1, 3, 5, 17, false)}))) {
    SCOPED_TRACE(describe(c));
    auto data = recurrent_data(c, 67);
    constexpr std::int64_t kStep = 1, kSequence = 2;
    data.x.at(kStep * c.batch + kSequence, 16) = NAN;
    KernelRun run(*backend_, *memory_, c, data, true);
    const auto y = run.forward().y;
    for (std::int64_t t = 0; t < c.steps; ++t)
      for (std::int64_t n = 0; n < c.batch; ++n)
        for (std::int64_t u = 0; u < y.last(); ++u) {
          if (c.spec.cell == CellKind::kRnnRelu && n == kSequence) continue;  // relu(NaN) is 0
          EXPECT_EQ(std::isnan(y.at(t * c.batch + n, u)), n == kSequence && t >= kStep)
              << t << ", " << n << ", " << u;
        }
    finish_case();
  }
}

INSTANTIATE_TEST_SUITE_P(On, RecurrentBf16,
                         ::testing::Values("CpuBf16", "CudaBf16", "CudaPersistentBf16"),
                         backend_name);

// A different number of threads divides the work differently, but no sum.
TEST(RecurrentBf16Threads, DoNotChangeTheBits) {
  for (const RecurrentCase& c : recurrent_cases({recurrent_shape({33, 70}, 2, 3, 5, 31, true)})) {
    SCOPED_TRACE(describe(c));
    const auto data = recurrent_data(c, 65);
    const RecurrentLoss loss = recurrent_loss(reference::recurrent(c.spec, data), 66);
    std::vector<float> y;
    std::vector<std::vector<float>> slopes;
    for (const int threads : {1, 2, 7}) {
      const auto backend = cpu(threads, Precision::kBf16);
      GuardedMemory memory(*backend);
      KernelRun run(*backend, memory, c, data, true);
      const auto now = run.forward();
      const auto slopes_now = run.backward(loss, {});
      if (threads == 1) y = now.y.values, slopes = slopes_now;
      EXPECT_TRUE(identical(now.y.values, y)) << threads << " threads";
      for (std::size_t k = 0; k < slopes.size(); ++k)
        EXPECT_TRUE(identical(slopes_now[k], slopes[k])) << threads << " threads, " << k;
      EXPECT_TRUE(memory.intact());
    }
  }
}

}  // namespace
}  // namespace unroll::test
