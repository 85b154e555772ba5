/// Learns a byte-level byte-pair encoding from a text: counts its words (GPT-2's pattern), then
/// merges the pair of tokens that is the most frequent within words, again and again. Of pairs that
/// are equally frequent the one of the smaller left id is merged first, then that of the smaller
/// right id. The merges are those that BpeTrainer of the PyPI package `tokenizers` learns.
#pragma once

#include <cstdint>

#include "host/data/bpe.h"
#include "host/data/text_reader.h"

namespace unroll {

inline constexpr std::int64_t kFewestBpeTokens = 257;  // the bytes, and one merge
inline constexpr std::int64_t kMostBpeTokens = 1'000'000;

/// An encoding of `size` tokens, or of fewer if the text has no more pairs: the bytes first, then
/// one for each merge.
/// Errors    std::invalid_argument unless kFewestBpeTokens <= size <= kMostBpeTokens;
///           std::runtime_error as TextReader and WordStream, or if the text is empty; Interrupted.
BpeParts train_bpe(TextSource text, std::int64_t size);

}  // namespace unroll
