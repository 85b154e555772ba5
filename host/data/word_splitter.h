/// Splits a line that someone has typed into words as the sentences have them that a tagger was
/// trained on: what is a word there stays whole.
#pragma once

#include <string_view>
#include <vector>

#include "host/data/tagged_corpus.h"

namespace unroll {

struct TypedWord {
  std::string_view text;    // within the line
  bool space_after = true;  // white space follows, or the end of the line

  bool operator==(const TypedWord&) const = default;
};

/// White space separates words. What it leaves is split further unless it is a training word, in
/// this or in lower case: punctuation at its ends, clitics at its end that are training words
/// ("n't", "'s"), and hyphens and slashes within it if they and all parts between them are training
/// words. An abbreviation of single letters keeps its last full stop ("U.S.").
///
/// The line is well-formed UTF-8. A line of white space has no words.
std::vector<TypedWord> split_words(std::string_view line, const TaggingVocabulary& vocabulary);

}  // namespace unroll
