/// A linear-chain conditional random field: loss and gradient against enumeration and against
/// forward-backward in float64, the best sequence, what counts for nothing, and what is not finite.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "host/cpu/isa.h"
#include "tests/support/backends.h"
#include "tests/support/compare.h"
#include "tests/support/random.h"
#include "tests/support/reference_crf.h"
#include "unroll/gradients.h"
#include "unroll/ops.h"
#include "unroll/session.h"

namespace unroll::test {
namespace {

using reference::Chain;
using reference::ChainSlopes;
using reference::Tags;

constexpr double kInfinite = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

struct CrfDims {
  std::int64_t steps, batch, tags;
};

std::string describe_chain(const CrfDims& d) {
  return "T=" + std::to_string(d.steps) + " N=" + std::to_string(d.batch) +
         " K=" + std::to_string(d.tags);
}

struct CrfData {
  CrfDims dims;
  Reals scores, transitions, start, end;
  std::vector<std::int32_t> tags, lengths;
  std::vector<double> dloss;

  double& score(std::int64_t t, std::int64_t n, std::int64_t k) {
    return scores.values[std::size_t((t * dims.batch + n) * dims.tags + k)];
  }
  std::int32_t& tag(std::int64_t t, std::int64_t n) {
    return tags[std::size_t(t * dims.batch + n)];
  }
  std::int64_t length(std::int64_t n) const { return lengths[std::size_t(n)]; }

  Tags tags_of(std::int64_t n) const {
    Tags result;
    for (std::int64_t t = 0; t < length(n); ++t)
      result.push_back(tags[std::size_t(t * dims.batch + n)]);
    return result;
  }
  bool ignored(std::int64_t n) const {
    const Tags all = tags_of(n);
    return std::find(all.begin(), all.end(), -1) != all.end();
  }
  Chain<double> chain(std::int64_t n) const {
    Chain<double> c{Reals({length(n), dims.tags}), transitions, start, end};
    for (std::int64_t t = 0; t < length(n); ++t)
      for (std::int64_t k = 0; k < dims.tags; ++k)
        c.scores.at(t, k) = scores.at(t * dims.batch + n, k);
    return c;
  }
};

/// Sequence 0 is the longest and 1 the shortest. From sequence 2 on every fifth has an ignored tag.
/// Scores behind an end are NaN, and tags there are none.
CrfData random_chains(const CrfDims& d, double size = 2, std::uint64_t seed = 1) {
  Random random(seed);
  CrfData data{d,
               random.array({d.steps, d.batch, d.tags}, -size, size),
               random.array({d.tags, d.tags}, -size, size),
               random.array({d.tags}, -size, size),
               random.array({d.tags}, -size, size),
               random.integers(std::size_t(d.steps * d.batch), 0, std::int32_t(d.tags)),
               random.integers(std::size_t(d.batch), 1, std::int32_t(d.steps) + 1),
               random.array({d.batch}, -1, 1).values};
  for (std::int64_t n = 0; n < d.batch; ++n) {
    if (n < 2) data.lengths[std::size_t(n)] = n == 0 ? std::int32_t(d.steps) : 1;
    if (n % 5 == 2) data.tag(data.length(n) / 2, n) = -1;
    for (std::int64_t t = data.length(n); t < d.steps; ++t) {
      data.tag(t, n) = 1234567;
      for (std::int64_t k = 0; k < d.tags; ++k) data.score(t, n, k) = kNaN;
    }
  }
  return data;
}

/// Rounds everything, so that sums are exact and equal ones frequent.
CrfData rounded_chain(CrfData data) {
  for (Reals* part : {&data.scores, &data.transitions, &data.start, &data.end})
    for (double& x : part->values) x = std::round(x);
  return data;
}

struct CrfResult {
  std::vector<float> loss, sums, dscores, dtransitions, dstart, dend;
};

/// The gradient of sum_n dloss[n] loss[n].
struct CrfExpectation {
  std::vector<double> loss, dscores, dtransitions, dstart, dend;
};

CrfExpectation expect(const CrfData& data) {
  const CrfDims& d = data.dims;
  const auto zeros = [](std::int64_t count) { return std::vector<double>(std::size_t(count), 0); };
  CrfExpectation e{zeros(d.batch), zeros(d.steps * d.batch * d.tags), zeros(d.tags * d.tags),
                   zeros(d.tags), zeros(d.tags)};
  const auto add = [](std::vector<double>& sum, const Reals& part, double factor) {
    for (std::size_t k = 0; k < sum.size(); ++k) sum[k] += factor * part.values[k];
  };
  for (std::int64_t n = 0; n < d.batch; ++n) {
    if (data.ignored(n)) continue;
    const ChainSlopes found = reference::chain_slopes(data.chain(n), data.tags_of(n));
    const double factor = data.dloss[std::size_t(n)];
    e.loss[std::size_t(n)] = found.loss;
    for (std::int64_t t = 0; t < data.length(n); ++t)
      for (std::int64_t k = 0; k < d.tags; ++k)
        e.dscores[std::size_t((t * d.batch + n) * d.tags + k)] =
            factor * found.slopes.scores.at(t, k);
    add(e.dtransitions, found.slopes.transitions, factor);
    add(e.dstart, found.slopes.start, factor);
    add(e.dend, found.slopes.end, factor);
  }
  return e;
}

/// Calls the kernels of one backend.
class CrfRun {
 public:
  CrfRun(Backend& backend, GuardedMemory& memory, const CrfData& data)
      : backend_(backend),
        memory_(memory),
        size_{data.dims.steps, data.dims.batch, data.dims.tags},
        scores_(memory.in(data.scores)),
        tags_(memory.in(data.tags, {size_.steps, size_.batch})),
        lengths_(memory.in(data.lengths, {size_.batch})),
        dloss_(memory.in(floats(data.dloss), {size_.batch})),
        weights_{memory.in(data.transitions), memory.in(data.start), memory.in(data.end)} {}

