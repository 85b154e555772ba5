/// Reads the file of a tokenizer that a flag names.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "host/data/tokenizer.h"

namespace unroll::cli {

/// vocab.txt, or tokenizer.json of byte pairs, after `convert` has made it ours if it is set. Bytes
/// need none, and the file is not looked at.
/// Errors    std::runtime_error as Tokenizer::parse(), or if it cannot be read.
Tokenizer read_tokenizer_file(TokenizerKind kind, const std::filesystem::path& file,
                              const std::function<std::string(std::string_view)>& convert = {});

}  // namespace unroll::cli
