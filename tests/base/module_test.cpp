/// Why a module cannot be opened, on one line.
#include "host/base/module.h"

#include <gtest/gtest.h>

namespace unroll::test {
namespace {

struct NoApi {
  const char* version;
};

TEST(Modules, SayWhyTheyAreNotOpened) {
  const Module<NoApi> absent({.what = "Absent",
                              .file = "libunroll_absent.so",
                              .entry = "unroll_absent_module",
                              .install = "install it"});
  EXPECT_EQ(absent.api, nullptr);
  EXPECT_EQ(absent.why_not, "no Absent module (libunroll_absent.so) is installed with this build");
  const Module<NoApi> other({.what = "Absent",
                             .file = "libm.so.6",
                             .entry = "unroll_absent_module",
                             .install = "install it"});
  EXPECT_EQ(other.api, nullptr);
  EXPECT_EQ(other.why_not, "libm.so.6 is not Unroll's Absent module");
}

}  // namespace
}  // namespace unroll::test
