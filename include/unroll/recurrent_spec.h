/// What a recurrent stack is, without its weights: what the engine, the devices and the files agree
/// on.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace unroll {

enum class CellKind : std::uint8_t { kRnnTanh, kRnnRelu, kRnnLogistic, kLstm, kGru };
/// All of them, in the order in which they are shown to a user.
inline constexpr std::array kCellKinds{CellKind::kLstm, CellKind::kGru, CellKind::kRnnTanh,
                                       CellKind::kRnnRelu, CellKind::kRnnLogistic};

/// Where a GRU applies its reset gate: to h_{t-1} before the recurrent product (Cho et al. 2014),
/// or to the product after it (cuDNN, PyTorch, Keras). Weights that were trained for one form do
/// not work in the other.
enum class GruReset : std::uint8_t { kBefore, kAfter };

struct RecurrentSpec {
  CellKind cell = CellKind::kLstm;
  GruReset reset = GruReset::kAfter;  // only for kGru
  std::vector<std::int64_t> hidden;   // units of each layer, from the input upwards
  int directions = 1;                 // 2: a second set of cells reads the sequence backwards
  float dropout = 0;                  // on every layer's output but the last one's

  int layers() const { return int(hidden.size()); }
};

/// Gate blocks in a weight's rows: LSTM i, f, g, o; GRU r, z, n; one for an Elman cell.
constexpr int gates_of(CellKind cell) {
  return cell == CellKind::kLstm ? 4 : cell == CellKind::kGru ? 3 : 1;
}

/// "rnn_tanh", "rnn_relu", "rnn_logistic", "lstm", "gru".
std::string to_string(CellKind cell);

/// Errors    std::invalid_argument unless there is a layer, every size is positive, directions is 1
///           or 2, and dropout lies in [0, 1).
void validate(const RecurrentSpec& spec);

}  // namespace unroll
