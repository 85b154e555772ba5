/// The folder of a run whose --save is not given: runs/NAME-N, named after its data.
#pragma once

#include <string>

namespace unroll::cli {

struct RunFolder {
  std::string path;
  bool is_new = false;  // made for this run
};

enum class RunWanted {
  kNew,
  kNewest,       // one to go on with
  kNewestOrNew,  // the same, or a new one where there is none
};

/// Says which folder it is. `data`: as given with --data; of the newest run, empty means any.
/// Errors    std::runtime_error if there is no run to go on with, or the folder cannot be made.
RunFolder default_run(const std::string& data, RunWanted wanted);

/// NAME: that of the folder or file, without its extension; "grammar" without data.
std::string run_name(const std::string& data);

}  // namespace unroll::cli
