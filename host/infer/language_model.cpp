/// The public class: texts in, texts and numbers out.
#include "unroll/language_model.h"

#include <fmt/format.h>

#include <cmath>
#include <optional>
#include <stdexcept>
#include <utility>

#include "host/base/utf8.h"
#include "host/infer/generate.h"
#include "host/infer/predict.h"
#include "host/infer/score.h"
#include "host/infer/text_ids.h"
#include "unroll/device.h"

namespace unroll {
namespace {

using Ids = std::vector<std::int32_t>;

/// The same sampler for the same draws.
bool same(const std::optional<SamplingOptions>& a, const std::optional<SamplingOptions>& b) {
  if (!a || !b) return !a && !b;
  return a->temperature == b->temperature && a->top_k == b->top_k && a->top_p == b->top_p &&
         a->min_p == b->min_p && a->seed == b->seed && a->excluded_id == b->excluded_id;
}

}  // namespace

/// A graph packs weights, so the one that was used last is kept.
class KeptStates {
 public:
  explicit KeptStates(std::string name) { options_.name = std::move(name); }

  TokenStates& get(const LoadedModel& model, std::size_t rows,
                   const std::optional<SamplingOptions>& sampler) {
    if (!states_ || std::size_t(options_.rows) != rows || !same(options_.sampler, sampler)) {
      states_.reset();
      options_.rows = std::int64_t(rows);
      options_.sampler = sampler;
      states_ = std::make_unique<TokenStates>(model, options_);
    }
    return *states_;
  }

 private:
  TokenStates::Options options_;
  std::unique_ptr<TokenStates> states_;
};

struct NextTokens::Values {
  Tokenizer tokenizer;
  std::vector<float> log_prob;
};

NextTokens::NextTokens(std::shared_ptr<const Values> values) : values_(std::move(values)) {}

std::vector<NextToken> NextTokens::most_probable(std::size_t count) const {
  std::vector<NextToken> tokens;
  for (const std::int32_t id : unroll::most_probable(values_->log_prob, count))
    tokens.push_back(
        {values_->tokenizer.text(id), std::exp(double(values_->log_prob[std::size_t(id)]))});
  return tokens;
}

double NextTokens::probability(std::string_view token) const {
  return std::exp(log_probability(token));
}

double NextTokens::log_probability(std::string_view token) const {
  const Tokenizer& tokenizer = values_->tokenizer;
  std::optional<std::int32_t> id = tokenizer.find(token);
  if (const auto unk = tokenizer.unk(); !id && unk && tokenizer.text(*unk) == token) id = unk;
  if (!id)
    throw std::invalid_argument(
        fmt::format("token: got {}, expected one of the {} of the model's vocabulary",
                    in_quotes(std::string(token)), size()));
  return double(values_->log_prob[std::size_t(*id)]);
}

std::size_t NextTokens::size() const {
  return values_->log_prob.size();
}

double TextScore::perplexity() const {
  return std::exp(-log_probability / double(tokens.size()));
}

struct LanguageModel::Parts {
  LoadedModel model;
  std::function<void(const std::string&)> warn;
  const LanguageModelTask& task = task_of<LanguageModelTask>(model);
  KeptStates reading{"read"}, drawing{"draw"};
  Scorer scorer{model};

  const Tokenizer& tokenizer() const { return task.tokenizer(); }
  std::vector<Ids> encode(const std::vector<std::string>& texts) const {
    std::vector<Ids> ids;
    for (const std::string& text : texts) {
      if (const std::size_t at = find_invalid_utf8(text);
          at < text.size() && tokenizer().kind() != TokenizerKind::kByte)
        throw std::invalid_argument(
            fmt::format("text: got a byte {} that is not UTF-8, expected a text of UTF-8", at));
      ids.push_back(text_ids(tokenizer(), text, warn));
    }
    return ids;
  }
};

LanguageModel::LanguageModel(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
LanguageModel::LanguageModel(LanguageModel&& other) noexcept = default;
LanguageModel& LanguageModel::operator=(LanguageModel&& other) noexcept = default;
LanguageModel::~LanguageModel() = default;

LanguageModel LanguageModel::load(const std::filesystem::path& path,
                                  const LanguageModelOptions& options) {
  CudaOptions cuda;
  cuda.note = options.warn;
  const OpenedDevice device = open_device(options.device, options.threads, cuda);
  return LanguageModel(std::unique_ptr<Parts>(
      new Parts{load_model(path, device.backend, options.warn), options.warn}));
}

NextTokens LanguageModel::next(std::string_view history) {
  return next_batch({std::string(history)})[0];
}

std::vector<NextTokens> LanguageModel::next_batch(const std::vector<std::string>& histories) {
  std::vector<NextTokens> result;
  if (histories.empty()) return result;
  const std::vector<Ids> ids = parts_->encode(histories);
  TokenStates& states = parts_->reading.get(parts_->model, ids.size(), {});
  for (std::vector<float>& log_prob : predict(states, ids))
    result.push_back(NextTokens(std::make_shared<const NextTokens::Values>(
        NextTokens::Values{parts_->tokenizer(), std::move(log_prob)})));
  return result;
}

TextScore LanguageModel::score(std::string_view text) {
  return score_batch({std::string(text)})[0];
}

std::vector<TextScore> LanguageModel::score_batch(const std::vector<std::string>& texts) {
  const std::vector<Ids> ids = parts_->encode(texts);
  const std::vector<std::vector<float>> log_prob = parts_->scorer.score(ids);
  std::vector<TextScore> scores(texts.size());
  for (std::size_t k = 0; k < texts.size(); ++k)
    for (std::size_t t = 0; t < ids[k].size(); ++t) {
      const double value = double(log_prob[k][t]);
      scores[k].tokens.push_back({parts_->tokenizer().text(ids[k][t]), value});
      scores[k].log_probability += value;
    }
  return scores;
}

std::string LanguageModel::generate(const GenerateOptions& options) {
  return generate_batch({options.prompt}, options)[0];
}

std::vector<std::string> LanguageModel::generate_batch(const std::vector<std::string>& prompts,
                                                       const GenerateOptions& options) {
  std::vector<std::string> texts;
  if (prompts.empty()) return texts;
  const std::vector<Ids> ids = parts_->encode(prompts);
  const SamplingOptions sampler{
      .temperature = options.temperature,
      .top_k = options.top_k,
      .top_p = options.top_p,
      .min_p = options.min_p,
      .seed = options.seed,
      .excluded_id = options.unknown ? -1 : parts_->tokenizer().unk().value_or(-1)};
  TokenStates& states = parts_->drawing.get(parts_->model, ids.size(), sampler);
  std::vector<TokenWriter> writers;
  for (const std::string& prompt : prompts) {
    writers.emplace_back(parts_->tokenizer());
    texts.push_back(writers.back().begin(prompt));
  }
  unroll::generate(states, ids, options.length, [&](std::int64_t row, std::int32_t token) {
    texts[std::size_t(row)] += writers[std::size_t(row)].next(token);
    return true;
  });
  return texts;
}

std::size_t LanguageModel::vocabulary() const {
  return std::size_t(parts_->tokenizer().size());
}

std::string LanguageModel::describe() const {
  return parts_->task.describe();
}

}  // namespace unroll
