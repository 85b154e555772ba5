/// Texts of commands that a file or stdin holds.
#pragma once

#include <string>

#include "host/data/text_reader.h"

namespace unroll::cli {

/// A file, or stdin for "-".
/// Errors    std::runtime_error if the file cannot be opened or is not a regular file.
TextSource text_source(const std::string& file);

/// All of such a text, but for a newline at its end: it goes on where the file ends.
/// Errors    std::runtime_error if it cannot be read, or is longer than 64 MiB.
std::string read_beginning(const std::string& file);

}  // namespace unroll::cli
