#include "host/cli/output.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <system_error>

#include "host/base/file.h"
#include "host/base/hash.h"
#include "host/base/utf8.h"
#include "host/cli/terminal.h"

namespace unroll::cli {
namespace {

std::atomic<bool> is_silent{false}, is_quiet{false};

void write_line(const std::string& line) {
  if (is_silent) return;
  std::fputs((printable(line) + "\n").c_str(), stderr);
}

}  // namespace

void set_quiet(bool quiet) {
  is_quiet = quiet;
}

void set_silent(bool silent) {
  is_silent = silent;
}

void print(const std::string& text) {
  print_raw(printable_lines(text));
}

void print_raw(const std::string& text) {
  if (is_silent) return;
  errno = 0;
  if (std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0)
    return;
  if (errno == EPIPE) throw Stopped(SIGPIPE, "");
  throw std::runtime_error(std::string("stdout cannot be written: ") + std::strerror(errno));
}

std::string json_line(const Json& json) {
  // A user's text may hold bytes that are not UTF-8: dump() replaces them. printable() then escapes
  // only characters inside texts, as \uHHHH, which is JSON's own form.
  return printable(json.dump(-1, ' ', false, Json::error_handler_t::replace)) + "\n";
}

void print_json(const Json& json) {
  print_raw(json_line(json));
}

void replace_file(const std::filesystem::path& file, const std::string& text) {
  std::error_code error;
  // Otherwise the rename would replace a device by a file.
  if (std::filesystem::exists(file, error) && !std::filesystem::is_regular_file(file, error))
    throw std::runtime_error(file.string() + ": is a folder or a device, expected a file");
  const std::filesystem::path temporary = fmt::format("{}.{}.tmp", file.string(), ::getpid());
  // An earlier process with this number may have left one. A link is removed, and O_EXCL follows
  // none.
  ::unlink(temporary.c_str());
  Descriptor out(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666), file,
                 "cannot be written");
  try {
    write_all(out.get(), bytes_of(text), file);
    out.close(file);
    if (::rename(temporary.c_str(), file.c_str()) != 0) fail_call(file, "cannot be written");
  } catch (...) {
    ::unlink(temporary.c_str());
    throw;
  }
}

void note(const std::string& line) {
  if (!is_quiet) write_line(line);
}

void warn(const std::string& line) {
  write_line("warning: " + line);
}

void complain(const std::string& line) {
  write_line("unroll: " + line);
}

}  // namespace unroll::cli