  std::vector<float> loss() {
    const View out = memory_.out({size_.batch});
    backend_.crf_loss({scores_, tags_, lengths_, weights_, out, {}, {}, scratch(CrfPass::kLoss)});
    return memory_.get(out);
  }

  CrfResult gradient(bool of_scores = true, bool of_weights = true) {
    const Shape all{size_.steps, size_.batch, size_.tags}, row{size_.tags};
    const View out = memory_.out({size_.batch}), alpha = memory_.out(all), sums = memory_.out(all);
    backend_.crf_loss(
        {scores_, tags_, lengths_, weights_, out, alpha, sums, scratch(CrfPass::kLoss)});
    const View dscores = of_scores ? memory_.out(all) : View();
    CrfWeightViews dweights;
    if (of_weights)
      dweights = {memory_.out({size_.tags, size_.tags}), memory_.out(row), memory_.out(row)};
    backend_.crf_loss_gradient({tags_, lengths_, weights_, alpha, sums, dloss_, dscores, dweights,
                                scratch(CrfPass::kLossGradient)});
    const auto get = [&](const View& view) {
      return view ? memory_.get(view) : std::vector<float>();
    };
    return {memory_.get(out),
            memory_.get(sums),
            get(dscores),
            get(dweights.transitions),
            get(dweights.start_transitions),
            get(dweights.end_transitions)};
  }

  std::vector<std::int32_t> decode() {
    const View out = memory_.out({size_.steps, size_.batch}, DType::kInt32);
    backend_.crf_decode({scores_, lengths_, weights_, out, scratch(CrfPass::kDecode)});
    return memory_.get<std::int32_t>(out);
  }

 private:
  View scratch(CrfPass pass) { return memory_.raw(backend_.crf_scratch_bytes(pass, size_)); }

