/// The distribution after a text, and on request after each of its tokens.
#include <fmt/format.h>

#include <cmath>

#include "host/base/utf8.h"
#include "host/infer/predict.h"
#include "host/serve/text_parts.h"

namespace unroll::serve {
namespace {

class PredictText final : public RequestText {
 public:
  PredictText(TextContext context, const PredictRequest& request, EncodedText text,
              std::optional<std::int32_t> word)
      : RequestText(std::move(context)), request_(request), text_(std::move(text)), word_(word) {}

  bool asks() const override { return request_.each || read_ == text_.ids.size(); }

  TextStep next(std::span<const float> log_prob) override {
    const bool last = read_ == text_.ids.size();
    Json next;
    if (last || request_.each) next = most_probable_json(log_prob);
    if (request_.each) add_step(log_prob, next);
    if (!last) return TextStep::read(text_.ids[read_++]);
    Json json = {{"text", request_.text}, {"unknown", text_.unknown}, {"next", std::move(next)}};
    if (word_) json["word"] = probability_json(log_prob, *word_);
    std::string body = to_text(json);
    if (request_.each) {
      body.pop_back();  // the brace
      body += ",\"steps\":[" + steps_ + "]}";
    }
    reply().answer({.body = std::move(body)});
    return TextStep::end();
  }

 private:
  Json entry(std::span<const float> log_prob, std::int32_t id) const {
    Json json = token_json(tokenizer(), id);
    json["probability"] = std::exp(double(log_prob[std::size_t(id)]));
    return json;
  }
  Json probability_json(std::span<const float> log_prob, std::int32_t id) const {
    Json json = entry(log_prob, id);
    json["rank"] = rank_of(log_prob, id);
    return json;
  }
  Json most_probable_json(std::span<const float> log_prob) const {
    Json list = Json::array();
    for (const std::int32_t id : most_probable(log_prob, std::size_t(request_.top)))
      list.push_back(entry(log_prob, id));
    return list;
  }

  /// A step is a token, whose probability was known before it was read, and what may follow it.
  /// Written at once, because as text it takes a fraction of the memory.
  void add_step(std::span<const float> log_prob, const Json& next) {
    if (read_ > 0) {
      step_["next"] = next;
      steps_ += (steps_.empty() ? "" : ",") + to_text(step_);
    }
    if (read_ < text_.ids.size()) step_ = probability_json(log_prob, text_.ids[read_]);
  }

  PredictRequest request_;
  EncodedText text_;
  std::optional<std::int32_t> word_;
  std::size_t read_ = 0;
  Json step_;          // of the token that is read
  std::string steps_;  // in JSON, with commas between
};

/// The token of a request's word.
std::int32_t word_id(const Tokenizer& tokenizer, const std::string& word) {
  if (const auto id = tokenizer.find(word)) return *id;
  throw RequestError(
      422, fmt::format("word: got {}, expected one of the {} tokens of the model's vocabulary",
                       in_quotes(word), tokenizer.size()));
}

}  // namespace

std::shared_ptr<BatchText> predict_text(TextContext context, const PredictRequest& request,
                                        const Limits& limits) {
  EncodedText text = encode(context.tokenizer, request.text, "text", limits.tokens);
  std::optional<std::int32_t> word;
  if (request.word) word = word_id(context.tokenizer, *request.word);
  const std::int64_t entries = request.top * (std::ssize(text.ids) + 1);
  if (request.each && entries > limits.entries)
    throw RequestError(
        413, fmt::format("each: got {} tokens with the {} most probable after each, expected at "
                         "most {} entries",
                         text.ids.size(), request.top, limits.entries));
  return std::make_shared<PredictText>(std::move(context), request, std::move(text), word);
}

}  // namespace unroll::serve
