/// Opens the modules of this build: shared libraries that nothing links to. They are opened on
/// first use, because a program linked to what they need would start later, and not at all where
/// that is missing.
#pragma once

#include <string>

namespace unroll {

struct ModuleName {
  const char* what;     // "CUDA"
  const char* file;     // "libunroll_cuda.so"
  const char* entry;    // its only symbol: a function that returns a pointer to its interface
  const char* install;  // "install ...": the remedy if a library that the module needs is missing
};

/// What the module offers, or null with the reason on one line. The interface begins with its
/// version as a const char*, which must be that of this build. The module is never closed: what it
/// makes lives in it.
const void* open_module(const ModuleName& name, std::string& why_not);

template <typename Api>
struct Module {
  std::string why_not;  // empty if api is set; open_module() writes it, so it comes first
  const Api* api;

  explicit Module(const ModuleName& name)
      : api(static_cast<const Api*>(open_module(name, why_not))) {}
};

}  // namespace unroll
