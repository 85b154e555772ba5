/// LSTMs with a projection, layer norm and other input gates, as language models of tests.
#pragma once

#include <cstdint>

#include "host/models/language_model.h"

namespace unroll::test {

struct LstmVariant {
  const char* name;
  InputGate input_gate = InputGate::kSeparate;
  bool layer_norm = false;
  std::int64_t projection = 0;
};

/// Each by itself, and all together.
inline constexpr LstmVariant kLstmVariants[] = {
    {"coupled", InputGate::kCoupled},
    {"capped", InputGate::kCapped},
    {"layer_norm", InputGate::kSeparate, true},
    {"projected", InputGate::kSeparate, false, 3},
    {"coupled_layer_norm_projected", InputGate::kCoupled, true, 3},
};

/// The model as such an LSTM. Tied weights get an embedding of the projection's size.
inline LanguageModelConfig with_variant(LanguageModelConfig model, const LstmVariant& variant) {
  model.cell = CellKind::kLstm;
  model.input_gate = variant.input_gate;
  model.layer_norm = variant.layer_norm;
  model.projection = variant.projection;
  if (model.tied) model.embedding = model.recurrent().output();
  return model;
}

}  // namespace unroll::test
