/// The packed weights that plans share: one copy for all that need it, freed with the last plan.
#include "host/cpu/device.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <vector>

namespace unroll::host {
namespace {

TEST(Device, SharesAPackedWeightAndForgetsThoseNoLongerHeld) {
  constexpr std::size_t kWeights = 1000, kHeld = 100;
  Device device(1);
  std::vector<float> memory(2 * kWeights, 1.0F);
  const std::uint64_t version = 1;
  const PackedWeight::Form form{.k = 1, .columns = 2};
  std::vector<std::shared_ptr<PackedWeight>> held(kHeld);
  for (std::size_t k = 0; k < kWeights; ++k) {
    const View weight{&memory[2 * k], Shape{2, 1}, DType::kFloat32, &version};
    std::shared_ptr<PackedWeight> dropped;
    device.packed(weight, form, k < kHeld ? held[k] : dropped);
    EXPECT_LE(device.shared_weights(), 2 * kHeld) << k;
  }
  for (std::size_t k = 0; k < kHeld; ++k) {
    const View weight{&memory[2 * k], Shape{2, 1}, DType::kFloat32, &version};
    std::shared_ptr<PackedWeight> again;
    device.packed(weight, form, again);
    EXPECT_EQ(again, held[k]);
  }
}

}  // namespace
}  // namespace unroll::host
