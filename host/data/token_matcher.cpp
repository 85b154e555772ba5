#include "host/data/token_matcher.h"

namespace unroll {
namespace {

std::uint64_t edge(std::size_t node, char byte) {
  return std::uint64_t(node) << 8 | static_cast<unsigned char>(byte);
}

}  // namespace

void TokenMatcher::add(std::string_view token, std::int32_t id) {
  begins_[static_cast<unsigned char>(token[0])] = true;
  std::size_t node = 0;
  for (const char byte : token) {
    const auto [found, is_new] = edges_.emplace(edge(node, byte), ids_.size());
    if (is_new) ids_.push_back(-1);
    node = found->second;
  }
  ids_[node] = id;
}

TokenMatcher::Match TokenMatcher::find(std::string_view text, std::size_t from, bool ends) const {
  if (empty()) return {text.size(), text.size(), -1};
  for (std::size_t begin = from; begin < text.size(); ++begin) {
    if (!begins_[static_cast<unsigned char>(text[begin])]) continue;
    Match match{begin, begin, -1};
    std::size_t node = 0, at = begin;
    for (; at < text.size(); ++at) {
      const auto next = edges_.find(edge(node, text[at]));
      if (next == edges_.end()) break;
      node = next->second;
      if (ids_[node] >= 0) match = {begin, at + 1, ids_[node]};
    }
    if (at == text.size() && !ends) return {begin, begin, -1};
    if (match.id >= 0) return match;
  }
  return {text.size(), text.size(), -1};
}

}  // namespace unroll
