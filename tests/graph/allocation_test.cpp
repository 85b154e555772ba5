/// A training step allocates nothing, nor does reading its batches: this program replaces malloc
/// and its relatives, which operator new calls too, and counts what any thread asks for while a
/// step runs.
#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "host/data/batch_queue.h"
#include "host/data/batches.h"
#include "host/data/text_batches.h"
#include "tests/support/language_model.h"
#include "unroll/backend.h"
#include "unroll/layers.h"
#include "unroll/ops.h"
#include "unroll/optimizer.h"
#include "unroll/recurrent.h"
#include "unroll/session.h"

#if UNROLL_SANITIZED || defined(__SANITIZE_THREAD__) || !defined(__GLIBC__)
#define UNROLL_TEST_COUNTS_ALLOCATIONS 0  // sanitizers bring a malloc of their own
#else
#define UNROLL_TEST_COUNTS_ALLOCATIONS 1
#endif

namespace {
std::atomic<bool> counting{false};
std::atomic<int> allocations{0};

[[maybe_unused]] void count() {
  if (counting.load(std::memory_order_relaxed)) allocations.fetch_add(1);
}
}  // namespace

#if UNROLL_TEST_COUNTS_ALLOCATIONS
// glibc's own functions under the names that stay reachable when malloc is replaced.
// NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming)
extern "C" {
void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);
void __libc_free(void*);
// NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming)

void* malloc(std::size_t size) {
  count();
  return __libc_malloc(size);
}
void* calloc(std::size_t number, std::size_t size) {
  count();
  return __libc_calloc(number, size);
}
void* realloc(void* old, std::size_t size) {
  count();
  return __libc_realloc(old, size);
}
void* memalign(std::size_t alignment, std::size_t size) {
  count();
  return __libc_memalign(alignment, size);
}
void* aligned_alloc(std::size_t alignment, std::size_t size) {
  count();
  return __libc_memalign(alignment, size);
}
int posix_memalign(void** out, std::size_t alignment, std::size_t size) {
  count();
  *out = __libc_memalign(alignment, size);
  return *out == nullptr ? ENOMEM : 0;
}
void free(void* p) {
  __libc_free(p);
}
}
#endif

namespace unroll::test {
namespace {

/// Counts allocations on every thread while it lives.
class AllocationCount {
 public:
  AllocationCount() {
    allocations = 0;
    counting = true;
  }
  ~AllocationCount() { counting = false; }
  int stop() {
    counting = false;
    return allocations;
  }
};

class Allocation : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!UNROLL_TEST_COUNTS_ALLOCATIONS) GTEST_SKIP() << "allocations cannot be counted here";
  }
};

TEST_F(Allocation, AreCounted) {
  AllocationCount count;
  std::vector<float>* const values = new std::vector<float>(1000);
  const int seen = count.stop();
  delete values;
  EXPECT_EQ(seen, 2);
}

TEST_F(Allocation, ATrainingStepMakesNone) {
  for (const int threads : {1, 2, 3})
    for (const bool tied : {false, true}) {
      SCOPED_TRACE(threads);
      LanguageModel model(kOpen, 0.3, tied);
      Session session(model.graph, cpu(threads), 1);
      const std::vector<std::int32_t> ids = LanguageModel::words(9, 0),
                                      targets = LanguageModel::words(9, 7);
      const std::vector<Feed> feeds{{model.ids, ids}, {model.targets, targets}};
      const std::vector<Tensor> fetches{model.step, model.loss};
      session.run(fetches, feeds);  // plans
      AllocationCount count;
      for (int run = 0; run < 5; ++run) session.run(fetches, feeds);
      EXPECT_EQ(count.stop(), 0);
    }
}