  Backend& backend_;
  GuardedMemory& memory_;
  CrfSize size_;
  View scores_, tags_, lengths_, dloss_;
  CrfWeightViews weights_;
};

/// `size`: of the largest score or weight. In each of T steps four numbers of that size, or of ln
/// K, are rounded, and the errors of steps are independent. Probabilities err by as much as the
/// logarithms that they are made of.
void expect_close(const CrfResult& found, const CrfExpectation& expected, const CrfData& data,
                  double size) {
  const auto [steps, batch, tags] = data.dims;
  const double roundings = std::sqrt(double(steps)) + 4;
  EXPECT_TRUE(close(found.loss, expected.loss, roundings, size));
  EXPECT_TRUE(close(found.dscores, expected.dscores, roundings, size));
  // A sum over the batch; of the transitions also over timesteps, T N / K for a tag in the mean.
  const double pairs = double(steps * batch) / double(tags);
  EXPECT_TRUE(close(found.dstart, expected.dstart, roundings, size + double(batch)));
  EXPECT_TRUE(close(found.dend, expected.dend, roundings, size + double(batch)));
  EXPECT_TRUE(close(found.dtransitions, expected.dtransitions, roundings, size + pairs));
}

class CrfTest : public OnEachBackend {
 protected:
  CrfRun run(const CrfData& data) { return {*backend_, *memory_, data}; }

