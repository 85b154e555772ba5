/// Finds given tokens in a text: at the first place where one begins, the longest.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace unroll {

/// Immutable once the tokens are added.
class TokenMatcher {
 public:
  struct Match {
    std::size_t begin = 0, end = 0;
    std::int32_t id = -1;  // -1: there is none, and none begins before `begin`
  };

  /// `token` is not empty.
  void add(std::string_view token, std::int32_t id);
  bool empty() const { return ids_.size() == 1; }

  /// From `from` on. `ends`: nothing follows the text; else what is found does not depend on what
  /// does.
  Match find(std::string_view text, std::size_t from, bool ends) const;

 private:
  std::array<bool, 256> begins_{};                        // whether a token begins with this byte
  std::vector<std::int32_t> ids_ = {-1};                  // by node; node 0 is the root
  std::unordered_map<std::uint64_t, std::size_t> edges_;  // (node, byte) to node
};

}  // namespace unroll
