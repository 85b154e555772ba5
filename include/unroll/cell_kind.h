/// The kinds of recurrent cells and their variants.
#pragma once

#include <array>
#include <cstdint>

namespace unroll {

enum class CellKind : std::uint8_t { kRnnTanh, kRnnRelu, kRnnLogistic, kLstm, kGru };
/// All of them, in the order in which they are shown to a user.
inline constexpr std::array kCellKinds{CellKind::kLstm, CellKind::kGru, CellKind::kRnnTanh,
                                       CellKind::kRnnRelu, CellKind::kRnnLogistic};

/// Where a GRU applies its reset gate: to h_{t-1} before the recurrent product (Cho et al. 2014),
/// or to the product after it (cuDNN, PyTorch, Keras). Weights that were trained for one form do
/// not work in the other.
enum class GruReset : std::uint8_t { kBefore, kAfter };

/// How the input gate i of an LSTM depends on its forget gate f.
enum class InputGate : std::uint8_t {
  kSeparate,  // it does not
  kCoupled,   // i = 1 - f: a cell of three gates, f, g, o (Greff et al. 2017)
  kCapped,    // min(i, 1 - f) takes the place of i (Melis et al. 2018)
};
inline constexpr std::array kInputGates{InputGate::kSeparate, InputGate::kCoupled,
                                        InputGate::kCapped};

/// A cell with its variants, which selects a row of the table in cells/table.h.
struct CellForm {
  CellKind kind;
  GruReset reset;
  InputGate input_gate;
  bool layer_norm;
};

}  // namespace unroll
