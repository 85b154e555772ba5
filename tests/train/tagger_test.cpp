/// Runs that train a tagger keep what runs of a language model keep: cut after any update they end
/// with the same bits, for any number of threads and on every backend; what was measured is what
/// was saved; frozen vectors stay as they were given.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "host/infer/tagger.h"
#include "host/models/evaluate.h"
#include "host/models/model_file.h"
#include "tests/support/backends.h"
#include "tests/support/tagger.h"
#include "tests/support/training.h"

namespace unroll::test {
namespace {

TrainedRun train_tagger(const SmallTagger& small, const TrainingOptions& options,
                        const TrainParts& parts = {}) {
  const TaggedCorpus corpus = small.corpus();
  const auto task = small.task(corpus);
  TaggedBatches::Options training = task->batches(5);
  training.seed = options.seed;
  training.unknown_rate = 0.3;
  TaskExamples examples;
  examples.train = std::make_unique<TaggedBatches>(corpus.train, training);
  examples.valid = std::make_unique<TaggedBatches>(corpus.valid, task->batches(5));
  examples.test = std::make_unique<TaggedBatches>(corpus.test, task->batches(5));
  return train_task(*task, examples, options, parts);
}

TrainingOptions tagger_options(const TempFolder& folder) {
  TrainingOptions options = small_options(folder.path() / "run");
  options.epochs = 2;
  options.eval_interval = 5;
  options.save_interval = 3;
  options.log_interval = 4;
  return options;
}

TEST(TaggerRuns, LearnWordsTheirNeighboursAndTheirEnds) {
  for (const bool crf : {false, true}) {
    const SmallTagger small{.crf = crf, .sentences = 300};
    SCOPED_TRACE(small.name());
    const TempFolder folder;
    TrainingOptions options = small_options(folder.path() / "run");
    options.epochs = 12;
    options.schedule.learning_rate = 0.02;
    const TrainedRun trained = train_tagger(small, options);
    EXPECT_GT(trained.result.test.accuracy(), 0.95);
    const LoadedModel loaded = load_model(options.run_dir, cpu(1));
    EXPECT_EQ(loaded.task->name(), "tag");
    const auto task = std::dynamic_pointer_cast<const SequenceTagger>(loaded.task);
    const TaggedCorpus corpus = small.corpus();
    TaggedBatches valid(corpus.valid, task->batches(5));
    const Evaluation again = Evaluator(*task, loaded.store).evaluate(valid);
    EXPECT_EQ(again.loss_sum, trained.result.valid.loss_sum);
    EXPECT_EQ(again.hits, trained.result.valid.hits);
    EXPECT_EQ(again.count, trained.result.valid.count);

    const TaggerEvaluation asked = Tagger(task, loaded.store).evaluate(corpus.valid, "valid");
    EXPECT_EQ(asked.sums.hits, again.hits);
    EXPECT_EQ(asked.sums.count, again.count);
    EXPECT_NEAR(asked.sums.loss(), again.loss(), 1e-5);
  }
}

TEST(TaggerRuns, CutAfterAnyUpdateTheyEndWithTheSameBits) {
  // Every cut takes half a minute; each of the ordinary short runs takes another quarter of them.
  const std::int64_t stride = std::getenv("UNROLL_EVERY_CUT") ? 1 : 4;
  std::int64_t tagger = 0;
  for (const SmallTagger& small : kSmallTaggers) {
    SCOPED_TRACE(small.name());
    const TempFolder uncut_folder;
    const TrainingOptions uncut_options = tagger_options(uncut_folder);
    const TrainedRun uncut = train_tagger(small, uncut_options);
    ASSERT_EQ(uncut.result.steps, 16);
    for (std::int64_t cut = 1 + tagger++ % stride; cut <= uncut.result.steps; cut += stride) {
      SCOPED_TRACE(cut);
      const TempFolder folder;
      const TrainingOptions options = tagger_options(folder);
      const TrainedRun first = train_tagger(small, options, {.stop_after = cut});
      EXPECT_TRUE(first.result.interrupted);
      const TrainedRun second = train_tagger(small, options, {.resume = true});
      EXPECT_TRUE(final_bits(options.run_dir) == final_bits(uncut_options.run_dir));
      EXPECT_EQ(second.result.test.loss_sum, uncut.result.test.loss_sum);
      EXPECT_EQ(first.log.size() + second.log.size(), uncut.log.size());
    }
  }
}

TEST(TaggerRuns, SameSeedSameBitsForAnyNumberOfThreads) {
  for (const SmallTagger& small : kSmallTaggers) {
    SCOPED_TRACE(small.name());
    const auto bits = [&](int threads, std::uint64_t seed) {
      const TempFolder folder;
      TrainingOptions options = tagger_options(folder);
      options.seed = seed;
      train_tagger(small, options, {.backend = cpu(threads)});
      return final_bits(options.run_dir);
    };
    const std::string expected = bits(1, 5);
    EXPECT_TRUE(bits(2, 5) == expected);
    EXPECT_TRUE(bits(7, 5) == expected);
    EXPECT_FALSE(bits(1, 6) == expected);
  }
}

/// The embedding [V, 8] in the last checkpoint.
std::vector<float> saved_embedding(const TrainingOptions& options) {
  return load_model(options.run_dir / "latest", cpu(1)).store->read<float>(kEncoder);
}

TEST(TaggerRuns, VectorsAreWhereEmbeddingsStartOrStay) {
  for (const bool frozen : {false, true}) {
    const SmallTagger small{.vectors = true, .frozen = frozen};
    SCOPED_TRACE(small.name());
    const TempFolder begun_folder, folder;
    const TrainingOptions begun = tagger_options(begun_folder), options = tagger_options(folder);
    train_tagger(small, options);
    const std::vector<float> after = saved_embedding(options);
    const TaggedCorpus corpus = small.corpus();
    const KnownWords& words = corpus.vocabulary->words;
    const auto vectors = few_vectors();
    const auto same = [&](const char* word) {
      const auto at = std::ptrdiff_t(words.find(word)) * 8;
      return std::ranges::equal(vectors->row(vectors->words.find(word)),
                                std::span(after).subspan(std::size_t(at), 8));
    };
    EXPECT_NE(words.find("absent"), KnownWords::kUnknown);
    EXPECT_EQ(same("they"), frozen);
    EXPECT_EQ(same("raling"), frozen);
    if (!frozen) continue;
    EXPECT_TRUE(same("absent"));
    // Words without a vector are frozen, too, where they began.
    train_tagger(small, begun, {.stop_after = 1});
    EXPECT_EQ(saved_embedding(begun), after);
    const Checkpoint checkpoint = load_checkpoint(options.run_dir, {.latest = true, .state = true});
    EXPECT_TRUE(checkpoint.model.find(kEncoder));
    EXPECT_FALSE(checkpoint.state->find(kEncoder));
  }
}

class TaggerTrainingOnDevice : public OnEachBackend {};

// Adam at 1e-3 does not let roundings grow in so few steps: see
// tests/models/devices_agree_test.cpp.
TEST_P(TaggerTrainingOnDevice, AgreesWithTheProcessorAndIsResumedExactly) {
  for (const SmallTagger& small : kSmallTaggers) {
    SCOPED_TRACE(small.name());
    const TempFolder whole_folder, cut_folder, host_folder;
    const auto options = [](const TempFolder& folder) {
      TrainingOptions options = tagger_options(folder);
      options.schedule.learning_rate = 1e-3;
      return options;
    };
    const TrainedRun whole = train_tagger(small, options(whole_folder), {.backend = backend_});
    train_tagger(small, options(cut_folder), {.backend = backend_, .stop_after = 11});
    train_tagger(small, options(cut_folder), {.backend = backend_, .resume = true});
    EXPECT_TRUE(final_bits(options(cut_folder).run_dir) ==
                final_bits(options(whole_folder).run_dir));
    const TrainedRun host = train_tagger(small, options(host_folder));
    EXPECT_NEAR(whole.result.test.loss(), host.result.test.loss(), 1e-4 * host.result.test.loss());
  }
}

INSTANTIATE_TEST_SUITE_P(On, TaggerTrainingOnDevice, ::testing::Values("Cuda"), backend_name);

}  // namespace
}  // namespace unroll::test
