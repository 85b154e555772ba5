/// The vocabulary of another program as ours: its special tokens get our names, and its lines may
/// end in CR LF.
#pragma once

#include <string>
#include <string_view>

#include "host/data/tokenizer.h"

namespace unroll {

/// What another program calls them; empty: as we do.
struct SpecialTokens {
  std::string unknown;   // stands for words that are not in the vocabulary: here <unk>
  std::string line_end;  // here <eos>, or the newline where characters are tokens
};

/// The text that Tokenizer::parse() reads, of words or characters. `name` is how errors call it.
/// Errors    std::runtime_error if no line is one of these names.
std::string our_vocabulary(std::string_view text, TokenizerKind kind, const SpecialTokens& special,
                           const std::string& name);

}  // namespace unroll
