#include "host/infer/text_ids.h"

#include <fmt/format.h>

#include <cstddef>
#include <map>

#include "host/base/utf8.h"

namespace unroll {
namespace {

/// One line for all of them.
std::string about_unknown(const std::map<std::string, std::int64_t>& unknown) {
  constexpr std::size_t kNamed = 5;
  std::string names;
  std::size_t named = 0;
  std::int64_t total = 0;
  for (const auto& [token, count] : unknown) {
    total += count;
    if (named++ < kNamed) names += (names.empty() ? "" : ", ") + in_quotes(token);
  }
  if (named > kNamed) names += fmt::format(" and {} more", named - kNamed);
  const char* verb = named == 1 ? "is" : "are";
  return fmt::format("{} {} not in the model's vocabulary and {} read as <unk>{}", names, verb,
                     verb, total > 1 ? fmt::format(", {} times in all", total) : "");
}

}  // namespace

std::vector<std::int32_t> text_ids(const Tokenizer& tokenizer, std::string_view text,
                                   const std::function<void(const std::string&)>& warn) {
  std::map<std::string, std::int64_t> unknown;  // and how often
  std::vector<std::int32_t> ids =
      tokenizer.encode(text, [&](std::string_view token) { ++unknown[std::string(token)]; });
  if (!unknown.empty() && warn) warn(about_unknown(unknown));
  return ids;
}

}  // namespace unroll
