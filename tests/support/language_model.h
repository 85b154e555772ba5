/// A small language model with all parts of a real one: embedding, two LSTM layers with dropout,
/// decoder and loss in one node, Adam with clipping, and state carried between runs.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/support/random.h"
#include "unroll/ops.h"
#include "unroll/optimizer.h"
#include "unroll/recurrent.h"
#include "unroll/session.h"

namespace unroll::test {

struct LanguageModel {
  static constexpr std::int64_t kWords = 120, kEmbedding = 24, kHidden = 40, kBatch = 6;

  Graph graph;
  Tensor ids, targets, loss, step;

  /// `steps` may be kOpen.
  explicit LanguageModel(std::int64_t steps, double dropout_rate = 0.3, bool tied = false) {
    const RecurrentSpec spec{.cell = CellKind::kLstm,
                             .hidden = {kHidden, tied ? kEmbedding : kHidden},
                             .dropout = float(dropout_rate)};
    ids = graph.placeholder("ids", {steps, kBatch}, DType::kInt32);
    targets = graph.placeholder("targets", {kOpen}, DType::kInt32);
    const Tensor table = graph.variable("encoder.weight", {kWords, kEmbedding}, uniform(-0.1, 0.1));
    RecurrentInputs in;
    in.x = dropout(embedding(table, ids), dropout_rate, "input dropout");
    in.weights =
        recurrent_weights(graph, spec, kEmbedding,
                          {.weight_ih = uniform(-0.15, 0.15), .weight_hh = uniform(-0.15, 0.15)});
    std::vector<Tensor> carried;
    for (std::size_t layer = 0; layer < spec.hidden.size(); ++layer) {
      const Shape shape{1, kBatch, spec.hidden[layer]};
      in.h0.push_back(
          graph.variable("h" + std::to_string(layer), shape, constant(0), {.trainable = false}));
      in.c0.push_back(
          graph.variable("c" + std::to_string(layer), shape, constant(0), {.trainable = false}));
    }
    const RecurrentResult rnn = recurrent(spec, in, "rnn");
    const Tensor h =
        reshape(dropout(rnn.y, dropout_rate, "output dropout"), {kOpen, spec.hidden.back()});
    const Tensor weight =
        tied ? table : graph.variable("decoder.weight", {kWords, kHidden}, uniform(-0.1, 0.1));
    const Tensor bias = graph.variable("decoder.bias", {kWords}, constant(0));
    loss = softmax_cross_entropy(h, {weight, bias}, targets, {.chunk_rows = 16, .mean = true}).loss;
    OptimizerSpec adam{.kind = OptimizerKind::kAdam};
    adam.clip_norm = 0.25F;
    std::vector<Tensor> parts{Optimizer(adam, 0.01).minimize(loss)};
    for (std::size_t layer = 0; layer < spec.hidden.size(); ++layer) {
      parts.push_back(assign(in.h0[layer], rnn.h_n[layer]));
      parts.push_back(assign(in.c0[layer], rnn.c_n[layer]));
    }
    step = group(parts);
  }

  /// Word t + 1 follows from word t, so that the model can learn.
  static std::vector<std::int32_t> words(std::int64_t steps, std::int32_t first) {
    std::vector<std::int32_t> out;
    for (std::int64_t t = 0; t < steps; ++t)
      for (std::int64_t n = 0; n < kBatch; ++n)
        out.push_back(std::int32_t((first + 7 * t + 13 * n) % kWords));
    return out;
  }
};

}  // namespace unroll::test
