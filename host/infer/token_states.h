/// Texts that a language model reads one token at a time, N at once. Rows share nothing but the
/// time of a step: what one row says does not depend on what is in the others.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "host/models/model_file.h"
#include "host/models/step_graph.h"

namespace unroll {

/// What a model remembers of the tokens that it has read: a value, which goes into any row of any
/// TokenStates of the same model.
struct TextState {
  std::vector<float> values;  // the row of each carried variable, in their order
};

class TokenStates {
 public:
  /// As the token of a row: it reads nothing in this step.
  static constexpr std::int32_t kNoToken = -1;

  struct Options {
    std::int64_t rows = 1;
    /// The draws of row n depend on the seed, on n, and on the steps since begin().
    std::optional<SamplingOptions> sampler = {};
    bool drawn_log_prob = false;  // keeps that of what is drawn
    /// The states are variables of the model's store, NAME-ROWS/h_l0 for instance. Objects of the
    /// same name and number of rows share them, so only one of these may be in use.
    std::string name = "texts";
  };

  /// The model must outlive it.
  /// Errors    std::invalid_argument if there is no row or the sampler's options are out of range;
  ///           std::runtime_error if the model is not a language model, or its states do not fit.
  explicit TokenStates(const LoadedModel& model, const Options& options);

  std::int64_t rows() const { return rows_; }
  const Tokenizer& tokenizer() const { return task_.tokenizer(); }

  /// Puts every row where each history starts, at the beginning of a line: nothing read but
  /// tokenizer().start(). The draws start anew.
  void begin();

  /// One token for each row. A row with kNoToken keeps its state, and has no results of this step.
  /// Without `results` no row has any, which saves the time to compute them.
  /// Errors    std::invalid_argument if there are not `rows` tokens or one is not an id.
  void advance(std::span<const std::int32_t> tokens, bool results = true);

  /// ln P(token | what the row has read) of every token [V], until the next step. Not with a
  /// sampler.
  /// Errors    std::invalid_argument if the row has no results of the last step; std::runtime_error
  ///           if a value is not finite.
  std::span<const float> log_prob(std::int64_t row);
  /// The token that the sampler drew from these. Errors: the same; or if there is none to draw.
  std::int32_t drawn(std::int64_t row);
  /// ln P(that token | what the row has read): of the model, whatever the sampler's options. With
  /// Options::drawn_log_prob. Errors: as log_prob().
  float drawn_log_prob(std::int64_t row);

  /// The state of a row, which may be put into several.
  TextState take(std::int64_t row) const;
  /// The row goes on from there: it has no results until the next step.
  /// Errors    std::invalid_argument if the state is not one of this model's.
  void put(std::int64_t row, const TextState& state);
  /// The state before a text, in which not even tokenizer().start() has been read.
  TextState blank() const;

 private:
  std::size_t index_of(std::int64_t row) const;
  std::size_t row_with_results(std::int64_t row) const;
  TextState read_row(std::int64_t row) const;
  void write_row(std::int64_t row, const TextState& state);

  const LanguageModelTask& task_;
  std::int64_t rows_;
  StepGraph graph_;
  std::vector<Tensor> fetches_;
  Session session_;
  /// The states of rows that rest: a step writes all rows of the variables.
  std::vector<std::optional<TextState>> resting_;
  std::vector<bool> has_results_;
  std::vector<std::int32_t> input_;
  // Results of the last step; empty, or not there, until they are asked for.
  bool has_log_prob_ = false;
  std::vector<float> log_prob_;
  std::vector<std::int32_t> drawn_;
  std::vector<float> drawn_log_prob_;
};

/// Throws the std::runtime_error of a model whose probabilities are no numbers.
[[noreturn]] void fail_not_finite();

}  // namespace unroll
