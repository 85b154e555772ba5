#include "host/models/step_graph.h"

namespace unroll {

StepGraph::StepGraph(const LanguageModelConfig& config,
                     const std::optional<SamplingOptions>& sampler) {
  config.check();
  input = graph.placeholder("input", {1, 1}, DType::kInt32);
  const LanguageModelBody body = language_model_body(graph, config, {input, 1, "generate"}, false);
  log_prob = reshape(body.decoder.output(body.h), {config.vocabulary});
  if (sampler) token = sample(log_prob, *sampler);
  fetches = {sampler ? token : log_prob, group(body.carries)};
  carried = body.carried;
}

}  // namespace unroll
