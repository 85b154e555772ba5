#include "host/cli/default_run.h"

#include <fmt/format.h>

#include <filesystem>
#include <stdexcept>
#include <system_error>

#include "host/cli/output.h"
#include "host/train/run_folder.h"

namespace unroll::cli {
namespace {

constexpr const char* kRuns = "runs";

}  // namespace

std::string run_name(const std::string& data) {
  if (data.empty()) return "grammar";
  std::error_code none;
  std::filesystem::path path = std::filesystem::weakly_canonical(data, none);
  if (!path.has_filename()) path = path.parent_path();  // "ptb/"
  const bool is_file = std::filesystem::is_regular_file(path, none);
  std::string name = (is_file ? path.stem() : path.filename()).string();
  // The name goes into messages and commands to copy.
  std::erase_if(name, [](unsigned char c) { return c <= ' ' || c == 0x7F; });
  return name.empty() || name.starts_with('-') ? "model" : name;
}

RunFolder default_run(const std::string& data, RunWanted wanted) {
  if (wanted != RunWanted::kNew) {
    const std::string name = data.empty() && wanted == RunWanted::kNewest ? "" : run_name(data);
    const std::filesystem::path newest = newest_run(kRuns, name);
    if (!newest.empty()) {
      note("run: " + newest.string() + ", the newest");
      return {newest.string()};
    }
    if (wanted == RunWanted::kNewest)
      throw std::runtime_error(
          fmt::format("--resume: got no run in {}/{}, expected one to go on with; --save names one",
                      kRuns, name.empty() ? "" : name + "-N"));
  }
  const std::filesystem::path folder = make_new_run_folder(kRuns, run_name(data));
  note("run: " + folder.string());
  return {folder.string(), true};
}

}  // namespace unroll::cli
