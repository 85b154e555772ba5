/// Runs a program as a user does.
#pragma once

#include <sys/wait.h>

#include <cstdlib>
#include <string>

#include "tests/support/temp_folder.h"

namespace unroll::test {

struct Output {
  int status;  // exit status, or -1 if a signal ended it
  std::string out, err;
};

/// `arguments` as one would type them after "unroll" in a shell.
inline Output run_unroll(const std::string& arguments) {
  const TempFolder folder;
  const std::string out = (folder.path() / "out").string(), err = (folder.path() / "err").string();
  const int code =
      std::system(("{ " UNROLL_PROGRAM " " + arguments + "\n} >" + out + " 2>" + err).c_str());
  return {WIFEXITED(code) ? WEXITSTATUS(code) : -1, read_text(out), read_text(err)};
}

}  // namespace unroll::test
