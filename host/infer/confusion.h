/// Which classes were taken for which, and the scores that follow.
#pragma once

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

namespace unroll {

/// Where nothing is known, 0 / 0 is 0: the precision of a class that was never predicted, the
/// recall of one that no text has, and the F1 of one for which both are 0.
struct ClassScore {
  std::int64_t texts = 0;      // that have this class
  std::int64_t predicted = 0;  // that were given this class
  std::int64_t hits = 0;       // both

  double precision() const { return ratio(hits, predicted); }
  double recall() const { return ratio(hits, texts); }
  /// The harmonic mean of both.
  double f1() const { return ratio(2 * hits, texts + predicted); }

 private:
  static double ratio(std::int64_t part, std::int64_t whole) {
    return whole == 0 ? 0 : double(part) / double(whole);
  }
};

/// Memory grows with the pairs that occur, not with the square of the classes.
class ConfusionTable {
 public:
  explicit ConfusionTable(std::int32_t classes) : scores_(std::size_t(classes)) {}

  /// Counts a text of one class that was given another or the same.
  /// Errors    std::out_of_range unless both are classes; nothing is counted then.
  void add(std::int32_t its_class, std::int32_t predicted);

  std::int64_t count(std::int32_t its_class, std::int32_t predicted) const;
  /// Errors    std::out_of_range as add().
  const ClassScore& score(std::int32_t one) const { return scores_.at(std::size_t(one)); }
  std::int32_t classes() const { return std::int32_t(scores_.size()); }

  std::int64_t texts() const { return texts_; }
  /// The share of texts that were given their class; 0 without texts.
  double accuracy() const;
  /// The mean F1 of the classes that occur, as a text's or as a prediction; 0 without texts.
  double macro_f1() const;

 private:
  std::map<std::pair<std::int32_t, std::int32_t>, std::int64_t> counts_;
  std::vector<ClassScore> scores_;
  std::int64_t texts_ = 0, hits_ = 0;
};

}  // namespace unroll
