/// What a recurrent stack is, without its weights: what the engine, the devices and the files agree
/// on. Every shape in a stack follows from here.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "unroll/cell_kind.h"
#include "unroll/cells/table.h"
#include "unroll/tensor.h"

namespace unroll {

struct RecurrentSpec {
  CellKind cell = CellKind::kLstm;
  GruReset reset = GruReset::kAfter;            // only for kGru
  std::vector<std::int64_t> hidden = {};        // units H_l of each layer, from the input upwards
  int directions = 1;                           // D. 2: a second set of cells reads the sequence
                                                // backwards
  float dropout = 0;                            // on every layer's output but the last one's
  InputGate input_gate = InputGate::kSeparate;  // only for kLstm
  bool layer_norm = false;                      // only for kLstm: see cells/lstm.h
  std::int64_t projection = 0;                  // only for kLstm: P > 0 makes h_t of P elements,
                                                // h_t = W_hr (o tanh(c_t)) (Sak et al. 2014)

  operator CellForm() const { return {cell, reset, input_gate, layer_norm}; }

  int layers() const { return int(hidden.size()); }
  int cells() const { return layers() * directions; }
  std::int64_t units(int layer) const { return hidden[std::size_t(layer)]; }
  /// Elements of a layer's h_t in one direction: P or H_l.
  std::int64_t width(int layer) const { return projection > 0 ? projection : units(layer); }
  /// Elements of a layer's input, given those of x.
  std::int64_t layer_input(int layer, std::int64_t input) const {
    return layer == 0 ? input : output(layer - 1);
  }
  /// Elements of a layer's output: the h_t of its directions side by side.
  std::int64_t output(int layer) const { return directions * width(layer); }
  std::int64_t output() const { return output(layers() - 1); }

  /// Blocks of H rows in weight_ih and weight_hh, one per gate: LSTM i, f, g, o, or f, g, o if the
  /// input gate is coupled; GRU r, z, n; one for an Elman cell.
  int gates() const { return cells::program_of(*this).gates; }
  /// Whether cells have a state c_t beside h_t.
  bool has_c() const { return cells::program_of(*this).has_c; }
  /// Shapes of a layer's states h and c: [D, N, width] and [D, N, H].
  Shape h_shape(int layer, std::int64_t batch) const { return {directions, batch, width(layer)}; }
  Shape c_shape(int layer, std::int64_t batch) const { return {directions, batch, units(layer)}; }

  bool operator==(const RecurrentSpec&) const = default;
};

/// The parameters of one cell, or something for each of them. A cell has the first four, and the
/// others if its spec asks for them. G = gates(), R = width().
template <typename T>
struct CellTensors {
  T weight_ih = {};  // [G H, I]
  T weight_hh = {};  // [G H, R]
  T bias_ih = {};    // [G H]
  T bias_hh = {};    // [G H]
  T weight_hr = {};  // [R, H], projection
  T gain_ih = {};    // [G H], layer norm: of W x
  T gain_hh = {};    // [G H], of R h
  T gain_c = {};     // [H], of c
  T bias_c = {};     // [H]
};

/// One of a cell's parameters.
struct CellParameter {
  enum class Place : std::uint8_t {
    kWeightIh,
    kWeightHh,
    kBiasIh,
    kBiasHh,
    kWeightHr,
    kGainIh,
    kGainHh,
    kGainC,
    kBiasC,
  };
  Place place;
  const char* name;  // "weight_ih": PyTorch's, where PyTorch has it
  Shape shape;

  template <typename T>
  const T& of(const CellTensors<T>& t) const {
    const T* const places[] = {&t.weight_ih, &t.weight_hh, &t.bias_ih, &t.bias_hh, &t.weight_hr,
                               &t.gain_ih,   &t.gain_hh,   &t.gain_c,  &t.bias_c};
    return *places[std::size_t(place)];
  }
  template <typename T>
  T& of(CellTensors<T>& tensors) const {
    return const_cast<T&>(of(static_cast<const CellTensors<T>&>(tensors)));
  }
};

/// The parameters of a cell in a layer, in the order of a PyTorch state_dict. `input`: elements of
/// the stack's x.
inline std::vector<CellParameter> cell_parameters(const RecurrentSpec& spec, int layer,
                                                  std::int64_t input) {
  using Place = CellParameter::Place;
  const std::int64_t units = spec.units(layer), width = spec.width(layer);
  const std::int64_t rows = spec.gates() * units;
  std::vector<CellParameter> all{
      {Place::kWeightIh, "weight_ih", {rows, spec.layer_input(layer, input)}},
      {Place::kWeightHh, "weight_hh", {rows, width}},
      {Place::kBiasIh, "bias_ih", {rows}},
      {Place::kBiasHh, "bias_hh", {rows}}};
  if (spec.projection > 0) all.push_back({Place::kWeightHr, "weight_hr", {width, units}});
  if (spec.layer_norm)
    all.insert(all.end(), {{Place::kGainIh, "gain_ih", {rows}},
                           {Place::kGainHh, "gain_hh", {rows}},
                           {Place::kGainC, "gain_c", {units}},
                           {Place::kBiasC, "bias_c", {units}}});
  return all;
}

/// "rnn_tanh", "rnn_relu", "rnn_logistic", "lstm", "gru".
std::string to_string(CellKind cell);
/// "separate", "coupled", "capped".
std::string to_string(InputGate gate);

/// Errors    std::invalid_argument unless there is a layer, every size is positive, directions is 1
///           or 2, dropout lies in [0, 1), and what only an LSTM has is asked of an LSTM; a
///           projection must be smaller than every layer.
void validate(const RecurrentSpec& spec);

}  // namespace unroll
