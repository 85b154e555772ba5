/// Weights that PyTorch trained, as a language model of ours. A file that this program wrote says
/// in its metadata what the model is; for other files, names and shapes decide. The user has to say
/// what they leave open: nothing that is missing is guessed.
#pragma once

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "host/base/safetensors.h"
#include "host/data/tokenizer.h"
#include "host/models/language_model.h"
#include "host/train/foreign_tensors.h"
#include "unroll/session.h"

namespace unroll {

/// What the weights may leave open. What is set must agree with the weights where they say it.
struct ImportOptions {
  std::optional<CellKind> cell{};   // needed for an Elman network of which nothing says which
  std::optional<GruReset> reset{};  // without it, PyTorch's: after
  std::optional<InputGate>
      input_gate{};                 // without it, separate. Coupled makes three gates an LSTM's
  std::optional<double> dropout{};  // without it, 0
  std::optional<TokenizerKind> tokenizer{};  // without it, words
  TensorNameMap names{};                     // what the file's names are here
};

struct ImportedModel {
  LanguageModelConfig config;
  TokenizerKind tokenizer;
  std::string start;                     // as StoredModel has it
  std::shared_ptr<VariableStore> store;  // holds the parameters
  std::vector<std::string> notes;        // conclusions that no tensor states
};

/// The weights are those of an Elman network, and nothing says with which activation.
class CellUnknown : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// A tensor that every such model has is missing: it may have another name.
class TensorMissing : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Reads the state_dict of an embedding `encoder`, a recurrent network `rnn` and a linear
/// `decoder`, which is what PyTorch's word_language_model has. A tensor may be an alias of
/// another one by the metadata, as safetensors.torch.save_model() writes them. The network has all
/// its biases or none, and the decoder has one unless the network has none; those that are not
/// there are zero. The weights are tied if decoder.weight is an alias of encoder.weight, or has its
/// shape and bits. Without encoder.weight the input is one-hot if the first layer reads as many
/// numbers as there are tokens. `name` is how errors call the file. foreign_tensors.h says which
/// names and types mean the same.
///
/// Shapes    encoder.weight [V, E]; rnn.weight_ih_lK [gates H_K, E or R_(K-1)]; rnn.weight_hh_lK
///           [gates H_K, R_K]; rnn.bias_ih_lK and rnn.bias_hh_lK [gates H_K]; decoder.weight
///           [V, R of the last]; decoder.bias [V]. R_K is H_K, or P if there is a projection:
///           rnn.weight_hr_lK [P, H_K]. With layer norm rnn.gain_ih_lK and rnn.gain_hh_lK
///           [gates H_K], rnn.gain_c_lK and rnn.bias_c_lK [H_K].
/// Errors    std::runtime_error if a weight is surplus, of another type or shape, or not finite; if
/// the
///           options contradict the file; for a second direction; CellUnknown; TensorMissing.
ImportedModel import_weights(const SafetensorsFile& file, const std::string& name,
                             const ImportOptions& options, std::shared_ptr<Backend> backend);

}  // namespace unroll
