#include "unroll/recurrent_spec.h"

#include <stdexcept>

#include "unroll/cells/table.h"

namespace unroll {

int RecurrentSpec::gates() const {
  return cells::program_of(*this).gates;
}

bool RecurrentSpec::has_c() const {
  return cells::program_of(*this).has_c;
}

std::vector<CellParameter> cell_parameters(const RecurrentSpec& spec, int layer,
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

std::string to_string(CellKind cell) {
  switch (cell) {
    case CellKind::kRnnTanh:
      return "rnn_tanh";
    case CellKind::kRnnRelu:
      return "rnn_relu";
    case CellKind::kRnnLogistic:
      return "rnn_logistic";
    case CellKind::kLstm:
      return "lstm";
    case CellKind::kGru:
      return "gru";
  }
  return "?";
}

std::string to_string(InputGate gate) {
  switch (gate) {
    case InputGate::kSeparate:
      return "separate";
    case InputGate::kCoupled:
      return "coupled";
    case InputGate::kCapped:
      return "capped";
  }
  return "?";
}

void validate(const RecurrentSpec& spec) {
  const auto fail = [](const std::string& got, const std::string& expected) {
    throw std::invalid_argument("recurrent: got " + got + ", expected " + expected);
  };
  if (spec.hidden.empty()) fail("no layers", "1 or more");
  for (const std::int64_t units : spec.hidden)
    if (units < 1) fail(std::to_string(units) + " units in a layer", "1 or more");
  if (spec.directions != 1 && spec.directions != 2)
    fail(std::to_string(spec.directions) + " directions", "1 or 2");
  if (!(spec.dropout >= 0 && spec.dropout < 1))
    fail("dropout " + std::to_string(spec.dropout), "one in [0, 1)");
  if (spec.cell != CellKind::kLstm) {
    const std::string cell = " in a " + to_string(spec.cell);
    if (spec.input_gate != InputGate::kSeparate)
      fail("a " + to_string(spec.input_gate) + " input gate" + cell, "an lstm");
    if (spec.layer_norm) fail("layer norm" + cell, "an lstm");
    if (spec.projection != 0) fail("a projection" + cell, "an lstm");
  }
  if (spec.projection < 0)
    fail("a projection to " + std::to_string(spec.projection) + " elements", "0 (none) or more");
  for (const std::int64_t units : spec.hidden)
    if (spec.projection >= units)
      fail("a projection from " + std::to_string(units) + " units to " +
               std::to_string(spec.projection) + " elements",
           "fewer elements than units");
}

}  // namespace unroll
