/// A text that is drawn, whole or as a stream of server-sent events.
#include <fmt/format.h>

#include "host/infer/generate.h"
#include "host/serve/text_parts.h"
#include "host/serve/utf8_pieces.h"

namespace unroll::serve {
namespace {

class GenerateText final : public RequestText {
 public:
  GenerateText(TextContext context, const GenerateRequest& request,
               std::vector<std::int32_t> prompt, HostSampler& sampler)
      : RequestText(std::move(context)),
        request_(request),
        prompt_(std::move(prompt)),
        sampler_(sampler),
        writer_(tokenizer()),
        until_(request.stop),
        text_(writer_.begin(request.prompt)) {
    if (request.no_unknown) request_.sampling.excluded_id = tokenizer().unk().value_or(-1);
  }

  bool asks() const override { return read_ >= prompt_.size(); }

  TextStep next(std::span<const float> log_prob) override {
    if (read_ < prompt_.size()) return TextStep::read(prompt_[read_++]);
    const std::int32_t id = sampler_.draw(log_prob, request_.sampling, std::int64_t(read_));
    ++read_;
    std::string piece = until_.next(writer_.next(id));
    const bool stops = until_.stopped();
    const bool last = stops || read_ == prompt_.size() + std::size_t(request_.length);
    if (last) piece += until_.rest();
    tell(id, log_prob[std::size_t(id)], piece, last);
    if (!last) return TextStep::read(id);
    end(stops ? "stop" : "length");
    return TextStep::end();
  }

  void fail(const std::string& why) override {
    if (!request_.stream) return RequestText::fail(why);
    reply().stream(event({{"error", why}}), true);
  }

 private:
  static std::string event(const Json& json) { return "data: " + to_text(json) + "\n\n"; }

  void tell(std::int32_t id, float log_prob, const std::string& piece, bool last) {
    if (!request_.stream) {
      text_ += piece;
      tokens_.push_back(json_text(tokenizer(), id));
      log_probs_.push_back(log_prob);
      return;
    }
    Json json = token_json(tokenizer(), id);
    json["logprob"] = log_prob;
    std::string text = pieces_.next(piece);
    if (last) text += pieces_.rest();
    json["text"] = std::move(text);
    reply().stream(event(json), false);
  }

  void end(const char* finish) {
    Json json;
    if (!request_.stream)
      json = {{"text", text_}, {"tokens", std::move(tokens_)}, {"logprob", std::move(log_probs_)}};
    json["finish"] = finish;
    json["seed"] = request_.sampling.seed;
    if (request_.stream)
      reply().stream(event(json) + "data: [DONE]\n\n", true);
    else
      reply().answer({.body = to_text(json)});
  }

  GenerateRequest request_;
  std::vector<std::int32_t> prompt_;
  HostSampler& sampler_;
  TokenWriter writer_;
  TextUntil until_;
  std::string text_;      // with the prompt
  Utf8Pieces pieces_;     // of a stream
  std::size_t read_ = 0;  // tokens of the prompt, and drawn ones
  Json tokens_ = Json::array(), log_probs_ = Json::array();
};

}  // namespace

std::shared_ptr<BatchText> generate_text(TextContext context, const GenerateRequest& request,
                                         const Limits& limits, HostSampler& sampler) {
  EncodedText prompt = encode(context.tokenizer, request.prompt, "prompt", limits.tokens);
  return std::make_shared<GenerateText>(std::move(context), request, std::move(prompt.ids),
                                        sampler);
}

}  // namespace unroll::serve
