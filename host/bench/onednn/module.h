/// The interface of libunroll_onednn.so to the program that loads it. The two are built and
/// installed together; a module of another version is refused.
#pragma once

#include <memory>
#include <string>

#include "unroll/backend.h"

namespace unroll::benchmark {

struct OnednnModuleApi {
  const char* version;  // Unroll's. It is first, so that any version can read it

  std::string (*library_version)();  // oneDNN's, "2.6.3"

  /// See onednn_recurrent_plan().
  std::unique_ptr<RecurrentPlan> (*recurrent_plan)(const RecurrentArgs& args, int threads);
};

}  // namespace unroll::benchmark

/// The module's only symbol. The result stays valid, because the module is never unloaded.
extern "C" [[gnu::visibility("default")]] const unroll::benchmark::OnednnModuleApi*
unroll_onednn_module();
