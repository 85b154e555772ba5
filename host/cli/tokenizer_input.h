/// Reads the file of a tokenizer that a flag names.
#pragma once

#include <filesystem>

#include "host/data/tokenizer.h"

namespace unroll::cli {

/// vocab.txt, or tokenizer.json of byte pairs. Bytes need none, and the file is not looked at.
/// Errors    std::runtime_error as Tokenizer::parse(), or if it cannot be read.
Tokenizer read_tokenizer_file(TokenizerKind kind, const std::filesystem::path& file);

}  // namespace unroll::cli
