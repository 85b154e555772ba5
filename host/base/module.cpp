#include "host/base/module.h"

#include <dlfcn.h>

#include "unroll/version.h"

namespace unroll {
namespace {

/// In the loader's words "NAME: cannot open shared object file: No such file or directory".
std::string why_not_opened(const ModuleName& name, const std::string& error) {
  const std::string module = std::string("the ") + name.what + " module does not load: ";
  const std::size_t end = error.find(": cannot open shared object file");
  if (end == error.npos) return module + error;
  const std::string library = error.substr(0, end);
  // A library that the module itself lacks is named first in the same message.
  if (library == name.file)
    return std::string("no ") + name.what + " module (" + name.file +
           ") is installed with this build";
  return module + library + ": not found; " + name.install +
         ", or name the folder with them in LD_LIBRARY_PATH";
}

}  // namespace

const void* open_module(const ModuleName& name, std::string& why_not) {
  // A bare name, so that the RUNPATH of whatever holds this code decides where to look.
  void* const library = dlopen(name.file, RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    why_not = why_not_opened(name, dlerror());
    return nullptr;
  }
  const auto entry = reinterpret_cast<const void* (*)()>(dlsym(library, name.entry));
  if (!entry) {
    why_not = std::string(name.file) + " is not Unroll's " + name.what + " module";
    return nullptr;
  }
  const void* const api = entry();
  const std::string version = *static_cast<const char* const*>(api);
  if (version == kVersion) return api;
  why_not = std::string(name.file) + " has version " + version + ", expected " + kVersion;
  return nullptr;
}

}  // namespace unroll
