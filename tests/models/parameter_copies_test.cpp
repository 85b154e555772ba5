/// The copies of weights that a backend keeps in its own forms always match the weights, however
/// these change. Each run is made twice: as it is, and with all variables declared new before, so
/// that every copy is made anew. Both must give the same bits.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "host/models/language_model.h"
#include "tests/support/backends.h"
#include "tests/support/lstm_variants.h"
#include "unroll/ops.h"
#include "unroll/optimizer.h"
#include "unroll/recurrent.h"
#include "unroll/session.h"

namespace unroll::test {
namespace {

using Bytes = std::vector<std::byte>;

/// Two stores of equal variables. The second one never reuses a copy.
class Twins {
 public:
  explicit Twins(const std::shared_ptr<Backend>& backend)
      : stores_{std::make_shared<VariableStore>(backend, 5),
                std::make_shared<VariableStore>(backend, 5)} {}

  /// The sessions of a graph, one per store.
  class Pair {
   public:
    Pair(Twins& twins, const Graph& graph)
        : twins_(twins), sessions_{{graph, twins.stores_[0]}, {graph, twins.stores_[1]}} {}

    void run(const std::vector<Tensor>& fetches, const std::vector<Feed>& feeds = {}) {
      twins_.make_copies_anew();
      for (Session& session : sessions_) session.run(fetches, feeds);
      for (const Tensor& fetch : fetches) {
        if (sessions_[0].shape(fetch).elements() == 0) continue;  // a step
        EXPECT_EQ(bits(0, fetch), bits(1, fetch)) << fetch.name();
      }
      twins_.expect_equal_variables();
    }

    std::vector<float> read(Tensor fetched) const { return sessions_[0].read(fetched); }

   private:
    std::vector<std::uint32_t> bits(int which, Tensor fetch) const {
      const std::vector<float> values = sessions_[which].read(fetch);
      std::vector<std::uint32_t> words(values.size());
      std::memcpy(words.data(), values.data(), values.size() * sizeof(float));
      return words;
    }

    Twins& twins_;
    Session sessions_[2];
  };

  void write(const std::string& name, const std::vector<float>& values) {
    for (const auto& store : stores_) store->write<float>(name, values);
  }
  std::vector<float> read(const std::string& name) const { return stores_[0]->read<float>(name); }
  /// Calls `change` with each store.
  void on_each(const std::function<void(VariableStore&)>& change) {
    for (const auto& store : stores_) change(*store);
  }

 private:
  void make_copies_anew() {
    for (const std::string& name : stores_[1]->names()) stores_[1]->touch(name);
  }
  void expect_equal_variables() const {
    for (const std::string& name : stores_[0]->names()) {
      Bytes values[2];
      for (int k = 0; k < 2; ++k) {
        const View view = stores_[k]->view(name);
        values[k].resize(view.bytes());
        stores_[k]->backend().download(values[k].data(), view.data, view.bytes());
      }
      EXPECT_TRUE(values[0] == values[1]) << name;
    }
  }

  std::shared_ptr<VariableStore> stores_[2];
};

constexpr std::int64_t kSequences = 3, kTokens = 22;

std::vector<std::int32_t> words(std::int64_t count, std::int32_t first) {
  std::vector<std::int32_t> ids(static_cast<std::size_t>(count));
  for (std::size_t k = 0; k < ids.size(); ++k)
    ids[k] = std::int32_t((std::size_t(first) + 7 * k) % kTokens);
  return ids;
}

/// Units that are padded and units that are not.
LanguageModelConfig small_config(CellKind cell = CellKind::kLstm,
                                 GruReset reset = GruReset::kAfter) {
  return {{.cell = cell,
           .reset = reset,
           .vocabulary = kTokens,
           .embedding = 16,
           .hidden = {16, 16, 10}}};
}

/// A language model in training, and its evaluation.
struct CopiedTraining {
  Twins twins;
  LanguageModelTask task;
  std::unique_ptr<TrainingGraph> graph;
  std::unique_ptr<EvaluationGraph> evaluation;
  Twins::Pair training, evaluating;
  std::int32_t next = 0;

  CopiedTraining(const std::shared_ptr<Backend>& backend, const LanguageModelConfig& config,
                 const OptimizerSpec& optimizer, const LossGuardSpec& guard = {})
      : twins(backend),
        task(config),
        graph(task.training_graph({.batch = kSequences,
                                   .optimizer = optimizer,
                                   .learning_rate = 0.25,
                                   .guard = guard,
                                   .initialization = {.range = 0.4}})),
        evaluation(task.evaluation_graph(kSequences, "evaluate")),
        training(twins, graph->graph),
        evaluating(twins, evaluation->graph) {}

