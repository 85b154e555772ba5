/// Texts that a model reads side by side, each at its own time: they join and leave between the
/// steps of a batch. What a text is told does not depend on what is read beside it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "host/infer/token_states.h"

namespace unroll {

/// What a text does after a step.
struct TextStep {
  enum class Kind : std::uint8_t {
    kReads,   // `token`
    kBegins,  // anew, at the beginning of a line, as another text
    kEnds,
  };
  Kind kind = Kind::kEnds;
  std::int32_t token = 0;

  static TextStep read(std::int32_t token) { return {Kind::kReads, token}; }
  static TextStep begin() { return {Kind::kBegins}; }
  static TextStep end() { return {Kind::kEnds}; }
};

/// A text of a ContinuousBatch. Only the thread that calls step() calls it.
class BatchText {
 public:
  enum class State : std::uint8_t {
    kReads,
    kWaits,   // gives its place to others, and goes on later where it was
    kLeaves,  // is not asked again
  };

  virtual ~BatchText() = default;
  /// Looked at before each step. Other threads may change it.
  virtual State state() const = 0;
  /// Whether next() will look at the probabilities.
  virtual bool asks() const = 0;
  /// Called when tokenizer().start() has been read, and after each token. `log_prob` is ln P of
  /// every next token given what was read, [V]; empty if asks() was false. It may throw what
  /// fail() is to be told.
  virtual TextStep next(std::span<const float> log_prob) = 0;
  /// It cannot go on, and is not asked again. `why` is one line.
  virtual void fail(const std::string& why) = 0;
};

class ContinuousBatch {
 public:
  /// The first tokens of a text come before those of texts that have read so many, which take turns
  /// of so many: so a short text does not wait for long ones.
  static constexpr std::int64_t kTurn = 64;

  /// At most `rows` texts in a step. Keeps states for fewer rows too, because a step of one row
  /// costs less than one of many. The model must outlive it.
  /// Errors    as TokenStates.
  ContinuousBatch(const LoadedModel& model, std::int64_t rows);

  const Tokenizer& tokenizer() const { return states().tokenizer(); }

  /// It reads from the next step on, or from when there is room.
  void add(std::shared_ptr<BatchText> text);
  /// Each text that has a row reads a token. False if there is none that reads: then nothing
  /// changes before one is added or has another state.
  bool step();

  /// Texts with a row, and those without.
  std::int64_t reading() const;
  std::int64_t waiting() const { return std::ssize(fresh_) + std::ssize(others_); }
  /// Rows of the states that are in use.
  std::int64_t rows() const { return states().rows(); }

 private:
  struct Entry {
    std::shared_ptr<BatchText> text;
    std::int32_t token;                   // that it reads next
    std::optional<TextState> state = {};  // while it has no row; nothing: the blank one
    std::int64_t read = 0, turn = 0;      // tokens, in all and since it got its row
    bool asks = false;                    // in this step

    bool reads() const { return text->state() == BatchText::State::kReads; }
  };

  TokenStates& states() const { return *sizes_[size_]; }
  std::deque<Entry>& queue_of(const Entry& entry) { return entry.read < kTurn ? fresh_ : others_; }
  void free_rows();
  void give_way();
  void choose_size();
  void fill_rows(std::deque<Entry>& queue);
  void place(std::size_t row, Entry entry);
  Entry lift(std::size_t row);
  void lift_to_queue(std::size_t row);
  void use(std::size_t row, std::span<const float> log_prob);

  std::vector<std::unique_ptr<TokenStates>> sizes_;  // by rows, the fewest first
  std::size_t size_ = 0;                             // which of them is in use
  int steps_too_large_ = 0;                          // for which a smaller one would have done
  std::vector<std::optional<Entry>> rows_;           // of states()
  std::deque<Entry> fresh_, others_;                 // that wait: have read little, or much
  TextState blank_;
};

}  // namespace unroll
