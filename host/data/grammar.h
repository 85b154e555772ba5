/// The built-in corpus: a probabilistic finite automaton of English sentences whose next-word
/// probabilities are known exactly, so that a trained model can be compared with the truth.
/// Several states may be live after one history; the forward algorithm, in double, weighs them.
/// Source: Rabiner, "A tutorial on hidden Markov models" (1989), eqs. 19-21, for the forward pass.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace unroll {

/// An automaton of states and weighted transitions, each of which emits one word. A sentence is a
/// path from state 0 back to state 0; its last transition, and no other, emits `<eos>`. Immutable
/// once built, so that any number of threads may read it.
class Grammar {
 public:
  struct Transition {
    std::size_t word;    // index into words()
    std::size_t next;    // the state it leads to
    double probability;  // given the state it leaves, > 0
  };

  /// What a text scores; the number of tokens counts one `<eos>` for each line.
  struct Score {
    double log_probability = 0;  // natural logarithm
    std::int64_t tokens = 0;
    double perplexity() const;  // exp(-log_probability / tokens); 1 for an empty text
  };

  /// The words so far, as the probabilities of the states that they may have led to. Copy it to
  /// follow several continuations. Refers to its grammar, which must outlive it.
  class History {
   public:
    /// The history of a text that has not begun, which equals the one after any `<eos>`.
    explicit History(const Grammar& grammar) : grammar_(&grammar), live_{{0, 1.0}} {}

    /// Appends a word and returns its probability given the words before it.
    /// Errors: std::invalid_argument, naming the word, if it is unknown or cannot come next (its
    /// probability is zero); the history is then unchanged.
    double advance(std::size_t word);
    double advance(std::string_view word);

    /// P(w | history) for each w in words(); sums to one.
    std::vector<double> next() const;

    /// P(word | history), zero for a word that cannot come next or is unknown.
    double probability(std::string_view word) const;

    /// How many states the words so far may have led to, at least one.
    std::size_t live_states() const { return live_.size(); }

   private:
    struct Live {
      std::size_t state;
      double probability;
    };
    std::vector<Live> follow(std::size_t word) const;

    const Grammar* grammar_;
    std::vector<Live> live_;  // by state, without repetition; sums to one
  };

  /// The corpus `grammar`: about eating, cutting, reading; see the tables in english_grammar.cpp.
  static Grammar english();

  /// `<eos>` first, then the others in byte order.
  const std::vector<std::string>& words() const { return words_; }

  /// The index of `word` in words(). Errors: std::invalid_argument if there is no such word.
  std::size_t index_of(std::string_view word) const;

  std::size_t states() const { return first_.size() - 1; }

  /// The transitions that leave `state`, by word and then by next state; they sum to one.
  std::span<const Transition> transitions(std::size_t state) const;

  History start() const { return History(*this); }

  /// Whether the words of `sentence`, separated by blanks and without `<eos>`, are a sentence.
  bool accepts(std::string_view sentence) const;

  /// Scores a text of one sentence a line, words separated by blanks; the end of each line is an
  /// `<eos>`, which is not written. The final newline may be missing.
  /// Errors: std::invalid_argument, naming line and word, if the grammar cannot produce the text.
  Score log_probability(std::string_view text) const;

  /// Draws sentences, each ended by '\n' in place of `<eos>`. The same seed gives the same text on
  /// every platform, and a longer sample begins with the shorter one.
  /// Errors: std::invalid_argument if `sentences` is negative.
  std::string sample(std::uint64_t seed, std::int64_t sentences) const;

 private:
  Grammar() = default;
  std::span<const Transition> transitions(std::size_t state, std::size_t word) const;
  const Transition& draw(std::size_t state, double uniform) const;

  std::vector<std::string> words_;
  std::map<std::string, std::size_t, std::less<>> indices_;
  std::vector<Transition> transitions_;  // those of state s are [first_[s], first_[s + 1])
  std::vector<std::size_t> first_;
};

}  // namespace unroll
