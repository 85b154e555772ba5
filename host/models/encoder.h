/// What models of sequences begin with: an embedding of tokens, or real numbers as they are, then a
/// recurrent stack. Its variables have PyTorch's names: encoder.weight, rnn.weight_ih_l0 ... A
/// model of two encoders gives one a prefix.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "host/base/safetensors.h"
#include "host/base/strict_json.h"
#include "host/models/initialization.h"
#include "unroll/graph.h"
#include "unroll/recurrent.h"
#include "unroll/session.h"

namespace unroll {

/// A configuration with more is a mistake, or an attack.
inline constexpr std::int64_t kMaxLayers = 1'000;

inline constexpr const char* kEncoder = "encoder.weight";

struct EncoderConfig {
  std::string prefix = {};  // of its variables' names
  CellKind cell = CellKind::kLstm;
  GruReset reset = GruReset::kAfter;
  /// Above 0: a timestep is so many real numbers, and what is said of tokens does not matter.
  std::int64_t inputs = 0;
  std::int64_t vocabulary = 0;
  std::int64_t embedding = 200;  // 0: the input is one-hot, and there is no encoder.weight
  bool frozen = false;           // encoder.weight is not trained
  std::int64_t beside = 0;       // numbers that join each embedding: EncoderInputs::beside
  std::vector<std::int64_t> hidden = {200, 200};
  int directions = 1;
  double dropout = 0;  // on the embedding's output, between layers, and before the decoder
  // Only for an LSTM, as in RecurrentSpec:
  InputGate input_gate = InputGate::kSeparate;
  bool layer_norm = false;
  std::int64_t projection = 0;

  /// Throws std::invalid_argument for sizes out of range, more than kMaxLayers layers, dropout
  /// outside [0, 1), or what validate() refuses of recurrent().
  void check() const;
  RecurrentSpec recurrent() const;
  /// Whether a timestep is a token that a table has a row for.
  bool has_table() const { return inputs == 0 && embedding > 0; }
  /// I, the size of the stack's input.
  std::int64_t width() const {
    return (inputs > 0 ? inputs : embedding > 0 ? embedding : vocabulary) + beside;
  }
};

/// For people: "lstm", "lstm with layer norm, coupled gates and a projection to 64".
std::string describe_cell(const EncoderConfig& config);
/// For people: "lstm with layer norm and a projection to 64, embedding 200, layers of 200, 200
/// units, dropout 0.2"; of real numbers "lstm, 1 input, layers of 200 units, dropout 0".
std::string describe_encoder(const EncoderConfig& config);

/// The members of config.json's `model` that say what the encoder of tokens is.
void write_encoder(const EncoderConfig& config, nlohmann::json& model);
/// Errors    std::runtime_error if a member is missing, of another type or out of its range.
void read_encoder(const JsonObject& model, EncoderConfig& config);
/// The same for real numbers.
void write_real_encoder(const EncoderConfig& config, nlohmann::json& model);
void read_real_encoder(const JsonObject& model, EncoderConfig& config);

/// What the metadata of model.safetensors say to people who read it PyTorch's way.
TensorMetadata encoder_metadata(const EncoderConfig& config);

struct EncoderParameters {
  Tensor table;  // encoder.weight [V, E]; empty: one-hot, or no tokens
  std::vector<CellWeights> cells;
};
EncoderParameters declare_encoder(Graph& graph, const EncoderConfig& config,
                                  const Initialization& how = {});

struct EncoderInputs {
  Tensor ids = {};      // [T, N] int32
  Tensor values = {};   // [T, N, inputs] in place of ids, if the config has inputs
  Tensor beside = {};   // [T, N, beside], if the config has them
  Tensor lengths = {};  // as in RecurrentInputs
  std::vector<Tensor> h0 = {}, c0 = {};
};

struct Dropping {
  bool training = false;   // there is no dropout otherwise
  std::string place = {};  // begins the names of its masks
};
RecurrentResult encode(const EncoderConfig& config, const EncoderParameters& parameters,
                       const EncoderInputs& inputs, const Dropping& dropping);

/// The last layer's last states of all directions: with two, the one after the first step, too.
/// Shapes    -> [N, D R], where N may be open
Tensor last_states(const EncoderConfig& config, const RecurrentResult& result);

/// Dropout before a decoder.
Tensor drop_output(const EncoderConfig& config, Tensor h, const Dropping& dropping);

/// Sets the forget gates' biases as asked, after the variables' own initialisation.
void initialize_forget_bias(const EncoderConfig& config, const Initialization& how,
                            VariableStore& store);

}  // namespace unroll
