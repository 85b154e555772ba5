/// How probable texts are, each as a line. The texts of a request are on several lanes: each lane
/// reads a text, and then the next that no other has begun.
#include <fmt/format.h>

#include <algorithm>

#include "host/base/utf8.h"
#include "host/serve/text_parts.h"

namespace unroll::serve {
namespace {

/// A request. Only the model's thread uses it once the lanes read.
struct ScoreJob {
  TextContext context;
  bool tokens = false;  // the scores of these are asked for
  std::vector<LineText> texts = {};
  std::vector<std::string> scores = {};  // in JSON
  std::size_t begun = 0, scored = 0;     // texts
  bool failed = false;
};

std::string score_json(const ScoreJob& job, const LineText& text,
                       const std::vector<float>& log_prob) {
  ScoreSums sums;
  sums.add(text, log_prob);
  Json json = {{"logprob", sums.log_prob},
               {"tokens", sums.tokens},
               {"ppl", sums.perplexity()},
               {"oov", sums.unknown}};
  if (job.tokens) {
    json["token_scores"] = Json::array();
    for (std::size_t t = 0; t < text.ids.size(); ++t) {
      Json token = token_json(job.context.tokenizer, text.ids[t]);
      token["logprob"] = log_prob[t];
      json["token_scores"].push_back(std::move(token));
    }
  }
  return to_text(json);
}

void answer_if_done(ScoreJob& job) {
  if (job.scored < job.texts.size()) return;
  job.context.reply->answer(
      {.body = fmt::format("{{\"scores\":[{}]}}", fmt::join(job.scores, ","))});
}

class ScoreLane final : public BatchText {
 public:
  explicit ScoreLane(std::shared_ptr<ScoreJob> job) : job_(std::move(job)), text_(job_->begun++) {}

  State state() const override {
    return job_->failed || job_->context.reply->gone() ? State::kLeaves : State::kReads;
  }
  bool asks() const override { return true; }

  TextStep next(std::span<const float> log_prob) override {
    const std::vector<std::int32_t>& ids = job_->texts[text_].ids;
    if (log_prob_.size() < ids.size()) {
      const std::int32_t id = ids[log_prob_.size()];
      log_prob_.push_back(log_prob[std::size_t(id)]);
      if (log_prob_.size() < ids.size()) return TextStep::read(id);
    }
    job_->scores[text_] = score_json(*job_, job_->texts[text_], log_prob_);
    ++job_->scored;
    answer_if_done(*job_);
    if (job_->begun == job_->texts.size()) return TextStep::end();
    text_ = job_->begun++;
    log_prob_.clear();
    return TextStep::begin();
  }

  void fail(const std::string& why) override {
    job_->failed = true;
    job_->context.reply->answer(error_answer(500, why));
  }

 private:
  std::shared_ptr<ScoreJob> job_;
  std::size_t text_;  // of the job's
  std::vector<float> log_prob_;
};

/// A line's end need not be written, as in a file whose last line has none.
LineText line_of(const Tokenizer& tokenizer, std::string_view text, const std::string& field) {
  if (text.ends_with('\n')) text.remove_suffix(1);
  if (const std::size_t at = text.find('\n'); at != text.npos)
    throw RequestError(
        422, fmt::format("{}: got a newline at byte {}, expected one line", field, at + 1));
  try {
    return line_text(tokenizer, text);
  } catch (const std::runtime_error& error) {
    throw RequestError(422, fmt::format("{}: {}", field, error.what()));
  }
}

}  // namespace

std::vector<std::shared_ptr<BatchText>> score_texts(TextContext context,
                                                    const ScoreRequest& request,
                                                    const Limits& limits) {
  const auto job = std::make_shared<ScoreJob>(ScoreJob{std::move(context), request.tokens});
  std::int64_t tokens = 0;
  for (std::size_t k = 0; k < request.texts.size(); ++k) {
    const std::string field = request.texts.size() == 1 ? "text" : fmt::format("texts[{}]", k);
    require_tokens(job->context.tokenizer, request.texts[k], field, limits.tokens - tokens);
    LineText text = line_of(job->context.tokenizer, request.texts[k], field);
    if (request.strict && !text.first_unknown.empty())
      throw RequestError(
          422,
          fmt::format("{}: {} is not in the model's vocabulary, expected only what is (strict)",
                      field, in_quotes(text.first_unknown)));
    tokens += std::ssize(text.ids);
    if (tokens > limits.tokens)
      throw RequestError(413, fmt::format("{}: got {} tokens up to here, expected at most {}",
                                          field, tokens, limits.tokens));
    job->texts.push_back(std::move(text));
  }
  job->scores.resize(job->texts.size());
  answer_if_done(*job);  // of no texts
  std::vector<std::shared_ptr<BatchText>> lanes;
  while (job->begun < std::min(job->texts.size(), std::size_t(limits.lanes)))
    lanes.push_back(std::make_shared<ScoreLane>(job));
  return lanes;
}

}  // namespace unroll::serve
