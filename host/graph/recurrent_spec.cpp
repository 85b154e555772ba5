#include "unroll/recurrent_spec.h"

#include <stdexcept>

namespace unroll {

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
