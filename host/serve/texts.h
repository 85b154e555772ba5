/// The texts behind requests: what each reads, and what it answers.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "host/data/tokenizer.h"
#include "host/infer/continuous_batch.h"
#include "host/infer/host_sampler.h"
#include "host/infer/line_scores.h"
#include "host/serve/http.h"
#include "host/serve/request.h"

namespace unroll::serve {

/// What is kept while a request is under way, and counts it.
using Ticket = std::shared_ptr<void>;

/// What texts of all kinds have.
struct TextContext {
  Tokenizer tokenizer;
  std::shared_ptr<HttpReply> reply;
  Ticket ticket;
};

/// A beginning of a text in ids, and the words or characters that the model does not know, each
/// once.
struct EncodedText {
  std::vector<std::int32_t> ids;
  std::vector<std::string> unknown;
};

/// `field` is the text's name in errors.
/// Errors    RequestError 413 if the text has more tokens than `most` for certain: a quick look, so
///           that no client keeps the server busy with texts that are too long.
void require_tokens(const Tokenizer& tokenizer, std::string_view text, const std::string& field,
                    std::int64_t most);

/// Errors    RequestError 422 if it is not what the tokenizer reads, 413 if it has more tokens than
///           `most`.
EncodedText encode(const Tokenizer& tokenizer, const std::string& text, const std::string& field,
                   std::int64_t most);

/// Errors    RequestError: those of encode(); 422 if the word is no token; 413 if there were more
///           entries than `limits` allow.
std::shared_ptr<BatchText> predict_text(TextContext context, const PredictRequest& request,
                                        const Limits& limits);

/// The texts of a request are read side by side, on so many lanes.
/// Errors    RequestError 422 if a text is not one line, or, if the request is strict, has what the
///           model does not know; 413 if there are too many tokens.
std::vector<std::shared_ptr<BatchText>> score_texts(TextContext context,
                                                    const ScoreRequest& request,
                                                    const Limits& limits);

/// The sampler must outlive it. Errors: those of encode().
std::shared_ptr<BatchText> generate_text(TextContext context, const GenerateRequest& request,
                                         const Limits& limits, HostSampler& sampler);

}  // namespace unroll::serve
