#include "host/models/step_graph.h"

namespace unroll {

StepGraph::StepGraph(const LanguageModelConfig& config,
                     const std::optional<SamplingOptions>& sampler, std::int64_t batch,
                     const std::string& name) {
  config.check();
  input = graph.placeholder("input", {1, batch}, DType::kInt32);
  const LanguageModelBody body = language_model_body(graph, config, {input, batch, name}, false);
  log_prob = body.decoder.output(body.h);
  if (sampler) {
    token = sample(log_prob, *sampler);
    token_log_prob = reduce_sum(log_prob * one_hot(token, config.vocabulary), 1);
  }
  fetches = {sampler ? token : log_prob, group(body.carries)};
  carried = body.carried;
}

}  // namespace unroll
