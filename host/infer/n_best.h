/// N-best lists: hypotheses for one sentence each, in the text forms of Moses and Kaldi. What a
/// column means only the format says: a hypothesis may begin with a number.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace unroll {

enum class NBestFormat : std::uint8_t {
  kMoses,  // id ||| text ||| features ||| score, and perhaps more columns
  kKaldi,  // id-N text: the Nth hypothesis of a list, without scores
};

struct Hypothesis {
  std::string id;    // the first column
  std::string text;  // without blanks around it
  double score = 0;  // of kMoses
  std::string features = {};
  std::vector<std::string> more = {};  // columns behind the score
  // What a model says (rescore.h).
  double log_prob = 0;     // ln P of the text and its end
  std::int64_t words = 0;  // separated by blanks
};

/// Hypotheses that stand side by side and have one id.
struct NBestList {
  std::string id;
  std::vector<Hypothesis> hypotheses;  // at least one
};

/// Errors    std::runtime_error, which does not name the line, if it is not in the format: without
///           an id, with too few columns, or with a score that is not a finite number.
Hypothesis parse_hypothesis(NBestFormat format, std::string_view line);

/// The line, without a newline, as parse_hypothesis() reads it.
std::string to_line(NBestFormat format, const Hypothesis& hypothesis);

/// The id of the hypothesis' list.
std::string list_id(NBestFormat format, const Hypothesis& hypothesis);

/// Puts lines together to lists.
class NBestReader {
 public:
  explicit NBestReader(NBestFormat format) : format_(format) {}

  /// Takes a line. The list before it, if the line begins another.
  /// Errors    std::runtime_error as parse_hypothesis(), or if the line has not as many columns as
  ///           the first.
  std::optional<NBestList> add(std::string_view line);
  /// The last list, if there is one.
  std::optional<NBestList> end();

 private:
  NBestFormat format_;
  std::size_t columns_ = 0;  // of the first line; 0: none yet
  NBestList list_;
};

/// The words of a text, separated by blanks.
std::vector<std::string_view> words_of(std::string_view text);

}  // namespace unroll
