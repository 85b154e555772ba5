/// Recurrent stacks that people train or measure, and where each comes from. The most telling are
/// first, so that a run that is cut short has them.
#pragma once

#include <cstdint>
#include <vector>

#include "unroll/recurrent_spec.h"

namespace unroll::benchmark {

struct StackShape {
  const char* name;
  const char* source;
  CellKind cell;
  std::int64_t steps, batch, input;  // T, N, I
  std::vector<std::int64_t> hidden;
};

inline std::vector<StackShape> stack_shapes() {
  constexpr auto kLstm = CellKind::kLstm;
  constexpr auto kGru = CellKind::kGru;
  constexpr auto kRnn = CellKind::kRnnTanh;
  return {
      {"wlm200", "word_language_model, default", kLstm, 35, 20, 200, {200, 200}},
      {"wlm650", "Zaremba et al. 2014, medium", kLstm, 35, 20, 650, {650, 650}},
      {"wlm1500", "Zaremba et al. 2014, large", kLstm, 35, 20, 1500, {1500, 1500}},
      {"zaremba200", "Zaremba et al. 2014, small", kLstm, 20, 20, 200, {200, 200}},
      {"charrnn128", "char-rnn, defaults, one-hot", kLstm, 50, 50, 65, {128, 128}},
      {"charrnn128gru", "char-rnn, defaults, one-hot", kGru, 50, 50, 65, {128, 128}},
      {"awd1150", "AWD-LSTM, PTB", kLstm, 70, 80, 400, {1150, 1150, 400}},
      {"mt512", "DeepBench, translation", kLstm, 25, 64, 512, {512}},
      {"mt1024", "DeepBench, translation", kLstm, 25, 64, 1024, {1024}},
      {"char256", "DeepBench, character model", kLstm, 150, 64, 256, {256}},
      {"flashrnn768", "FlashRNN, figure of cuDNN", kLstm, 1024, 16, 768, {768}},
      {"speaker1024", "DeepBench, speaker; T cut from 1500", kGru, 300, 64, 1024, {1024}},
      {"speech1536", "DeepBench, speech", kGru, 187, 32, 1536, {1536}},
      {"vanilla1760", "DeepBench, vanilla", kRnn, 50, 64, 1760, {1760}},
      {"lm1536", "DeepBench, language model", kLstm, 50, 32, 1536, {1536}},
      {"mt2048", "DeepBench, translation", kLstm, 25, 128, 2048, {2048}},
      {"lm4096", "DeepBench, language model", kLstm, 25, 64, 4096, {4096}},
      {"awdchar1000", "AWD-LSTM, PTB characters", kLstm, 150, 128, 200, {1000, 1000, 200}},
      {"enwik1840", "AWD-LSTM, enwik8", kLstm, 200, 128, 400, {1840, 1840, 400}},
      {"long1024", "a long sequence", kLstm, 512, 128, 1024, {1024}},
  };
}

}  // namespace unroll::benchmark
