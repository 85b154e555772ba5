/// --config: a command's flags in a file.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace unroll::cli {

/// A line of the file.
struct ConfigLine {
  std::string where;  // "run.toml: line 3"
  std::string name;   // of the flag, without dashes: "batch-size", also for batch_size
  std::vector<std::string> values;  // as they would be typed; one unless it is a list
  bool is_list = false;
};

/// Reads lines `name = value` of TOML 1.0: texts in double or single quotes, whole numbers,
/// numbers, true and false, lists of these on one line, and comments. There are no tables, because
/// a command has none. `name` is the name of the text in errors. Errors    UsageError, with the
/// line, for anything else, and for a name that is there twice.
std::vector<ConfigLine> read_config(std::string_view text, const std::string& name);
/// The same of a file. Errors: also UsageError if it cannot be read, is no regular file, or has
/// more than a mebibyte.
std::vector<ConfigLine> read_config_file(const std::string& file);

}  // namespace unroll::cli
