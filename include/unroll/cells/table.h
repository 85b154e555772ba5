/// All cells: from a form to the struct that holds a cell's program and formulas. A new cell is a
/// struct like those in elman.h, lstm.h and gru.h, and a line here.
#pragma once

#include <stdexcept>

#include "unroll/cell_kind.h"
#include "unroll/cells/elman.h"
#include "unroll/cells/gru.h"
#include "unroll/cells/lstm.h"

namespace unroll::cells {

template <template <InputGate> typename Cell, typename Visit>
auto visit_input_gate(InputGate form, const Visit& visit) {
  switch (form) {
    case InputGate::kSeparate:
      return visit(Cell<InputGate::kSeparate>{});
    case InputGate::kCoupled:
      return visit(Cell<InputGate::kCoupled>{});
    case InputGate::kCapped:
      return visit(Cell<InputGate::kCapped>{});
  }
  throw std::invalid_argument("unknown input gate");
}

/// Returns visit(Cell{}), where Cell is the struct for the form.
template <typename Visit>
auto visit_cell(const CellForm& form, const Visit& visit) {
  switch (form.kind) {
    case CellKind::kRnnTanh:
      return visit(Elman<Activation::kTanh>{});
    case CellKind::kRnnRelu:
      return visit(Elman<Activation::kRelu>{});
    case CellKind::kRnnLogistic:
      return visit(Elman<Activation::kLogistic>{});
    case CellKind::kLstm:
      return form.layer_norm ? visit_input_gate<LayerNormLstm>(form.input_gate, visit)
                             : visit_input_gate<Lstm>(form.input_gate, visit);
    case CellKind::kGru:
      return form.reset == GruReset::kBefore ? visit(GruBefore{}) : visit(GruAfter{});
  }
  throw std::invalid_argument("unknown cell");
}

inline CellProgram program_of(const CellForm& form) {
  return visit_cell(form, []<typename Cell>(Cell) {
    static_assert(Cell::kProgram.gates <= kMostGates && Cell::kProgram.h_slots() <= kMostGates);
    return Cell::kProgram;
  });
}

}  // namespace unroll::cells
