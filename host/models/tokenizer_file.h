/// The tokenizer of a checkpoint: the `tokenizer` member of config.json, and vocab.txt or, for byte
/// pairs, tokenizer.json.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>

#include "host/base/strict_json.h"
#include "host/data/tokenizer.h"
#include "host/models/checkpoint.h"
#include "host/models/task.h"

namespace unroll {

nlohmann::json tokenizer_to_json(TokenizerKind kind);
/// Errors    std::runtime_error if the member is not a tokenizer's.
TokenizerKind tokenizer_kind_from(const JsonObject& json);

/// `json`: the member of the checkpoint's configuration.
/// Errors    std::runtime_error as tokenizer_kind_from() and Tokenizer::parse(), or if its file is
///           missing or has not `vocabulary` tokens.
Tokenizer read_tokenizer(const JsonObject& json, const Checkpoint& checkpoint,
                         std::int64_t vocabulary);

/// Adds the file that read_tokenizer() reads. Bytes have none.
void add_tokenizer(const Tokenizer& tokenizer, TaskFiles& files);

}  // namespace unroll
