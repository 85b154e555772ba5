#include "host/infer/beam.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <iterator>
#include <map>
#include <stdexcept>
#include <utility>

#include "host/infer/predict.h"

namespace unroll {
namespace {

/// A text of the beam with one more token; text k is in row k.
struct Continuation {
  std::size_t parent;
  std::int32_t token;
  double log_prob;  // of the token
  double sum;       // of the text with it
};

class Beam {
 public:
  Beam(TokenStates& states, const BeamOptions& options)
      : states_(states), options_(options), width_(std::size_t(states.rows())) {}

  std::vector<BeamText> search(std::span<const std::int32_t> prompt) {
    std::vector<std::int32_t> tokens(width_);
    states_.begin();
    for (const std::int32_t token : prompt) {
      std::ranges::fill(tokens, token);
      states_.advance(tokens);
    }
    live_.resize(1);
    for (std::int64_t length = 1; !live_.empty() && !is_over(); ++length) {
      const std::vector<std::size_t> parents = extend();
      if (length == options_.length) {
        std::ranges::move(live_, std::back_inserter(complete_));
        live_.clear();
      } else if (!live_.empty()) {
        move_states(parents);
      }
      keep_best();
    }
    return std::move(complete_);
  }

 private:
  /// Continuations of all texts, the most probable text first.
  std::vector<Continuation> continuations() {
    std::vector<Continuation> all;
    // Half of them may be complete texts, and one is excluded.
    const std::size_t count = 2 * width_ + 1;
    for (std::size_t k = 0; k < live_.size(); ++k) {
      const std::span<const float> log_prob = states_.log_prob(std::int64_t(k));
      for (const std::int32_t id : most_probable(log_prob, count)) {
        const auto own = double(log_prob[std::size_t(id)]);
        if (id != options_.excluded_id) all.push_back({k, id, own, live_[k].log_prob + own});
      }
    }
    std::ranges::stable_sort(all, std::greater(), &Continuation::sum);
    return all;
  }

  /// The texts become the best continuations; returns whose they are.
  std::vector<std::size_t> extend() {
    std::vector<BeamText> next;
    std::vector<std::size_t> parents;
    std::size_t rank = 0;
    for (const Continuation& c : continuations()) {
      if (next.size() == width_) break;
      BeamText text = live_[c.parent];
      text.tokens.push_back(c.token);
      text.log_probs.push_back(c.log_prob);
      text.log_prob = c.sum;
      text.ended = options_.ends && options_.ends(text.tokens);
      if (!text.ended) {
        next.push_back(std::move(text));
        parents.push_back(c.parent);
      } else if (rank < width_) {  // a complete text must be one of the best, too
        complete_.push_back(std::move(text));
      }
      ++rank;
    }
    live_ = std::move(next);
    return parents;
  }

  void move_states(const std::vector<std::size_t>& parents) {
    std::map<std::size_t, TextState> moved;  // of parents
    for (std::size_t k = 0; k < parents.size(); ++k)
      if (parents[k] != k && !moved.contains(parents[k]))
        moved.emplace(parents[k], states_.take(std::int64_t(parents[k])));
    std::vector<std::int32_t> tokens(width_, TokenStates::kNoToken);
    for (std::size_t k = 0; k < parents.size(); ++k) {
      if (parents[k] != k) states_.put(std::int64_t(k), moved.at(parents[k]));
      tokens[k] = live_[k].tokens.back();
    }
    states_.advance(tokens);
  }

  void keep_best() {
    std::ranges::stable_sort(complete_, std::greater(), &BeamText::score);
    if (complete_.size() > width_) complete_.resize(width_);
  }

  /// No text of the beam can become better than the complete ones, whatever follows.
  bool is_over() const {
    if (complete_.size() < width_) return false;
    double best = live_[0].log_prob;
    for (const BeamText& text : live_) best = std::max(best, text.log_prob);
    return best / double(options_.length) <= complete_.back().score();
  }

  TokenStates& states_;
  const BeamOptions& options_;
  std::size_t width_;
  std::vector<BeamText> live_, complete_;
};

}  // namespace

std::vector<BeamText> beam_search(TokenStates& states, std::span<const std::int32_t> prompt,
                                  const BeamOptions& options) {
  if (options.length < 1)
    throw std::invalid_argument(fmt::format("length: got {}, expected 1 or more", options.length));
  return Beam(states, options).search(prompt);
}

}  // namespace unroll
