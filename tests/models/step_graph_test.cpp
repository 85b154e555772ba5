/// A language model that runs one token at a time: its draws match its probabilities.
#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "host/models/step_graph.h"
#include "host/models/stored_variables.h"
#include "tests/support/backends.h"
#include "tests/support/recording_backend.h"
#include "tests/support/reference_training.h"

namespace unroll::test {
namespace {

class SteppedModel : public OnEachBackend {};

TEST_P(SteppedModel, DrawsFromTheDistributionOfItsStepAndReadsOneIdBack) {
  LanguageModelConfig config;
  config.vocabulary = 70;
  config.embedding = 12;
  config.hidden = {12, 12};
  const auto backend = std::make_shared<RecordingBackend>(backend_);
  const auto store = std::make_shared<VariableStore>(backend, 3);
  const StepGraph looking(config), drawing(config, SamplingOptions{.top_p = 0.9, .seed = 5});
  Session look(looking.graph, store), draw(drawing.graph, store);
  std::int32_t token = 1;
  std::vector<std::int32_t> text;
  clear_variables(drawing.carried, *store);
  for (int k = 0; k < 12; ++k) {
    const Feed feed(drawing.input, std::span<const std::int32_t>(&token, 1));
    const int downloads = backend->downloads;
    draw.run(drawing.fetches, std::span(&feed, 1));
    draw.read(drawing.token, std::span(&token, 1));
    EXPECT_EQ(backend->downloads, downloads + 1);
    text.push_back(token);
  }
  clear_variables(drawing.carried, *store);
  token = 1;
  const std::uint64_t key = reference::philox_key(5, "sampler");
  for (std::size_t k = 0; k < text.size(); ++k) {
    const Feed feed(looking.input, std::span<const std::int32_t>(&token, 1));
    look.run(looking.fetches, std::span(&feed, 1));
    const std::vector<float> log_prob = look.read(looking.log_prob);
    EXPECT_EQ(text[k],
              reference::sample(log_prob, {.top_p = 0.9, .key = key, .step = std::int64_t(k)}))
        << k;
    token = text[k];
  }
}

UNROLL_FOR_EACH_BACKEND(SteppedModel);

}  // namespace
}  // namespace unroll::test
