#include "host/train/foreign_vocabulary.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <stdexcept>

#include "host/base/utf8.h"
#include "host/data/vocabulary.h"

namespace unroll {

std::string our_vocabulary(std::string_view text, TokenizerKind kind, const SpecialTokens& special,
                           const std::string& name) {
  struct Renamed {
    std::string_view from, to;
    bool found = false;
  };
  std::array<Renamed, 2> names{
      {{special.unknown, Vocabulary::kUnk},
       {special.line_end, kind == TokenizerKind::kChar ? "\\n" : Vocabulary::kEos}}};
  std::string ours;
  ours.reserve(text.size());
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    for (Renamed& one : names) {
      if (one.from.empty() || line != one.from) continue;
      one.found = true;
      line = one.to;
      break;
    }
    ours.append(line).push_back('\n');
  }
  for (const Renamed& one : names)
    if (!one.from.empty() && !one.found)
      throw std::runtime_error(fmt::format("{}: no line is {}, expected one that stands for {}",
                                           name, in_quotes(one.from), one.to));
  return ours;
}

}  // namespace unroll