  void check(const CrfData& data, double size) {
    SCOPED_TRACE(describe_chain(data.dims) + " of size " + std::to_string(size));
    const CrfResult found = run(data).gradient();
    expect_close(found, expect(data), data, size);
    EXPECT_TRUE(identical(run(data).loss(), found.loss));
    finish_case();
  }
};

// One step, one sequence, one tag; rows of tags that fill vectors, warps and blocks, one less, one
// more; long sequences.
const CrfDims kDims[] = {{1, 1, 1},   {1, 3, 5},   {2, 4, 2},   {30, 32, 17}, {7, 33, 31},
                         {9, 31, 32}, {5, 33, 33}, {300, 3, 2}, {257, 2, 17}, {12, 7, 50},
                         {256, 1, 1}, {6, 3, 63},  {6, 3, 65},  {4, 3, 128},  {4, 2, 129},
                         {5, 3, 255}, {3, 2, 256}, {5, 3, 257}, {2, 2, 700},  {3, 1, 1024}};

TEST_P(CrfTest, LossAndGradientMatchForwardBackward) {
  for (const CrfDims& dims : kDims) check(random_chains(dims), 4 + std::log(double(dims.tags)));
}

TEST_P(CrfTest, LossMatchesEnumeration) {
  for (const CrfDims& dims :
       {CrfDims{1, 2, 3}, CrfDims{2, 3, 4}, CrfDims{7, 4, 2}, CrfDims{5, 8, 3}, CrfDims{9, 1, 1}}) {
    SCOPED_TRACE(describe_chain(dims));
    const CrfData data = random_chains(dims, 2, 7);
    std::vector<double> expected;
    for (std::int64_t n = 0; n < dims.batch; ++n)
      expected.push_back(data.ignored(n) ? 0
                                         : reference::chain_loss(data.chain(n), data.tags_of(n)));
    // Some 20 numbers below 8 are rounded.
    EXPECT_TRUE(close(run(data).loss(), expected, 10, 8));
    finish_case();
  }
}

// Some sums of a column are far below its greatest term, and are computed from logarithms.
TEST_P(CrfTest, WideScoresNeitherOverflowNorUnderflow) {
  for (const double size : {30.0, 100.0, 1000.0, 1e4})
    for (const CrfDims& dims : {CrfDims{2, 3, 2}, CrfDims{30, 7, 17}, CrfDims{20, 3, 33},
                                CrfDims{6, 2, 255}, CrfDims{6, 2, 257}}) {
      const CrfData data = random_chains(dims, size, 3);
      check(data, 4 * size);
      if (dims.steps < 6 || size < 100) continue;
      const std::vector<float> sums = run(data).gradient().sums;
      EXPECT_GT(std::count(sums.begin() + dims.batch * dims.tags, sums.end(), 0.0F), 0);
      finish_case();
    }
}

TEST_P(CrfTest, GradientsAreComputedByThemselves) {
  for (const CrfDims& dims : {CrfDims{9, 5, 17}, CrfDims{6, 3, 257}}) {
    const CrfData data = random_chains(dims, 50);
    const CrfResult all = run(data).gradient(), scores = run(data).gradient(true, false),
                    weights = run(data).gradient(false, true);
    EXPECT_TRUE(identical(scores.dscores, all.dscores));
    EXPECT_TRUE(identical(weights.dtransitions, all.dtransitions));
    EXPECT_TRUE(identical(weights.dstart, all.dstart));
    EXPECT_TRUE(identical(weights.dend, all.dend));
    finish_case();
  }
}

/// Sums of whole numbers are exact, so that equals are equal.
TEST_P(CrfTest, DecodesWhatEnumerationFindsBest) {
  for (const CrfDims& dims : {CrfDims{1, 9, 3}, CrfDims{2, 40, 4}, CrfDims{7, 40, 2},
                              CrfDims{5, 40, 3}, CrfDims{4, 3, 1}})
    for (const std::uint64_t seed : {1, 2}) {
      SCOPED_TRACE(describe_chain(dims));
      const CrfData data = rounded_chain(random_chains(dims, 1.4, seed));
      const std::vector<std::int32_t> found = run(data).decode();
      for (std::int64_t n = 0; n < dims.batch; ++n) {
        Tags expected = reference::best_tagging(data.chain(n)), tags;
        expected.resize(std::size_t(dims.steps), -1);
        for (std::int64_t t = 0; t < dims.steps; ++t)
          tags.push_back(found[std::size_t(t * dims.batch + n)]);
        EXPECT_EQ(tags, expected) << "sequence " << n;
      }
      finish_case();
    }
}

TEST_P(CrfTest, DecodesALongSequenceToItsBestScore) {
  for (const CrfDims& dims : kDims) {
    SCOPED_TRACE(describe_chain(dims));
    const CrfData data = random_chains(dims, 2, 5);
    const std::vector<std::int32_t> found = run(data).decode();
    for (std::int64_t n = 0; n < dims.batch; ++n) {
      Tags tags;
      for (std::int64_t t = 0; t < dims.steps; ++t) {
        const std::int32_t tag = found[std::size_t(t * dims.batch + n)];
        ASSERT_EQ(tag >= 0 && tag < dims.tags, t < data.length(n)) << "at " << t;
        if (tag >= 0) tags.push_back(tag);
      }
      // Two roundings of numbers below 8 in each step; what a choice loses by them adds up.
      const double lost =
          reference::best_score(data.chain(n)) - reference::chain_score(data.chain(n), tags);
      EXPECT_LE(lost, 8 * kUlp * double(tags.size())) << "sequence " << n;
    }
    finish_case();
  }
}

TEST_P(CrfTest, OfEqualsTheSmallerTagWins) {
  for (const CrfDims& dims : {CrfDims{4, 2, 5}, CrfDims{3, 2, 33}, CrfDims{3, 1, 300}}) {
    CrfData data = rounded_chain(random_chains(dims, 0.4));
    std::vector<std::int32_t> expected(std::size_t(dims.steps * dims.batch), 0);
    for (std::int64_t n = 0; n < dims.batch; ++n)
      for (std::int64_t t = data.length(n); t < dims.steps; ++t)
        expected[std::size_t(t * dims.batch + n)] = -1;
    EXPECT_EQ(run(data).decode(), expected);
    // Then two tags share the first place.
    for (std::int64_t t = 0; t < data.length(0); ++t)
      for (const std::int64_t k : {dims.tags - 1, dims.tags - 2}) data.score(t, 0, k) = 1;
    for (std::int64_t t = 0; t < data.length(0); ++t)
      expected[std::size_t(t * dims.batch)] = std::int32_t(dims.tags - 2);
    EXPECT_EQ(run(data).decode(), expected);
    finish_case();
  }
}

/// What is wrong with one sequence leaves the bits of the others as they were.
TEST_P(CrfTest, NanReachesItsOwnSequenceOnly) {
  const CrfDims dims{6, 8, 19};
  const CrfData clean = random_chains(dims);
  const CrfResult expected = run(clean).gradient();
  const std::vector<std::int32_t> tags = run(clean).decode();
  const std::int64_t n = 3;
  CrfData nan_score = clean, bad_tag = clean, large_tag = clean, empty = clean, too_long = clean;
  nan_score.score(clean.length(n) - 1, n, 18) = kNaN;
  bad_tag.tag(0, n) = -2;
  large_tag.tag(clean.length(n) - 1, n) = std::int32_t(dims.tags);
  empty.lengths[std::size_t(n)] = 0;
  too_long.lengths[std::size_t(n)] = std::int32_t(dims.steps) + 1;
  for (const CrfData* data : {&nan_score, &bad_tag, &large_tag, &empty, &too_long}) {
    CrfResult found = run(*data).gradient();
    std::vector<std::int32_t> decoded = run(*data).decode();
    EXPECT_TRUE(std::isnan(found.loss[std::size_t(n)]));
    found.loss[std::size_t(n)] = expected.loss[std::size_t(n)];
    EXPECT_TRUE(std::isnan(found.dtransitions[0]) || clean.length(n) == 1);
    for (std::int64_t t = 0; t < dims.steps; ++t) {
      const std::size_t at = std::size_t(t * dims.batch + n);
      const bool undecodable = data != &bad_tag && data != &large_tag;
      EXPECT_EQ(decoded[at], undecodable ? -1 : tags[at]);
      decoded[at] = tags[at];
      for (std::size_t k = at * std::size_t(dims.tags); k < (at + 1) * std::size_t(dims.tags);
           ++k) {
        EXPECT_TRUE(std::isnan(found.dscores[k]) || t >= clean.length(n)) << t;
        found.dscores[k] = expected.dscores[k];
      }
    }
    EXPECT_TRUE(identical(found.loss, expected.loss));
    EXPECT_TRUE(identical(found.dscores, expected.dscores));
    EXPECT_EQ(decoded, tags);
    finish_case();
  }
}

TEST_P(CrfTest, NanWeightsAreNotOverlooked) {
  for (const int which : {0, 1, 2}) {
    CrfData data = random_chains({5, 8, 19});
    (which == 0 ? data.transitions : which == 1 ? data.start : data.end).values[7] = kNaN;
    const std::vector<float> loss = run(data).loss();
    const std::vector<std::int32_t> tags = run(data).decode();
    for (std::int64_t n = 0; n < data.dims.batch; ++n) {
      const bool read = which > 0 || data.length(n) > 1;
      EXPECT_EQ(tags[std::size_t(n)] < 0, read);
      if (!data.ignored(n)) {
        EXPECT_EQ(std::isnan(loss[std::size_t(n)]), read);
      }
    }
    finish_case();
  }
}

/// An ignored sequence may hold anything.
TEST_P(CrfTest, IgnoredSequencesCountForNothing) {
  CrfData data = random_chains({5, 9, 19});
  const CrfResult expected = run(data).gradient();
  for (const std::int64_t n : {2, 7}) data.score(0, n, 3) = n == 2 ? kNaN : kInfinite;
  const CrfResult found = run(data).gradient();
  EXPECT_EQ(found.loss[2], 0);
  EXPECT_TRUE(identical(found.loss, expected.loss));
  EXPECT_TRUE(identical(found.dscores, expected.dscores));
  EXPECT_TRUE(identical(found.dtransitions, expected.dtransitions));
  EXPECT_TRUE(identical(found.dstart, expected.dstart));
  EXPECT_TRUE(identical(found.dend, expected.dend));
}

/// Tags 2 and above follow only themselves and tag 1, as the inside of a chunk does its beginning.
TEST_P(CrfTest, ExcludedTagsHaveNoProbability) {
  for (const std::int64_t tags : {5, 33, 257}) {
    CrfData data = random_chains({6, 5, tags});
    for (std::int64_t i = 0; i < tags; ++i)
      for (std::int64_t j = 2; j < tags; ++j)
        if (i != 1 && i != j) data.transitions.at(i, j) = -kInfinite;
    for (std::int64_t j = 2; j < tags; ++j) data.start.values[std::size_t(j)] = -kInfinite;
    for (std::int32_t& tag : data.tags) tag = tag >= 2 && tag < 1000 ? 1 : tag;
    data.score(2, 0, 0) = -kInfinite;
    data.tag(2, 0) = 1;
    check(data, 4 + std::log(double(tags)));

    // Tags that are impossible, then a timestep at which all are.
    data.tag(0, 0) = 2;
    EXPECT_EQ(run(data).loss()[0], kInfinite);
    EXPECT_GE(run(data).decode()[0], 0);
    for (std::int64_t k = 0; k < tags; ++k) data.score(3, 0, k) = -kInfinite;
    EXPECT_TRUE(std::isnan(run(data).loss()[0]));
    EXPECT_TRUE(std::isnan(run(data).gradient().dscores[0]));
    const std::vector<std::int32_t> decoded = run(data).decode();
    EXPECT_EQ(decoded[0], -1);
    EXPECT_GE(decoded[1], 0);
    finish_case();
  }
}

UNROLL_FOR_EACH_BACKEND(CrfTest);

/// The graph of a weighted sum of losses.
struct CrfGraph {
  Graph graph;
  Tensor scores, tags, lengths, dloss, loss, cost, best;
  CrfWeights weights;

