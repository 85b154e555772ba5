#include "host/infer/predict.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <stdexcept>

namespace unroll {

std::vector<std::vector<float>> predict(TokenStates& states,
                                        std::span<const std::vector<std::int32_t>> histories) {
  if (std::ssize(histories) != states.rows())
    throw std::invalid_argument(fmt::format("histories: got {}, expected one for each of {} rows",
                                            histories.size(), states.rows()));
  std::vector<std::vector<float>> result(histories.size());
  std::vector<std::int32_t> tokens(histories.size());
  states.begin();
  for (std::size_t read = 0;; ++read) {
    bool goes_on = false;
    for (std::size_t row = 0; row < histories.size(); ++row) {
      const std::vector<std::int32_t>& history = histories[row];
      if (read == history.size()) {
        const std::span<const float> log_prob = states.log_prob(std::int64_t(row));
        result[row].assign(log_prob.begin(), log_prob.end());
      }
      goes_on = goes_on || read < history.size();
      tokens[row] = read < history.size() ? history[read] : TokenStates::kNoToken;
    }
    if (!goes_on) return result;
    states.advance(tokens);
  }
}

std::vector<std::int32_t> most_probable(std::span<const float> log_prob, std::size_t count) {
  std::vector<std::int32_t> order(log_prob.size());
  std::iota(order.begin(), order.end(), 0);
  const auto end = order.begin() + std::ptrdiff_t(std::min(count, order.size()));
  std::partial_sort(order.begin(), end, order.end(), [&](std::int32_t a, std::int32_t b) {
    const float pa = log_prob[std::size_t(a)], pb = log_prob[std::size_t(b)];
    return pa != pb ? pa > pb : a < b;
  });
  order.erase(end, order.end());
  return order;
}

std::int64_t rank_of(std::span<const float> log_prob, std::int32_t id) {
  const float own = log_prob[std::size_t(id)];
  return 1 + std::ranges::count_if(log_prob, [&](float p) { return p > own; });
}

}  // namespace unroll
