/// The tokenizer of a checkpoint: the `tokenizer` member of config.json, and vocab.txt or, for byte
/// pairs, tokenizer.json.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "host/base/strict_json.h"
#include "host/data/tokenizer.h"
#include "host/models/checkpoint.h"
#include "host/models/task.h"

namespace unroll {

/// `start`: as Tokenizer::given_start().
nlohmann::json tokenizer_to_json(TokenizerKind kind, const std::string& start = "");
/// Errors    std::runtime_error if the member is not a tokenizer's.
TokenizerKind tokenizer_kind_from(const JsonObject& json);
std::string tokenizer_start_from(const JsonObject& json);

/// `json`: the member of the checkpoint's configuration.
/// Errors    std::runtime_error as tokenizer_kind_from() and Tokenizer::parse(), or if its file is
///           missing or has not `vocabulary` tokens.
Tokenizer read_tokenizer(const JsonObject& json, const Checkpoint& checkpoint,
                         std::int64_t vocabulary);

/// Adds the file that read_tokenizer() reads. Bytes have none.
void add_tokenizer(const Tokenizer& tokenizer, TaskFiles& files);

}  // namespace unroll
