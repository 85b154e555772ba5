/// What every example's main() does.
#pragma once

#include <cstdio>
#include <exception>
#include <string>

/// Calls `example` with the first argument of the command line, or an empty text. Returns the exit
/// status: 0, or 1 after an error, which is printed on one line.
inline int run(int argc, char** argv, void (*example)(const std::string& argument)) {
  try {
    example(argc > 1 ? argv[1] : "");
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
