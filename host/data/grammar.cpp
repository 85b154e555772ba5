/// What an automaton can be asked: the forward algorithm over its live states, and sampling.
#include "host/data/grammar.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "host/base/words.h"

namespace unroll {
namespace {

using Transition = Grammar::Transition;

/// Uniform doubles in [0, 1): the output function of splitmix64 (Steele, Lea and Flood, 2014, with
/// Vigna's constants) on a counter. Integers only, hence the same everywhere.
class Uniform {
 public:
  // The seed is scrambled first: neighbouring seeds would be the same stream, shifted, otherwise.
  explicit Uniform(std::uint64_t seed) : counter_(scramble(seed)) {}

  double operator()() {
    counter_ += 0x9e3779b97f4a7c15u;
    return static_cast<double>(scramble(counter_) >> 11) * 0x1p-53;
  }

 private:
  static std::uint64_t scramble(std::uint64_t x) {
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
  }

  std::uint64_t counter_;
};

constexpr std::size_t kEos = 0;  // of words()

}  // namespace

std::size_t Grammar::index_of(std::string_view word) const {
  const auto at = indices_.find(word);
  if (at == indices_.end())
    throw std::invalid_argument("grammar: got '" + std::string(word) + "', expected one of its " +
                                std::to_string(words_.size()) + " words");
  return at->second;
}

std::span<const Transition> Grammar::transitions(std::size_t state) const {
  return {transitions_.data() + first_.at(state), transitions_.data() + first_.at(state + 1)};
}

std::span<const Transition> Grammar::transitions(std::size_t state, std::size_t word) const {
  const auto all = transitions(state);
  return {std::ranges::lower_bound(all, word, {}, &Transition::word),
          std::ranges::upper_bound(all, word, {}, &Transition::word)};
}

std::vector<Grammar::History::Live> Grammar::History::follow(std::size_t word) const {
  std::vector<Live> after;
  for (const Live& live : live_)
    for (const Transition& t : grammar_->transitions(live.state, word))
      after.push_back({t.next, live.probability * t.probability});
  std::ranges::sort(after, {}, [](const Live& l) { return std::pair(l.state, l.probability); });
  std::size_t kept = 0;
  for (const Live& live : after)
    if (kept > 0 && after[kept - 1].state == live.state)
      after[kept - 1].probability += live.probability;
    else
      after[kept++] = live;
  after.resize(kept);
  return after;
}

double Grammar::History::advance(std::size_t word) {
  if (word >= grammar_->words_.size())
    throw std::invalid_argument("grammar: got word " + std::to_string(word) + ", expected below " +
                                std::to_string(grammar_->words_.size()));
  std::vector<Live> after = follow(word);
  double probability = 0;
  for (const Live& live : after) probability += live.probability;
  if (after.empty())
    throw std::invalid_argument("grammar: '" + grammar_->words_[word] +
                                "' cannot follow these words");
  for (Live& live : after) live.probability /= probability;
  live_ = std::move(after);
  return probability;
}

double Grammar::History::advance(std::string_view word) {
  return advance(grammar_->index_of(word));
}

std::vector<double> Grammar::History::next() const {
  std::vector<double> probabilities(grammar_->words_.size());
  for (const Live& live : live_)
    for (const Transition& t : grammar_->transitions(live.state))
      probabilities[t.word] += live.probability * t.probability;
  return probabilities;
}

double Grammar::History::probability(std::string_view word) const {
  const auto at = grammar_->indices_.find(word);
  if (at == grammar_->indices_.end()) return 0;
  double sum = 0;
  for (const Live& live : follow(at->second)) sum += live.probability;
  return sum;
}

bool Grammar::accepts(std::string_view sentence) const {
  History history(*this);
  bool possible = true;
  for_each_word(sentence, [&](std::string_view word) {
    possible = possible && word != words_[kEos] && history.probability(word) > 0;
    if (possible) history.advance(word);
  });
  return possible && history.probability(words_[kEos]) > 0;
}

Grammar::Score Grammar::log_probability(std::string_view text) const {
  Score score;
  History history(*this);
  std::int64_t line = 0;
  const auto add = [&](std::size_t word) {
    score.log_probability += std::log(history.advance(word));
    ++score.tokens;
  };
  while (!text.empty()) {
    ++line;
    const std::size_t end = std::min(text.find('\n'), text.size());
    try {
      for_each_word(text.substr(0, end), [&](std::string_view word) {
        if (word == words_[kEos])
          throw std::invalid_argument("grammar: got '<eos>' in the text, expected a newline");
        add(index_of(word));
      });
      add(kEos);
    } catch (const std::invalid_argument& error) {
      throw std::invalid_argument("line " + std::to_string(line) + ": " + error.what());
    }
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return score;
}

double Grammar::Score::perplexity() const {
  return tokens == 0 ? 1 : std::exp(-log_probability / static_cast<double>(tokens));
}

const Transition& Grammar::draw(std::size_t state, double uniform) const {
  const auto choices = transitions(state);
  for (const Transition& t : choices) {
    if (uniform < t.probability) return t;
    uniform -= t.probability;
  }
  return choices.back();  // the probabilities sum to one but for rounding
}

std::string Grammar::sample(std::uint64_t seed, std::int64_t sentences) const {
  if (sentences < 0)
    throw std::invalid_argument("grammar: got " + std::to_string(sentences) +
                                " sentences to sample, expected at least 0");
  Uniform uniform(seed);
  std::string text;
  for (; sentences > 0; --sentences)
    for (std::size_t state = 0;;) {
      const Transition& t = draw(state, uniform());
      state = t.next;
      if (t.word == kEos) {
        text.back() = '\n';  // in place of the blank after the last word
        break;
      }
      text += words_[t.word];
      text += ' ';
    }
  return text;
}

}  // namespace unroll
