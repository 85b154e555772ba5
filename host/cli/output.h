/// What the commands write: stdout, notes and warnings on stderr, and whole files. Output that
/// cannot be written is an error.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>

namespace unroll::cli {

/// Reports keep the order in which they are written.
using Json = nlohmann::ordered_json;

/// A signal ended the command in good order, or a write failed where SIGPIPE would have ended it.
/// The exit status is 128 + signal, and `what` is the last line, unless it is empty.
struct Stopped : std::runtime_error {
  Stopped(int by, const std::string& what) : std::runtime_error(what), signal(by) {}
  int signal;
};

/// Writes lines to stdout, as printable_lines(). Errors: Stopped, without a line, if the pipe has
/// no reader any more; std::runtime_error if it cannot be written for another reason.
void print(const std::string& text);
void print_json(const Json& json);
/// What print_json() writes: a line.
std::string json_line(const Json& json);
/// The same for bytes that are the product, and so stay as they are.
void print_raw(const std::string& text);

/// Complete or not at all: a reader of the old file never sees half of the new one.
/// Errors    std::runtime_error, as for a folder or a device such as /dev/null.
void replace_file(const std::filesystem::path& file, const std::string& text);

/// A line on stderr, as printable(): text from a file or a name can neither steer the terminal nor
/// forge a line.
void note(const std::string& line);
/// The same as a warning.
void warn(const std::string& line);

/// The one line of a command that failed.
void complain(const std::string& line);

/// From now on notes are left out.
void set_quiet(bool quiet);
/// From now on nothing of the above is written: another process of the same run says it.
void set_silent(bool silent);

}  // namespace unroll::cli
