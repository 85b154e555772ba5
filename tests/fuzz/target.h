/// The interface of every fuzz target: a function of bytes that aborts if a property does not hold,
/// and inputs to begin with. Refusing an input is no fault if it is done as documented.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace unroll::fuzz {

/// Valid inputs, and some that are nearly valid.
std::vector<std::string> seeds();

inline void require(bool holds, const std::string& what) {
  if (holds) return;
  std::fprintf(stderr, "fuzz: not so: %s\n", what.c_str());
  std::abort();
}

/// Calls `body`. Returns false if it throws an exception that is allowed for bad input: a
/// std::runtime_error or std::invalid_argument with a message of one line. Any other exception ends
/// the program.
template <typename Body>
bool accepts(Body&& body) {
  std::string message;
  try {
    body();
    return true;
  } catch (const std::runtime_error& error) {
    message = error.what();
  } catch (const std::invalid_argument& error) {
    message = error.what();
  }
  require(!message.empty() && message.find('\n') == message.npos, "one line: " + message);
  return false;
}

inline std::string_view text_of(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

}  // namespace unroll::fuzz
