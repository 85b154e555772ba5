/// A task in which order is everything: a sentence as it was written, or with two neighbours
/// exchanged. Both have the same words, so a model of bags of words is right half of the time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "host/base/text.h"
#include "unroll/math/philox.h"

namespace unroll::benchmark {

inline constexpr const char* kOriginal = "original";
inline constexpr const char* kSwapped = "swapped";

/// The words with one pair of unequal neighbours exchanged, each as likely as the others; nothing
/// if there is none. The choice depends only on (key, number).
inline std::optional<std::vector<std::string>> exchange_neighbours(std::vector<std::string> words,
                                                                   std::uint64_t key,
                                                                   std::uint64_t number) {
  std::vector<std::size_t> places;
  for (std::size_t k = 1; k < words.size(); ++k)
    if (words[k] != words[k - 1]) places.push_back(k);
  if (places.empty()) return std::nullopt;
  const double u = math::uniform53(math::philox(key, 0, number));
  const std::size_t at = places[std::size_t(u * double(places.size()))];
  std::swap(words[at], words[at - 1]);
  return words;
}

/// Two lines of a table of labelled texts, or none.
inline std::string word_order_lines(const std::vector<std::string>& words, std::uint64_t key,
                                    std::uint64_t number) {
  const auto swapped = exchange_neighbours(words, key, number);
  if (!swapped) return "";
  return text_from(kOriginal, '\t', joined(words, " "), '\n', kSwapped, '\t', joined(*swapped, " "),
                   '\n');
}

}  // namespace unroll::benchmark
