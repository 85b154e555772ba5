/// Runs a program like a user.
#pragma once

#include <sys/wait.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "tests/support/temp_folder.h"

namespace unroll::test {

struct Output {
  int status;  // exit status, or -1 if a signal ended it
  std::string out, err;
};

/// Runs a shell script, in which `unroll` is the program and `folder` the current folder.
inline Output run_script(const std::string& script, const std::filesystem::path& folder = ".") {
  const TempFolder streams;
  const std::string out = (streams.path() / "out").string(),
                    err = (streams.path() / "err").string();
  const int code = std::system(("unroll() { " UNROLL_PROGRAM " \"$@\"; }; cd '" + folder.string() +
                                "' && { " + script + "\n} >" + out + " 2>" + err)
                                   .c_str());
  return {WIFEXITED(code) ? WEXITSTATUS(code) : -1, read_text(out), read_text(err)};
}

#ifdef UNROLL_EMULATED_CUDA
/// In a script: what follows runs on the emulated GPU.
inline constexpr const char* kEmulated = "export LD_LIBRARY_PATH=" UNROLL_EMULATED_CUDA "; ";
#endif

/// `arguments` as typed after "unroll" in a shell.
inline Output run_unroll(const std::string& arguments) {
  return run_script("unroll " + arguments);
}

}  // namespace unroll::test
