/// Finding a GPU: whenever there is none, there must be a reason.
#include <gtest/gtest.h>

#include <stdexcept>
#include <string>

#include "unroll/backend.h"

namespace unroll::test {
namespace {

TEST(CudaModule, ReasonAndCountAgree) {
  std::string why;
  const int devices = cuda_device_count(&why);
  EXPECT_EQ(devices, cuda_device_count());
  EXPECT_EQ(devices == 0, !why.empty()) << devices << " devices, '" << why << "'";
  EXPECT_EQ(why.find('\n'), std::string::npos) << why;
}

TEST(CudaModule, IsFoundWhereItWasBuilt) {
  std::string why;
  if (cuda_device_count(&why) > 0) return;
  const bool missing = why.find("no CUDA module") != std::string::npos;
  EXPECT_EQ(missing, UNROLL_HAS_CUDA == 0) << why;
  EXPECT_EQ(why.find("does not load"), std::string::npos) << why;
}

TEST(CudaModule, RefusesADeviceThatIsNotThere) {
  for (const int ordinal : {-1, cuda_device_count()}) try {
      cuda(ordinal);
      ADD_FAILURE() << "device " << ordinal;
    } catch (const std::runtime_error& error) {
      EXPECT_STRNE(error.what(), "");
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
    }
}

}  // namespace
}  // namespace unroll::test
