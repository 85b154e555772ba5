/// Weights that PyTorch trained, as a language model of ours. The file's names and shapes alone
/// decide what the model is: nothing is read from a configuration that might contradict them.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>

#include "host/models/language_model.h"
#include "host/train/safetensors.h"
#include "unroll/session.h"

namespace unroll {

/// What the weights do not tell.
struct ImportOptions {
  /// Without it, 4 gates are lstm, 3 gru, and 1 is rnn_tanh, PyTorch's default.
  std::optional<CellKind> cell{};
  GruReset reset = GruReset::kAfter;  // PyTorch's
  double dropout = 0;
};

struct ImportedModel {
  LanguageModelConfig config;
  std::shared_ptr<VariableStore> store;  // holds the parameters
};

/// Reads the state_dict of an embedding `encoder`, a recurrent network `rnn` and a linear
/// `decoder`, which is what PyTorch's word_language_model has. Biases that are missing are zero.
/// The weights are tied if decoder.weight is missing or has the encoder's shape and bits. `name` is
/// how errors call the file. Shapes    encoder.weight [V, E]; rnn.weight_ih_lK [gates H_K, E or
/// H_(K-1)]; rnn.weight_hh_lK
///           [gates H_K, H_K]; rnn.bias_ih_lK and rnn.bias_hh_lK [gates H_K]; decoder.weight
///           [V, H of the last]; decoder.bias [V].
/// Errors    std::runtime_error if a weight is missing, surplus, not F32 or of another shape; if
///           the options' cell has another number of gates; for a second direction or a projection.
ImportedModel import_weights(const SafetensorsFile& file, const std::string& name,
                             const ImportOptions& options, std::shared_ptr<Backend> backend);

}  // namespace unroll