// Coming back to a plan made earlier, and reading results into memory at hand.
TEST_F(Allocation, ChangingBetweenKnownShapesMakesNone) {
  LanguageModel model(kOpen);
  Session session(model.graph, cpu(2), 1);
  const std::vector<std::int32_t> long_ids = LanguageModel::words(9, 0),
                                  short_ids = LanguageModel::words(4, 0);
  const std::vector<Feed> nine{{model.ids, long_ids}, {model.targets, long_ids}};
  const std::vector<Feed> four{{model.ids, short_ids}, {model.targets, short_ids}};
  const std::vector<Tensor> fetches{model.step, model.loss};
  std::vector<float> loss(1);
  for (int run = 0; run < 2; ++run) {  // plans, and then what a larger arena asks of the first plan
    session.run(fetches, four);
    session.run(fetches, nine);
  }
  AllocationCount count;
  for (int run = 0; run < 3; ++run) {
    session.run(fetches, four);
    session.run(fetches, nine);
    session.read<float>(model.loss, loss);
  }
  EXPECT_EQ(count.stop(), 0);
  EXPECT_GT(loss[0], 0.0F);
}

TEST_F(Allocation, LoopsAndBranchesMakeNone) {
  Graph graph;
  const Tensor x = graph.placeholder("x", {kOpen, 4, 3});
  const Tensor p = graph.placeholder("p", {}, DType::kBool);
  const Tensor zero = graph.constant(0, {4, 3}), none = graph.constant(0);
  const Unrolled out = scanned(
      [](Tensor x_t, const CellState& s) {
        const Tensor h = tanh(dense(concat({x_t, s[0]}, 1), 3, "layer"));
        return std::pair<Tensor, CellState>(dropout(h, 0.5), {h});
      },
      x, {zero});
  const Tensor cost = cond(
      p, [&] { return std::vector{reduce_sum(out.y)}; },
      [&] { return std::vector{reduce_sum(out.state[0])}; })[0];
  const Tensor step = GradientDescentOptimizer(0.1).minimize(cost);
  const Tensor count = while_loop([](const auto& s) { return less(s[0], 5); },
                                  [](const auto& s) { return std::vector{s[0] + 1}; }, {none},
                                  {.max_iterations = 5})[0];
  Session session(graph, cpu(2), 1);
  const std::vector<float> in(5 * 4 * 3, 1);
  const bool both[] = {true, false};
  const std::span<const bool> yes(&both[0], 1), no(&both[1], 1);
  const std::vector<Feed> first{{x, in}, {p, yes}}, second{{x, in}, {p, no}};
  const std::vector<Tensor> fetches{step, cost, count};
  session.run(fetches, first);
  AllocationCount counted;
  for (int run = 0; run < 5; ++run) session.run(fetches, run % 2 == 0 ? second : first);
  EXPECT_EQ(counted.stop(), 0);
  EXPECT_EQ(session.read(count), std::vector<float>{5});
}

// Batches are read ahead by another thread, whose allocations count too.
TEST_F(Allocation, ReadingBatchesAheadMakesNone) {
  const std::vector<std::int32_t> text(10'000);
  BatchStream stream(text, {.streams = 7, .steps = 11});
  BatchQueue queue(stream);
  AllocationCount count;
  std::int64_t tokens = 0;
  for (int epoch = 0; epoch < 2; ++epoch, queue.seek(1, 0))
    while (const Batch* batch = queue.next()) tokens += batch->count;
  EXPECT_EQ(count.stop(), 0);
  EXPECT_EQ(tokens, 20'000);
}

TEST_F(Allocation, BatchingTextsMakesNone) {
  LabelledSplit split;
  for (std::size_t k = 0; k < 500; ++k)
    split.add(std::vector<std::int32_t>(1 + k * k % 90), kIgnoredId);
  TextBatches batches(std::make_shared<const LabelledSplit>(std::move(split)),
                      {.batch = 8, .mean = true, .seed = 1});
  Batch batch = batches.largest();
  AllocationCount count;
  std::int64_t texts = 0;
  for (std::int64_t epoch = 1; epoch <= 2; ++epoch)
    for (batches.seek(epoch, 0); batches.next(batch);) texts += batch.count;
  EXPECT_EQ(count.stop(), 0);
  EXPECT_EQ(texts, 1000);
}

}  // namespace
}  // namespace unroll::test
