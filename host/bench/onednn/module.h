/// What libunroll_onednn.so offers to the program that loads it. The two are built together and
/// installed together; a module of another version is refused.
#pragma once

#include <memory>
#include <string>

#include "unroll/backend.h"

namespace unroll::benchmark {

struct OnednnModuleApi {
  const char* version;  // Unroll's; first, so that it can be read whatever follows it

  std::string (*library_version)();  // oneDNN's, "2.6.3"

  /// As onednn_recurrent_plan().
  std::unique_ptr<RecurrentPlan> (*recurrent_plan)(const RecurrentArgs& args, int threads);
};

}  // namespace unroll::benchmark

/// The module's only symbol. The result lives as long as the module, which is never unloaded.
extern "C" [[gnu::visibility("default")]] const unroll::benchmark::OnednnModuleApi*
unroll_onednn_module();
