#include "host/infer/token_states.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "host/models/stored_variables.h"
#include "unroll/backend.h"

namespace unroll {
namespace {

std::int64_t checked_rows(std::int64_t rows) {
  if (rows < 1) throw std::invalid_argument(fmt::format("rows: got {}, expected 1 or more", rows));
  return rows;
}

/// Calls visit(where a row lies in a carried variable's memory, how many values it has there).
template <typename Visit>
void for_each_part(const View& variable, std::int64_t row, Visit&& visit) {
  // [D, N, R]: a row of each direction.
  const std::int64_t directions = variable.shape[0], rows = variable.shape[1],
                     width = variable.shape[2];
  for (std::int64_t d = 0; d < directions; ++d)
    visit(variable.as<float>() + (d * rows + row) * width, std::size_t(width));
}

}  // namespace

void fail_not_finite() {
  throw std::runtime_error(
      "the model gives probabilities of the next token that are not numbers, expected finite ones");
}

TokenStates::TokenStates(const LoadedModel& model, const Options& options)
    : task_(task_of<LanguageModelTask>(model)),
      rows_(checked_rows(options.rows)),
      graph_(task_.config(), options.sampler, rows_, fmt::format("{}-{}", options.name, rows_)),
      session_(graph_.graph, model.store),
      resting_(std::size_t(rows_)),
      has_results_(std::size_t(rows_)),
      input_(std::size_t(rows_)) {
  fetches_ = graph_.fetches;
  if (options.drawn_log_prob && options.sampler) fetches_.push_back(graph_.token_log_prob);
  begin();
}

void TokenStates::begin() {
  clear_variables(graph_.carried, session_.variables());
  std::ranges::fill(resting_, std::nullopt);
  session_.set_step(0);
  advance(std::vector<std::int32_t>(std::size_t(rows_), tokenizer().start()));
}

void TokenStates::advance(std::span<const std::int32_t> tokens, bool results) {
  if (std::ssize(tokens) != rows_)
    throw std::invalid_argument(
        fmt::format("tokens: got {}, expected one for each of {} rows", tokens.size(), rows_));
  for (const std::int32_t token : tokens)
    if (token != kNoToken && (token < 0 || token >= tokenizer().size()))
      throw std::invalid_argument(
          fmt::format("token: got {}, expected an id below {}", token, tokenizer().size()));
  for (std::size_t row = 0; row < tokens.size(); ++row) {
    const bool reads = tokens[row] != kNoToken;
    if (!reads && !resting_[row]) resting_[row] = read_row(std::int64_t(row));
    if (reads && resting_[row]) {
      write_row(std::int64_t(row), *resting_[row]);
      resting_[row].reset();
    }
    input_[row] = reads ? tokens[row] : tokenizer().start();
    has_results_[row] = reads && results;
  }
  has_log_prob_ = false;
  drawn_.clear();
  drawn_log_prob_.clear();
  const Feed feed(graph_.input, std::span<const std::int32_t>(input_));
  const std::span<const Tensor> fetches(fetches_);
  session_.run(results ? fetches : fetches.subspan(1, 1), std::span(&feed, 1));
}

std::span<const float> TokenStates::log_prob(std::int64_t row) {
  const std::size_t n = row_with_results(row);
  if (!has_log_prob_) {
    log_prob_.resize(std::size_t(rows_ * tokenizer().size()));
    session_.read(graph_.log_prob, std::span<float>(log_prob_));
    has_log_prob_ = true;
  }
  const auto size = std::size_t(tokenizer().size());
  const std::span<const float> values = std::span<const float>(log_prob_).subspan(n * size, size);
  if (!std::ranges::all_of(values, [](float p) { return std::isfinite(p); })) fail_not_finite();
  return values;
}

std::int32_t TokenStates::drawn(std::int64_t row) {
  const std::size_t n = row_with_results(row);
  if (drawn_.empty()) drawn_ = session_.read<std::int32_t>(graph_.token);
  if (drawn_[n] < 0) fail_not_finite();
  return drawn_[n];
}

float TokenStates::drawn_log_prob(std::int64_t row) {
  const std::size_t n = row_with_results(row);
  if (drawn_log_prob_.empty()) drawn_log_prob_ = session_.read(graph_.token_log_prob);
  if (!std::isfinite(drawn_log_prob_[n])) fail_not_finite();
  return drawn_log_prob_[n];
}

TextState TokenStates::take(std::int64_t row) const {
  const std::size_t n = index_of(row);
  return resting_[n] ? *resting_[n] : read_row(row);
}

void TokenStates::put(std::int64_t row, const TextState& state) {
  const std::size_t n = index_of(row);
  if (const std::size_t expected = blank().values.size(); state.values.size() != expected)
    throw std::invalid_argument(
        fmt::format("state: got {} values, expected {}", state.values.size(), expected));
  resting_[n].reset();
  has_results_[n] = false;
  write_row(row, state);
}

TextState TokenStates::blank() const {
  std::int64_t values = 0;
  for (const std::string& name : graph_.carried)
    values += session_.variables().view(name).elements() / rows_;
  return {std::vector<float>(std::size_t(values))};
}

std::size_t TokenStates::index_of(std::int64_t row) const {
  if (row < 0 || row >= rows_)
    throw std::invalid_argument(fmt::format("row: got {}, expected one below {}", row, rows_));
  return std::size_t(row);
}

std::size_t TokenStates::row_with_results(std::int64_t row) const {
  const std::size_t n = index_of(row);
  if (!has_results_[n])
    throw std::invalid_argument(
        fmt::format("row {}: it has no results of the last step, expected some", row));
  return n;
}

TextState TokenStates::read_row(std::int64_t row) const {
  TextState state = blank();
  const VariableStore& store = session_.variables();
  std::size_t at = 0;
  for (const std::string& name : graph_.carried)
    for_each_part(store.view(name), row, [&](const float* from, std::size_t count) {
      store.backend().download(&state.values[at], from, count * sizeof(float));
      at += count;
    });
  return state;
}

void TokenStates::write_row(std::int64_t row, const TextState& state) {
  VariableStore& store = session_.variables();
  std::size_t at = 0;
  for (const std::string& name : graph_.carried) {
    for_each_part(store.view(name), row, [&](float* to, std::size_t count) {
      store.backend().upload(to, &state.values[at], count * sizeof(float));
      at += count;
    });
    store.touch(name);
  }
}

}  // namespace unroll
