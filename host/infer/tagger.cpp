#include "host/infer/tagger.h"

#include <fmt/format.h>

#include <cmath>
#include <stdexcept>
#include <utility>
#include <vector>

#include "host/data/tagged_batches.h"
#include "host/models/feeds.h"

namespace unroll {

Tagger::Pass::Pass(const SequenceTagger& model, const std::shared_ptr<VariableStore>& store,
                   std::int64_t batch)
    : batch(batch), graph(model.tagging_graph(batch)), session(graph->graph, store) {}

Tagger::Tagger(std::shared_ptr<const SequenceTagger> model, std::shared_ptr<VariableStore> store)
    : model_(std::move(model)), store_(std::move(store)) {}

Tagger::Pass& Tagger::pass_for(const TaggedSplit& sentences) {
  std::int64_t batch = kBatch;
  while (batch > 1 && batch * sentences.statistics.longest > kBatchWords) batch /= 2;
  if (!pass_ || pass_->batch != batch) pass_ = std::make_unique<Pass>(*model_, store_, batch);
  return *pass_;
}

/// Returns the summed loss, or 0.
double Tagger::run(const std::shared_ptr<const TaggedSplit>& sentences, bool with_loss,
                   const Use& use) {
  auto& [size, graph, session] = pass_for(*sentences);
  TaggedBatches batches(sentences, model_->batches(size));
  Batch batch = batches.largest();
  std::vector<Tensor> fetches{graph->tags, graph->mean_score};
  if (with_loss) fetches.push_back(graph->loss);
  std::vector<Feed> feeds;
  std::vector<std::int32_t> tags;
  double loss_sum = 0;
  while (batches.next(batch)) {
    make_feeds(graph->inputs, batch, feeds);
    if (!with_loss) feeds.erase(feeds.begin() + TaggingGraph::kTargets);
    session.run(fetches, feeds);
    if (const float score = session.read<float>(graph->mean_score)[0]; std::isnan(score))
      throw std::runtime_error(
          "got scores of tags from the model that are no numbers, expected some that are");
    if (with_loss)
      for (const float loss : session.read<float>(graph->loss)) loss_sum += double(loss);
    const std::vector<std::int32_t> all = session.read<std::int32_t>(graph->tags);  // [T, N]
    for (std::size_t row = 0; row < batches.rows().size(); ++row) {
      const std::int64_t sentence = batches.rows()[row];
      tags.clear();
      for (std::int64_t t = 0; t < sentences->length(sentence); ++t)
        tags.push_back(all[std::size_t(t * size) + row]);
      use(sentence, tags);
    }
  }
  return loss_sum;
}

void Tagger::for_each(const std::shared_ptr<const TaggedSplit>& sentences, const Use& use) {
  run(sentences, false, use);
}

TaggerEvaluation Tagger::evaluate(const std::shared_ptr<const TaggedSplit>& sentences,
                                  const std::string& name) {
  const std::int32_t lacking = model_->vocabulary().tags.size();
  TaggerEvaluation result{{}, ConfusionTable(lacking + 1), {}, sentences->size()};
  result.sums.loss_sum =
      run(sentences, true, [&](std::int64_t sentence, std::span<const std::int32_t> tags) {
        const std::int64_t begin = sentences->begins[std::size_t(sentence)];
        for (std::size_t k = 0; k < tags.size(); ++k) {
          const std::size_t token = std::size_t(begin) + k;
          const std::int32_t tag = sentences->tags[token];
          const int hit = tags[k] == tag ? 1 : 0;
          result.confusion.add(tag == kIgnoredId ? lacking : tag, tags[k]);
          result.sums.hits += hit;
          ++result.sums.count;
          if (sentences->distinct.in_training[std::size_t(sentences->forms[token])] != 0) continue;
          result.unknown.hits += hit;
          ++result.unknown.count;
        }
      });
  if (!std::isfinite(result.sums.loss()))
    throw std::runtime_error(
        fmt::format("{}: got a loss of {} nats per token from the model, expected a finite one",
                    name, result.sums.loss()));
  return result;
}

}  // namespace unroll
