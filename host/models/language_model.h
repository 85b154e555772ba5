/// A recurrent language model as builders of graphs: embedding, recurrent stack, decoder. One set
/// of variables serves three graphs: one that trains, one that evaluates, one that goes a word at a
/// time. Variables have PyTorch's names: encoder.weight, rnn.weight_ih_l0 ..., decoder.weight,
/// decoder.bias.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "unroll/graph.h"
#include "unroll/ops.h"
#include "unroll/optimizer.h"
#include "unroll/recurrent.h"
#include "unroll/session.h"

namespace unroll {

/// A configuration with more is a mistake, or an attack.
inline constexpr std::int64_t kMaxLayers = 1'000;

// Names of the parameters around the recurrent stack.
inline constexpr const char* kEncoder = "encoder.weight";
inline constexpr const char* kDecoder = "decoder.weight";
inline constexpr const char* kDecoderBias = "decoder.bias";

struct LanguageModelConfig {
  CellKind cell = CellKind::kLstm;
  GruReset reset = GruReset::kAfter;
  std::int64_t vocabulary = 0;
  std::int64_t embedding = 200;  // 0: the input is one-hot, and there is no encoder.weight
  std::vector<std::int64_t> hidden = {200, 200};
  double dropout = 0;  // on the embedding's output, between layers, and before the decoder
  bool tied = false;   // decoder.weight is encoder.weight
  // Only for an LSTM, as in RecurrentSpec:
  InputGate input_gate = InputGate::kSeparate;
  bool layer_norm = false;
  std::int64_t projection = 0;

  /// Throws std::invalid_argument for sizes out of range, more than kMaxLayers layers, dropout
  /// outside [0, 1), tied weights whose shapes differ, or what validate() refuses of recurrent().
  void check() const;
  RecurrentSpec recurrent() const;
};

struct LanguageModelInitialization {
  /// > 0: every parameter uniform in +-range, biases too, but gains are 1. 0: embedding and decoder
  /// uniform in +-0.1, W and a projection by Xavier, R orthogonal, biases zero.
  double range = 0;
  /// LSTM: where the forget gate's bias starts, if not as the other biases do.
  std::optional<double> forget_bias;
};

/// How the summed loss of a [T, N] batch becomes the cost whose gradient is taken.
enum class LossReduction : std::uint8_t {
  kMean,  // divided by the tokens
  kTime,  // divided by N, so summed over time (Zaremba et al. 2014)
};

/// For people: "lstm", "lstm with layer norm, coupled gates and a projection to 64".
std::string describe_cell(const LanguageModelConfig& config);

/// The names of a graph's carried state in the store: one set per graph, because N differs.
std::vector<std::string> state_names(const LanguageModelConfig& config, const std::string& graph);

/// One optimiser step on a batch, from the state that the last one left.
struct TrainingGraph {
  Graph graph;
  Tensor inputs;   // [T, N] int32, T open
  Tensor targets;  // [T N] int32, kIgnoredId where there is none
  Tensor step;     // runs it all

  static constexpr const char* kName = "train";

  struct Options {
    std::int64_t batch;
    OptimizerSpec optimizer;
    double learning_rate;
    LossReduction reduction = LossReduction::kMean;
    LossGuardSpec guard;  // of the loss in nats per token
    std::int64_t chunk_rows = 0;
    LanguageModelInitialization initialization;
  };
  TrainingGraph(const LanguageModelConfig& config, const Options& options);
};

/// Log probabilities of a batch without dropout, from the state that the last one left.
struct EvaluationGraph {
  Graph graph;
  Tensor inputs, targets;       // as in TrainingGraph
  Tensor log_prob;              // [T N] ln p of each target
  Tensor hit;                   // [T N] 1 where the target is the most probable token
  std::vector<Tensor> fetches;  // these, and the step to the next state

  EvaluationGraph(const LanguageModelConfig& config, std::int64_t batch, std::int64_t chunk_rows,
                  const std::string& name = "evaluate");
};

/// One token of one text.
struct StepGraph {
  Graph graph;
  Tensor input;     // [1, 1] int32
  Tensor log_prob;  // [V] ln p of every next token
  Tensor token;     // [1] int32 drawn from them, with a sampler
  /// The token, or without a sampler the log probabilities; and the step to the next state.
  std::vector<Tensor> fetches;

  explicit StepGraph(const LanguageModelConfig& config,
                     const std::optional<SamplingOptions>& sampler = {});
  static constexpr const char* kName = "generate";
};

/// Sets the forget gates' biases as asked, after the variables' own initialisation.
void initialize_forget_bias(const LanguageModelConfig& config,
                            const LanguageModelInitialization& initialization,
                            VariableStore& store);

/// Sets a graph's carried state to zero.
void clear_state(const LanguageModelConfig& config, const std::string& graph, VariableStore& store);

/// Names and shapes of the parameters, in the order of a PyTorch state_dict.
std::vector<VariableInfo> parameters(const LanguageModelConfig& config);
/// Numbers in them; tied ones count once.
std::int64_t parameter_count(const LanguageModelConfig& config);

}  // namespace unroll
