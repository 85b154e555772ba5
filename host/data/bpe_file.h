/// Byte-pair encodings in the form of Hugging Face's tokenizer.json. Read are byte-level encodings
/// (GPT-2's, Llama 3's and Qwen 2's patterns of words) and those of SentencePiece, with U+2581 for
/// a blank. What another part of a file would do to a text, and what is not known here, is refused
/// by name. Not applied, because they are for a transformer's inputs and not for texts: truncation,
/// padding, and the tokens that a post-processor puts around a text.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "host/data/bpe.h"

namespace unroll {

/// The most bytes of a file, so that a hostile one does not fill the memory.
inline constexpr std::int64_t kMostTokenizerBytes = std::int64_t{1} << 26;

/// `name` is how errors call the text.
/// Errors    std::runtime_error, on one line, if it is larger than kMostTokenizerBytes, is not
///           JSON, not a byte-pair encoding, contradicts itself, or has something that cannot be
///           applied.
std::shared_ptr<const Bpe> parse_tokenizer_json(std::string_view text, const std::string& name);

/// A file with a byte-level encoding of GPT-2's pattern, which has no added tokens.
std::string tokenizer_json(const BpeParts& parts);

}  // namespace unroll