  CrfGraph(std::int64_t batch, std::int64_t count)
      : scores(graph.placeholder("scores", {kOpen, batch, count})),
        tags(graph.placeholder("tags", {kOpen, batch}, DType::kInt32)),
        lengths(graph.placeholder("lengths", {batch}, DType::kInt32)),
        dloss(graph.placeholder("dloss", {batch})),
        weights{graph.placeholder("transitions", {count, count}),
                graph.placeholder("start", {count}), graph.placeholder("end", {count})} {
    loss = crf_loss(scores, tags, lengths, weights);
    cost = reduce_sum(loss * dloss);
    best = crf_decode(scores, lengths, weights);
  }
  std::vector<Tensor> inputs() const {
    return {scores, weights.transitions, weights.start_transitions, weights.end_transitions};
  }
};

/// Feeds, and the values that they point to.
struct CrfFeeds {
  std::vector<float> scores, dloss, transitions, start, end;
  std::vector<Feed> feeds;

  CrfFeeds(const CrfGraph& g, const CrfData& data)
      : scores(floats(data.scores)),
        dloss(floats(data.dloss)),
        transitions(floats(data.transitions)),
        start(floats(data.start)),
        end(floats(data.end)),
        feeds{
            {g.scores, std::span<const float>(scores), shape_of(data.scores.dims)},
            {g.tags, std::span<const std::int32_t>(data.tags), {data.dims.steps, data.dims.batch}},
            {g.lengths, data.lengths},
            {g.dloss, dloss},
            {g.weights.transitions, transitions},
            {g.weights.start_transitions, start},
            {g.weights.end_transitions, end}} {}
};

class CrfGraphTest : public OnEachBackend {};

TEST_P(CrfGraphTest, GradientsMatchEnumerationByComplexStep) {
  for (const CrfDims& dims : {CrfDims{1, 2, 3}, CrfDims{4, 3, 2}, CrfDims{3, 4, 3}}) {
    SCOPED_TRACE(describe_chain(dims));
    const CrfData data = random_chains(dims, 2, 9);
    CrfGraph g(dims.batch, dims.tags);
    const std::vector<Tensor> slopes = dense_gradients(g.cost, g.inputs());
    const CrfFeeds feeds(g, data);
    Session session(g.graph, backend_);
    session.run(slopes, feeds.feeds);
    using reference::Array;
    const auto cost = [&](const std::vector<Array<Complex>>& x) {
      Complex sum = 0;
      for (std::int64_t n = 0; n < dims.batch; ++n) {
        if (data.ignored(n)) continue;
        Chain<Complex> chain{Array<Complex>({data.length(n), dims.tags}), x[1], x[2], x[3]};
        for (std::int64_t t = 0; t < data.length(n); ++t)
          for (std::int64_t k = 0; k < dims.tags; ++k)
            chain.scores.at(t, k) = x[0].at(t * dims.batch + n, k);
        sum += data.dloss[std::size_t(n)] * reference::chain_loss(chain, data.tags_of(n));
      }
      return sum;
    };
    const std::vector<Reals> expected =
        reference::complex_step({data.scores, data.transitions, data.start, data.end}, cost);
    for (std::size_t k = 0; k < expected.size(); ++k)
      // Some 20 roundings of probabilities, and of scores below 8 of which they are exponentials.
      EXPECT_TRUE(close(session.read(slopes[k]), expected[k].values, 10, 4)) << "operand " << k;
  }
}

TEST_P(CrfGraphTest, OneSessionTakesManyLengths) {
  CrfGraph g(3, 17);
  std::vector<Tensor> fetches = dense_gradients(g.cost, g.inputs());
  fetches.insert(fetches.end(), {g.loss, g.best});
  Session session(g.graph, backend_);
  for (const std::int64_t steps : {5, 31, 1, 5, 90}) {
    SCOPED_TRACE(steps);
    const CrfData data = random_chains({steps, 3, 17}, 2, std::uint64_t(steps));
    const CrfFeeds feeds(g, data);
    session.run(fetches, feeds.feeds);
    GuardedMemory memory(*backend_);
    CrfRun run(*backend_, memory, data);
    const CrfResult expected = run.gradient();
    EXPECT_TRUE(identical(session.read(g.loss), expected.loss));
    EXPECT_TRUE(identical(session.read(fetches[0]), expected.dscores));
    EXPECT_TRUE(identical(session.read(fetches[1]), expected.dtransitions));
    EXPECT_TRUE(identical(session.read(fetches[2]), expected.dstart));
    EXPECT_TRUE(identical(session.read(fetches[3]), expected.dend));
    EXPECT_EQ(session.read<std::int32_t>(g.best), run.decode());
  }
}

UNROLL_FOR_EACH_BACKEND(CrfGraphTest);

/// Everything is float32 at every precision.
class CrfPrecisionTest : public OnEachBackend {};

TEST_P(CrfPrecisionTest, GivesTheBitsOfFloat32) {
  const bool on_cpu = backend_->kind() == DeviceKind::kCpu;
  const std::shared_ptr<Backend> fp32 = Devices::get(on_cpu ? "Cpu" : "Cuda");
  for (const CrfDims& dims : {CrfDims{9, 5, 17}, CrfDims{6, 3, 257}}) {
    const CrfData data = random_chains(dims);
    GuardedMemory memory(*fp32);
    CrfRun expected_run(*fp32, memory, data), run(*backend_, *memory_, data);
    const CrfResult expected = expected_run.gradient(), found = run.gradient();
    EXPECT_TRUE(identical(found.loss, expected.loss));
    EXPECT_TRUE(identical(found.dscores, expected.dscores));
    EXPECT_TRUE(identical(found.dtransitions, expected.dtransitions));
    EXPECT_EQ(run.decode(), expected_run.decode());
    finish_case();
  }
}

INSTANTIATE_TEST_SUITE_P(On, CrfPrecisionTest, ::testing::Values("CpuBf16", "CudaTf32", "CudaBf16"),
                         backend_name);

struct AllResults {
  CrfResult gradient;
  std::vector<std::int32_t> tags;
};

AllResults all_results(const CrfData& data, int threads) {
  const std::shared_ptr<Backend> backend = cpu(threads);
  GuardedMemory memory(*backend);
  CrfRun run(*backend, memory, data);
  return {run.gradient(), run.decode()};
}

TEST(CrfBits, DoNotDependOnTheThreads) {
  for (const CrfDims& dims : {CrfDims{30, 32, 17}, CrfDims{9, 5, 130}})
    for (const double size : {2.0, 100.0}) {
      const CrfData data = random_chains(dims, size);
      const AllResults expected = all_results(data, 1);
      for (const int threads : {2, 7}) {
        const AllResults found = all_results(data, threads);
        EXPECT_TRUE(identical(found.gradient.loss, expected.gradient.loss));
        EXPECT_TRUE(identical(found.gradient.dscores, expected.gradient.dscores));
        EXPECT_TRUE(identical(found.gradient.dtransitions, expected.gradient.dtransitions));
        EXPECT_TRUE(identical(found.gradient.dstart, expected.gradient.dstart));
        EXPECT_TRUE(identical(found.gradient.dend, expected.gradient.dend));
        EXPECT_EQ(found.tags, expected.tags);
      }
    }
}

TEST(CrfInstructionSets, AllMatchForwardBackward) {
  using host::Isa;
  const Isa before = host::selected_isa();
  for (const Isa isa : {Isa::kBaseline, Isa::kAvx2, Isa::kAvx512}) {
    if (!host::isa_supported(isa)) continue;
    host::select_isa(isa);
    for (const CrfDims& dims : {CrfDims{9, 3, 3}, CrfDims{9, 3, 17}, CrfDims{9, 3, 70}})
      for (const double size : {2.0, 100.0}) {
        SCOPED_TRACE(describe_chain(dims) + " " + host::isa_name(isa));
        const CrfData data = random_chains(dims, size);
        expect_close(all_results(data, 1).gradient, expect(data), data, 2 * size + 5);
      }
  }
  host::select_isa(before);
}

TEST(CrfShapes, AreChecked) {
  Graph g;
  const Tensor scores = g.placeholder("scores", {kOpen, 3, 5});
  const Tensor tags = g.placeholder("tags", {kOpen, 3}, DType::kInt32);
  const Tensor lengths = g.placeholder("lengths", {3}, DType::kInt32);
  const Tensor square = g.placeholder("square", {5, 5}), row = g.placeholder("row", {5});
  const CrfWeights weights{square, row, row};
  EXPECT_EQ(crf_loss(scores, tags, lengths, weights).shape(), (Shape{3}));
  EXPECT_EQ(crf_decode(scores, lengths, weights).shape(), (Shape{kOpen, 3}));
  EXPECT_EQ(crf_decode(scores, lengths, weights).dtype(), DType::kInt32);

  const auto refuses = [&](Tensor s, Tensor t, Tensor l, const CrfWeights& w) {
    EXPECT_THROW(crf_loss(s, t, l, w), std::invalid_argument);
    if (t == tags) {
      EXPECT_THROW(crf_decode(s, l, w), std::invalid_argument);
    }
  };
  const Tensor flat = g.placeholder("flat", {3, 5}), four = g.placeholder("four", {4});
  const Tensor oblong = g.placeholder("oblong", {5, 4}), real = g.placeholder("real", {3});
  const Tensor other = g.placeholder("other", {7, 4}, DType::kInt32);
  const Tensor whole = g.placeholder("whole", {5}, DType::kInt32);
  const Tensor wide = g.placeholder("wide", {2, 4, 5}), deep = g.placeholder("deep", {2, 3, 6});
  refuses(flat, tags, lengths, weights);
  refuses(wide, tags, lengths, weights);
  refuses(deep, tags, lengths, weights);
  refuses(scores, other, lengths, weights);
  refuses(scores, lengths, lengths, weights);
  refuses(scores, flat, lengths, weights);
  refuses(scores, tags, real, weights);
  refuses(scores, tags, tags, weights);
  refuses(scores, tags, whole, weights);
  refuses(scores, tags, lengths, {oblong, row, row});
  refuses(scores, tags, lengths, {row, row, row});
  refuses(scores, tags, lengths, {square, four, row});
  refuses(scores, tags, lengths, {square, row, four});
  refuses(scores, tags, lengths, {square, row, square});
  refuses(scores, tags, lengths, {square, whole, row});
  refuses(scores, tags, lengths, {square, row, {}});
  refuses({}, tags, lengths, weights);
  const Tensor steps = g.placeholder("steps", {4, 3, 5});
  refuses(steps, g.placeholder("fewer", {3, 3}, DType::kInt32), lengths, weights);
  for (const std::int64_t count : {std::int64_t{0}, kMaxCrfTags + 1})
    refuses(g.placeholder("scores of " + std::to_string(count), {kOpen, 3, count}), tags, lengths,
            {g.placeholder("pairs of " + std::to_string(count), {count, count}),
             g.placeholder("first of " + std::to_string(count), {count}),
             g.placeholder("last of " + std::to_string(count), {count})});
}

TEST(CrfGradients, HaveNoGradient) {
  CrfGraph g(2, 3);
  const Tensor slope = dense_gradients(g.cost, {g.scores})[0];
  EXPECT_THROW(gradients(reduce_sum(slope), {g.scores}), std::invalid_argument);
  EXPECT_FALSE(gradients(reduce_sum(cast(g.best, DType::kFloat32)), {g.scores})[0]);
}

}  // namespace
}  // namespace unroll::test
