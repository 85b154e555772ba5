#include "host/cli/next_tokens.h"

#include <fmt/format.h>

#include <cmath>
#include <utility>

#include "host/infer/predict.h"
#include "host/infer/token_json.h"

namespace unroll::cli {

std::vector<LikelyToken> likely_tokens(const NextQuestion& question,
                                       std::span<const float> log_prob) {
  std::vector<LikelyToken> tokens;
  for (const std::int32_t id : most_probable(log_prob, std::size_t(question.count)))
    tokens.push_back(
        {.id = id,
         .label = question.tokenizer.label(id),
         .probability = std::exp(double(log_prob[std::size_t(id)])),
         .truth = question.truth.probability(question.history, question.tokenizer.text(id))});
  return tokens;
}

std::string next_lines(const std::vector<LikelyToken>& tokens) {
  std::string lines;
  for (const LikelyToken& token : tokens)
    lines += fmt::format("{:.6f}  {}{}\n", token.probability, token.label, beside(token.truth));
  return lines;
}

Json next_json(const NextQuestion& question, const std::vector<LikelyToken>& tokens) {
  Json json = {{"history", question.history}, {"next", Json::array()}};
  for (const LikelyToken& token : tokens) {
    Json entry = {{"id", token.id},
                  {"token", json_text(question.tokenizer, token.id)},
                  {"probability", token.probability}};
    if (token.truth) entry["true_probability"] = *token.truth;
    json["next"].push_back(std::move(entry));
  }
  return json;
}

std::string beside(const std::optional<double>& truth) {
  return truth ? fmt::format("  (true {:.6f})", *truth) : "";
}

}  // namespace unroll::cli
