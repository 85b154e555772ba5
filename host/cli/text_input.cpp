#include "host/cli/text_input.h"

#include <fmt/format.h>

#include <array>
#include <span>
#include <stdexcept>

#include "host/cli/standard_input.h"

namespace unroll::cli {

TextSource text_source(const std::string& file) {
  if (file != "-") return TextSource(file);
  return {"", [input = StandardInput([] {})](std::span<char> buffer) { return input.read(buffer); },
          StandardInput::kName};
}

std::string read_beginning(const std::string& file) {
  constexpr std::size_t kMost = std::size_t{64} << 20;
  TextSource source = text_source(file);
  std::string text;
  std::array<char, 1 << 16> buffer;
  while (const std::size_t got = source.read(buffer)) {
    text.append(buffer.data(), got);
    if (text.size() > kMost)
      throw std::runtime_error(fmt::format(
          "{}: got more than {} bytes, expected a text to go on with", source.name(), kMost));
  }
  if (text.ends_with('\n')) text.pop_back();
  if (text.ends_with('\r')) text.pop_back();
  return text;
}

}  // namespace unroll::cli