  void train(std::int64_t steps = 4) {
    SCOPED_TRACE("training");
    const auto inputs = words(steps * kSequences, ++next),
               targets = words(steps * kSequences, next + 7);
    training.run({graph->step}, feeds(graph->inputs, inputs, targets, steps));
  }
  void evaluate(std::int64_t steps = 4) {
    SCOPED_TRACE("evaluation");
    const auto inputs = words(steps * kSequences, 3), targets = words(steps * kSequences, 10);
    evaluating.run(evaluation->fetches, feeds(evaluation->inputs, inputs, targets, steps));
  }

  static std::vector<Feed> feeds(const std::vector<Tensor>& inputs,
                                 const std::vector<std::int32_t>& given,
                                 const std::vector<std::int32_t>& wanted, std::int64_t steps) {
    return {Feed(inputs[0], std::span<const std::int32_t>(given), Shape{steps, kSequences}),
            Feed(inputs[1], wanted)};
  }
};

class ParameterCopiesTest : public OnEachBackend {};

TEST_P(ParameterCopiesTest, FollowEveryOptimizer) {
  for (const OptimizerKind kind :
       {OptimizerKind::kSgd, OptimizerKind::kMomentum, OptimizerKind::kRmsProp,
        OptimizerKind::kAdam, OptimizerKind::kAdamW})
    for (const bool clips : {false, true}) {
      SCOPED_TRACE(int(kind));
      OptimizerSpec spec{.kind = kind};
      if (clips) {
        spec.weight_decay = 0.01F;
        spec.clip_norm = 0.5F;
        spec.clip_value = 0.02F;
      }
      CopiedTraining run(backend_, small_config(), spec);
      for (int k = 0; k < 4; ++k) run.train();
      run.evaluate();
    }
}

TEST_P(ParameterCopiesTest, FollowEveryCell) {
  for (const auto& [cell, reset] : {std::pair(CellKind::kLstm, GruReset::kAfter),
                                    {CellKind::kGru, GruReset::kAfter},
                                    {CellKind::kGru, GruReset::kBefore},
                                    {CellKind::kRnnTanh, GruReset::kAfter}})
    for (const bool tied : {false, true}) try {
        SCOPED_TRACE(to_string(cell));
        LanguageModelConfig config = small_config(cell, reset);
        config.tied = tied;
        if (tied) config.embedding = 10;
        CopiedTraining run(backend_, config, {.kind = OptimizerKind::kSgd});
        for (int k = 0; k < 4; ++k) run.train();
        run.evaluate();
      } catch (const Unsupported&) {
        // This algorithm does not support it.
      }
}

TEST_P(ParameterCopiesTest, FollowEveryVariantOfAnLstm) {
  for (const LstmVariant& variant : kLstmVariants)
    for (const bool tied : {false, true}) try {
        SCOPED_TRACE(variant.name);
        LanguageModelConfig config = small_config();
        config.tied = tied;
        CopiedTraining run(backend_, with_variant(config, variant), {.kind = OptimizerKind::kSgd});
        for (int k = 0; k < 4; ++k) run.train();
        run.evaluate();
      } catch (const Unsupported&) {
        // This algorithm does not support it.
      }
}

TEST_P(ParameterCopiesTest, AreSharedByPlansOfOtherShapes) {
  CopiedTraining run(backend_, small_config(), {.kind = OptimizerKind::kAdam});
  for (int k = 0; k < 3; ++k) {
    run.train(4);
    run.train(1);
    run.evaluate(5);
    run.evaluate(2);
    run.train(3);
  }
}

// A graph that writes copies keeps them alive, even if another graph that made them is gone.
TEST_P(ParameterCopiesTest, OutliveThePlansThatMadeThem) {
  Twins twins(backend_);
  const LanguageModelTask task(small_config());
  const auto graph = task.training_graph({.batch = kSequences,
                                          .optimizer = {.kind = OptimizerKind::kSgd},
                                          .learning_rate = 0.25,
                                          .initialization = {.range = 0.4}});
  const auto evaluation = task.evaluation_graph(kSequences, "evaluate");
  Twins::Pair training(twins, graph->graph);
  const auto ids = words(4 * kSequences, 1), few = words(kSequences, 1);
  for (int round = 0; round < 3; ++round) {
    Twins::Pair evaluating(twins, evaluation->graph);
    for (const std::int64_t steps : {1, 4}) {
      const auto& given = steps == 1 ? few : ids;
      evaluating.run(evaluation->fetches,
                     CopiedTraining::feeds(evaluation->inputs, given, given, steps));
    }
    for (int k = 0; k < 2; ++k)
      training.run({graph->step}, CopiedTraining::feeds(graph->inputs, ids, ids, 4));
  }
}

// For example when a checkpoint is loaded, the best one is restored, or a weight is set by hand.
TEST_P(ParameterCopiesTest, FollowWhatIsWrittenToTheStore) {
  CopiedTraining run(backend_, small_config(), {.kind = OptimizerKind::kMomentum});
  for (int k = 0; k < 3; ++k) run.train();
  for (const char* name : {"rnn.weight_ih_l0", "rnn.weight_hh_l1", "rnn.weight_hh_l2",
                           "rnn.bias_ih_l0", "rnn.bias_hh_l2", "decoder.weight"}) {
    SCOPED_TRACE(name);
    std::vector<float> values = run.twins.read(name);
    for (float& x : values) x = -x;
    run.twins.write(name, values);
    run.evaluate();
    run.twins.write(name, std::vector<float>(values.size(), 0.125F));
    run.train();
    run.train();
  }
  // In place, in the device's memory.
  run.twins.on_each([](VariableStore& store) {
    const View view = store.view("rnn.weight_hh_l0");
    store.backend().clear(view.data, view.bytes());
    store.touch("rnn.weight_hh_l0");
  });
  run.train();
  run.evaluate();
}

// Averages replace the weights for an evaluation, and the weights are restored.
TEST_P(ParameterCopiesTest, FollowAssignments) {
  CopiedTraining run(backend_, small_config(), {.kind = OptimizerKind::kSgd});
  Graph averaging, taking, restoring;
  std::vector<Tensor> add, take, restore;
  for (const VariableInfo& info : LanguageModelTask(small_config()).parameters()) {
    const auto variables = [&](Graph& graph) {
      return std::vector<Tensor>{
          graph.variable(info.name, info.type.shape, constant(0)),
          graph.variable("sum/" + info.name, info.type.shape, constant(0), {.trainable = false}),
          graph.variable("kept/" + info.name, info.type.shape, constant(0), {.trainable = false})};
    };
    const auto a = variables(averaging), t = variables(taking), r = variables(restoring);
    add.push_back(assign_add(a[1], a[0]));
    take.push_back(assign(t[2], t[0]));
    take.push_back(assign(t[0], t[1] * 0.5));
    restore.push_back(assign(r[0], r[2]));
  }
  const Tensor averaged = group(add), taken = group(take), restored = group(restore);
  Twins::Pair average(run.twins, averaging), in(run.twins, taking), out(run.twins, restoring);
  for (int k = 0; k < 2; ++k) {
    run.train();
    average.run({averaged});
  }
  in.run({taken});
  run.evaluate();
  out.run({restored});
  run.evaluate();
  run.train();
  run.evaluate();
}

// A refused step changes neither weights nor copies.
TEST_P(ParameterCopiesTest, StayWhereAStepIsRefused) {
  CopiedTraining run(backend_, small_config(), {.kind = OptimizerKind::kSgd});
  for (int k = 0; k < 3; ++k) run.train();
  std::vector<float> bias = run.twins.read("decoder.bias");
  const std::vector<float> good = bias;
  bias[0] = std::numeric_limits<float>::quiet_NaN();
  run.twins.write("decoder.bias", bias);
  run.train();
  run.train();
  run.twins.write("decoder.bias", good);
  run.evaluate();
  run.train();
  run.evaluate();
}

/// A stack of one LSTM layer of 10 units under a decoder, in a graph to add updates to.
struct SmallGraph {
  Graph graph;
  Tensor x, targets, loss;
  std::vector<CellWeights> cells;
  Tensor decoder;

