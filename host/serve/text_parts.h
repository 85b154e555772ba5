/// What the texts of requests share.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "host/infer/token_json.h"
#include "host/serve/texts.h"

namespace unroll::serve {

using Json = nlohmann::ordered_json;

/// On one line. Bytes that are not UTF-8, which a model of bytes draws, become U+FFFD.
inline std::string to_text(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

/// {"token", "id"}
inline Json token_json(const Tokenizer& tokenizer, std::int32_t id) {
  return {{"token", json_text(tokenizer, id)}, {"id", id}};
}

/// A text that is a whole request.
class RequestText : public BatchText {
 public:
  explicit RequestText(TextContext context) : context_(std::move(context)) {}

  State state() const override {
    return context_.reply->gone()   ? State::kLeaves
           : context_.reply->full() ? State::kWaits
                                    : State::kReads;
  }
  void fail(const std::string& why) override { context_.reply->answer(error_answer(500, why)); }

 protected:
  const Tokenizer& tokenizer() const { return context_.tokenizer; }
  HttpReply& reply() { return *context_.reply; }

 private:
  TextContext context_;
};

}  // namespace unroll::serve