  explicit SmallGraph(int directions = 1) {
    const RecurrentSpec spec{.cell = CellKind::kLstm, .hidden = {10}, .directions = directions};
    x = graph.placeholder("x", {3, kSequences, 9});
    targets = graph.placeholder("targets", {3 * kSequences}, DType::kInt32);
    cells = recurrent_weights(graph, spec, 9,
                              {.weight_ih = uniform(-0.5, 0.5),
                               .weight_hh = uniform(-0.5, 0.5),
                               .bias = uniform(-0.5, 0.5)});
    decoder = graph.variable("decoder", {kTokens, 10 * directions}, uniform(-0.5, 0.5));
    add_loss(spec, cells);
  }

  void add_loss(const RecurrentSpec& spec, const std::vector<CellWeights>& weights) {
    const Tensor y = recurrent(spec, {.x = x, .weights = weights}).y;
    loss = softmax_cross_entropy(reshape(y, {kOpen, decoder.shape()[1]}),
                                 {decoder, graph.variable("bias", {kTokens}, constant(0))}, targets,
                                 {.mean = true})
               .loss;
  }

  std::vector<float> inputs(float scale = 1) const {
    std::vector<float> values(std::size_t(3 * kSequences * 9));
    for (std::size_t k = 0; k < values.size(); ++k) values[k] = scale * float(int(k % 11) - 5) / 5;
    return values;
  }
};

// An update in the same run, before or after the optimiser's, also if the optimiser's is refused.
TEST_P(ParameterCopiesTest, FollowTwoUpdatesInOneRun) {
  for (const bool before : {true, false}) {
    SCOPED_TRACE(before);
    SmallGraph g;
    const auto more = [&] {
      std::vector<Tensor> parts;
      for (const CellWeights& w : g.cells)
        for (const Tensor& variable : {w.weight_ih, w.weight_hh, w.bias_ih})
          parts.push_back(assign_add(variable, variable * 0.25));
      parts.push_back(assign(g.decoder, g.decoder * 0.5));
      return group(parts);
    };
    std::vector<Tensor> parts;
    if (before) parts.push_back(more());
    parts.push_back(GradientDescentOptimizer(0.5).minimize(g.loss));
    if (!before) parts.push_back(more());
    const Tensor step = group(parts);
    Twins twins(backend_);
    Twins::Pair pair(twins, g.graph);
    const auto targets = words(3 * kSequences, 2);
    for (const float scale : {1.0F, 2.0F, 1.0F, std::numeric_limits<float>::quiet_NaN(), 1.0F}) {
      const std::vector<float> x = g.inputs(scale);
      pair.run({step, g.loss}, {{g.x, x}, {g.targets, targets}});
    }
    const std::vector<float> x = g.inputs();
    pair.run({g.loss}, {{g.x, x}, {g.targets, targets}});
  }
}

// Some weights are trained, and other weights of the same stack, or one of two biases, are not.
TEST_P(ParameterCopiesTest, FollowTheUpdateOfSomeWeights) {
  for (const int directions : {1, 2}) try {
      SmallGraph g(directions);
      const CellWeights& w = g.cells.back();
      const Optimizer optimizer({.kind = OptimizerKind::kMomentum}, 0.5);
      std::vector<Tensor> steps;
      for (const std::vector<Tensor>& some : {std::vector<Tensor>{w.bias_hh},
                                              {w.bias_ih},
                                              {w.weight_hh, g.decoder},
                                              {w.bias_hh, w.weight_ih, w.bias_ih},
                                              {w.weight_ih, g.cells.front().bias_ih}})
        steps.push_back(optimizer.minimize(g.loss, {.variables = some}));
      Twins twins(backend_);
      Twins::Pair pair(twins, g.graph);
      const auto targets = words(3 * kSequences, 2);
      const std::vector<float> x = g.inputs();
      for (int k = 0; k < 3; ++k)
        for (const Tensor& step : steps) pair.run({step, g.loss}, {{g.x, x}, {g.targets, targets}});
    } catch (const Unsupported&) {
      // This algorithm does not support it.
    }
}

// One variable used in several places: two copies, of which an update writes one, and biases in two
// sums, which must be updated only once.
TEST_P(ParameterCopiesTest, FollowVariablesUsedTwice) {
  SmallGraph g;
  const RecurrentSpec spec{.cell = CellKind::kLstm, .hidden = {10, 10, 10, 10}};
  const Tensor &r = g.cells[0].weight_hh, &c = g.cells[0].bias_hh;
  const Tensor decoder = g.graph.variable("decoder 2", {40, 10}, uniform(-0.5, 0.5));
  const Tensor other = g.graph.variable("other", {40}, uniform(-0.5, 0.5));
  const Tensor bias = g.graph.variable("bias 2", {40}, constant(0));
  const RecurrentResult stack = recurrent(
      spec, {.x = g.x,
             .weights = {g.cells[0], {r, r, other, c}, {r, decoder, c, bias}, {r, r, bias, bias}}});
  const Tensor loss = softmax_cross_entropy(reshape(stack.y, {kOpen, 10}), {decoder, bias},
                                            g.targets, {.mean = true})
                          .loss;
  const Tensor step = GradientDescentOptimizer(1).minimize(loss + g.loss);
  Twins twins(backend_);
  Twins::Pair pair(twins, g.graph);
  Session on_cpu(g.graph, std::make_shared<VariableStore>(cpu(1), 5));
  const auto targets = words(3 * kSequences, 2);
  const std::vector<float> x = g.inputs();
  for (int k = 0; k < 5; ++k) {
    pair.run({step, loss, g.loss}, {{g.x, x}, {g.targets, targets}});
    pair.run({g.loss}, {{g.x, x}, {g.targets, targets}});
    on_cpu.run(step, {{g.x, x}, {g.targets, targets}});
  }
  // The rounding error of five steps of products at that precision, less than a bias changes.
  const double close = backend_->precision() == Precision::kFp32 ? 1e-5 : 1e-2;
  for (const char* name :
       {"rnn.weight_hh_l0", "rnn.bias_ih_l0", "rnn.bias_hh_l0", "other", "bias 2"}) {
    const std::vector<float> got = twins.read(name), wanted = on_cpu.variables().read<float>(name);
    for (std::size_t k = 0; k < got.size(); ++k)
      ASSERT_NEAR(got[k], wanted[k], close) << name << " " << k;
  }
}

// A graph writes a copy that another graph reads, and still has its memory when that graph is gone.
TEST_P(ParameterCopiesTest, OutliveTheGraphThatReadsThem) {
  Graph reading, training;
  const auto table_of = [](Graph& graph) {
    return graph.variable("table", {kTokens, 10}, uniform(-1, 1));
  };
  const Tensor targets = reading.placeholder("targets", {4}, DType::kInt32);
  const Tensor loss =
      softmax_cross_entropy(reading.constant(0.5, {4, 10}),
                            {table_of(reading), reading.variable("bias", {kTokens}, constant(0))},
                            targets)
          .loss;
  const Tensor table = table_of(training);
  const Tensor step = GradientDescentOptimizer(0.25).minimize(reduce_sum(table * table));
  Twins twins(backend_);
  Twins::Pair trainer(twins, training);
  {
    Twins::Pair reader(twins, reading);
    for (int k = 0; k < 4; ++k) {
      reader.run({loss}, {{targets, words(4, k)}});
      trainer.run({step});
    }
    reader.run({loss}, {{targets, words(4, 0)}});
  }
  for (int k = 0; k < 2; ++k) trainer.run({step});
  Twins::Pair(twins, reading).run({loss}, {{targets, words(4, 0)}});
}

// Rows of a table whose copy another graph reads.
TEST_P(ParameterCopiesTest, FollowSparseUpdates) {
  for (const OptimizerKind kind : {OptimizerKind::kSgd, OptimizerKind::kAdam}) {
    Graph reading, training;
    const Tensor h = reading.constant(0.5, {4, 10});
    const Tensor targets = reading.placeholder("targets", {4}, DType::kInt32);
    const auto table_of = [](Graph& graph) {
      return graph.variable("table", {kTokens, 10}, uniform(-1, 1));
    };
    const Tensor loss =
        softmax_cross_entropy(
            h, {table_of(reading), reading.variable("bias", {kTokens}, constant(0))}, targets)
            .loss;
    const Tensor ids = training.placeholder("ids", {4}, DType::kInt32);
    const Tensor rows = embedding(table_of(training), ids);
    const Tensor step = Optimizer({.kind = kind}, 0.25).minimize(reduce_sum(rows * rows));
    Twins twins(backend_);
    Twins::Pair reader(twins, reading), trainer(twins, training);
    for (int k = 0; k < 4; ++k) {
      reader.run({loss}, {{targets, words(4, k)}});
      trainer.run({step}, {{ids, words(4, k)}});
    }
    reader.run({loss}, {{targets, words(4, 0)}});
  }
}

INSTANTIATE_TEST_SUITE_P(On, ParameterCopiesTest,
                         ::testing::Values("Cpu", "CpuBf16", "Cuda", "CudaWavefront", "CudaTf32",
                                           "CudaBf16", "CudaPersistent", "CudaPersistentBf16",
                                           "CudaCudnn"),
                         backend_name);

}  // namespace
}  // namespace unroll::test
