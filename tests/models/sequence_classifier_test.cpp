/// The classifier's graphs against float64: probabilities, losses and gradients; what padding does;
/// and what its files say.
#include "host/models/sequence_classifier.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "host/models/checkpoint.h"
#include "tests/support/backends.h"
#include "tests/support/classifier.h"
#include "tests/support/compare.h"
#include "tests/support/recurrent_case.h"
#include "tests/support/temp_folder.h"

namespace unroll::test {
namespace {

struct ClassifierCase {
  SequenceClassifierConfig config;
  std::vector<std::int64_t> lengths;
  std::int64_t batch;  // at least as many as lengths
};

SequenceClassifierConfig classifier_config(const CellForm& form, std::vector<std::int64_t> hidden,
                                           int directions, Pooling pooling) {
  SequenceClassifierConfig config;
  config.cell = form.cell;
  config.reset = form.reset;
  config.input_gate = form.input_gate;
  config.layer_norm = form.layer_norm;
  if (form.projected) config.projection = std::ranges::min(hidden) * 3 / 4;
  config.hidden = std::move(hidden);
  config.directions = directions;
  config.pooling = pooling;
  config.vocabulary = 11;
  config.embedding = 5;
  config.classes = 3;
  return config;
}

std::vector<ClassifierCase> small_cases() {
  std::vector<ClassifierCase> all;
  for (const CellForm& form : kCellForms)
    for (const int directions : {1, 2})
      for (const Pooling pooling : kPoolings)
        all.push_back({classifier_config(form, {4, 4}, directions, pooling), {1, 6, 3, 6, 2}, 6});
  all.push_back({classifier_config(kCellForms[3], {5}, 2, Pooling::kMean), {4, 1}, 2});
  all.back().config.embedding = 0;
  return all;
}

std::vector<ClassifierCase> wide_cases() {
  std::vector<ClassifierCase> all;
  for (const std::int64_t batch : {31, 33})
    for (const int directions : {1, 2})
      for (const Pooling pooling : kPoolings) {
        std::vector<std::int64_t> lengths;
        for (std::int64_t k = 0; k < batch - 1; ++k) lengths.push_back(1 + (k * 7) % 35);
        all.push_back(
            {classifier_config(kCellForms[batch == 31 ? 3 : 5], {33, 17}, directions, pooling),
             lengths, batch});
        all.back().config.classes = 257;
      }
  return all;
}

RecurrentCase recurrent_case(const ClassifierCase& c) {
  const SequenceClassifierConfig& config = c.config;
  return {.name = describe_cell(config) + ", " + to_string(config.pooling),
          .spec = config.recurrent(),
          .steps = std::ranges::max(c.lengths),
          .batch = c.batch,
          .input = config.embedding > 0 ? config.embedding : config.vocabulary};
}

/// Values of the parameters, in their order.
std::vector<Reals> classifier_parameters(const SequenceClassifier& model, std::uint64_t seed) {
  Random random(seed);
  const SequenceClassifierConfig& config = model.config();
  std::vector<Reals> values;
  for (const VariableInfo& info : model.parameters()) {
    const Dims dims = dims_of(info.type.shape);
    if (info.name.find("gain") != info.name.npos)
      values.push_back(random.array(dims, 0.25, 0.75));
    else if (info.name.find("bias") != info.name.npos || info.name == kEncoder)
      values.push_back(random.array(dims, -0.5, 0.5));
    else  // the recurrence contracts
      values.push_back(random.array(dims, -1 / std::sqrt(double(config.hidden[0])),
                                    1 / std::sqrt(double(config.hidden[0]))));
    if (config.layer_norm && info.name.find("bias_ih") != info.name.npos)
      spread_states(config.recurrent().gates(), values.back());
  }
  return values;
}

/// ln p [N, classes] of a batch.
template <typename S>
reference::Array<S> reference_log_prob(const SequenceClassifier& model,
                                       const std::vector<reference::Array<S>>& parameters,
                                       const Batch& batch) {
  const SequenceClassifierConfig& config = model.config();
  const RecurrentSpec spec = config.recurrent();
  const std::int64_t steps = batch.columns[0].shape[0], n = batch.columns[0].shape[1];
  auto next = parameters.begin();
  reference::RecurrentInputs<S> in;
  if (config.embedding > 0) {
    in.x = reference::gather(*next++, batch.columns[0].ids, {steps, n});
  } else {
    in.x = reference::Array<S>({steps, n, config.vocabulary});
    for (std::int64_t row = 0; row < steps * n; ++row)
      in.x.at(row, batch.columns[0].ids[std::size_t(row)]) = 1;
  }
  const std::int64_t input = in.x.last();
  for (int layer = 0; layer < spec.layers(); ++layer) {
    in.h0.emplace_back(dims_of(spec.h_shape(layer, n)));
    if (spec.has_c()) in.c0.emplace_back(dims_of(spec.c_shape(layer, n)));
    for (int d = 0; d < spec.directions; ++d) {
      reference::LayerWeights<S>& cell = in.weights.emplace_back();
      for (const CellParameter& p : cell_parameters(spec, layer, input)) p.of(cell) = *next++;
    }
  }
  in.lengths = batch.columns[1].ids;
  const reference::RecurrentOutputs<S> out = reference::recurrent(spec, in);

  const std::int64_t width = spec.width(spec.layers() - 1);
  reference::Array<S> h({n, spec.directions * width});
  for (std::int64_t row = 0; row < n; ++row)
    for (std::int64_t k = 0; k < h.last(); ++k) {
      const std::int64_t length = in.lengths[std::size_t(row)];
      if (config.pooling == Pooling::kLast)
        h.at(row, k) = out.h_n.back().at(k / width * n + row, k % width);
      for (std::int64_t t = 0; config.pooling == Pooling::kMean && t < length; ++t)
        h.at(row, k) += out.y.at(t * n + row, k) / double(length);
    }
  const reference::Array<S>& weight = *next++;
  const reference::Array<S>& bias = *next++;
  EXPECT_EQ(next, parameters.end());
  return reference::log_softmax(reference::zip(reference::matmul(h, weight, false, true), bias,
                                               [](S a, S b) { return a + b; }));
}

/// The mean loss of the rows that count.
template <typename S>
S reference_loss(const reference::Array<S>& log_prob, const Batch& batch) {
  S sum = 0;
  for (std::size_t row = 0; row < batch.columns[2].ids.size(); ++row)
    if (batch.columns[2].ids[row] != kIgnoredId)
      sum -= log_prob.at(std::int64_t(row), batch.columns[2].ids[row]);
  return sum / double(batch.count);
}

/// A batch that is filled to the largest shape.
Batch first_batch(const SequenceClassifier& model, const ClassifierCase& c, std::uint64_t seed) {
  TextBatches batches(random_texts(model.config(), c.lengths, seed), model.batches(c.batch));
  Batch batch = batches.largest();
  EXPECT_TRUE(batches.next(batch));
  return batch;
}

void write_parameters(const SequenceClassifier& model, const std::vector<Reals>& values,
                      VariableStore& store) {
  std::size_t k = 0;
  for (const VariableInfo& info : model.parameters())
    store.write<float>(info.name, floats(values[k++]));
}

/// The roundings of ln p: those of the state, each of whose elements a decoder's weight below 1
/// passes on, so that they add like a random walk; a sum over the state; and a softmax over
/// classes, as long.
double log_prob_ulps(const ClassifierCase& c) {
  const double width = double(c.config.recurrent().output());
  return recurrent_ulps(recurrent_case(c)) * 2 + 2 * std::sqrt(width) +
         2 * std::sqrt(double(c.config.classes)) + 8;
}

class SequenceClassifiers : public OnEachBackend {
 protected:
  void check_values(const ClassifierCase& c) {
    const SequenceClassifier model = classifier_of(c.config);
    const std::vector<Reals> parameters = classifier_parameters(model, 3);
    const Batch batch = first_batch(model, c, 4);
    const Reals expected = reference_log_prob(model, parameters, batch);

    const auto prediction = model.prediction_graph(c.batch);
    Session asked(prediction->graph, backend_);
    write_parameters(model, parameters, asked.variables());
    asked.run(std::span(&prediction->log_prob, 1), feeds_of(prediction->inputs, batch));
    EXPECT_EQ(asked.shape(prediction->log_prob), (Shape{c.batch, c.config.classes}));
    EXPECT_TRUE(close(asked.read(prediction->log_prob), expected.values, log_prob_ulps(c)));

    const auto evaluation = model.evaluation_graph(c.batch, "evaluate");
    EXPECT_TRUE(evaluation->carried.empty());
    Session evaluated(evaluation->graph, backend_);
    write_parameters(model, parameters, evaluated.variables());
    evaluated.run(evaluation->fetches, feeds_of(evaluation->inputs, batch));
    std::vector<double> losses;
    std::vector<float> hits;
    for (std::int64_t row = 0; row < c.batch; ++row) {
      const std::int32_t target = batch.columns[2].ids[std::size_t(row)];
      losses.push_back(target == kIgnoredId ? 0 : -expected.at(row, target));
      std::int32_t best = 0;
      for (std::int32_t k = 1; k < c.config.classes; ++k)
        if (expected.at(row, k) > expected.at(row, best)) best = k;
      hits.push_back(best == target ? 1 : 0);
    }
    EXPECT_TRUE(close(evaluated.read(evaluation->loss), losses, log_prob_ulps(c)));
    EXPECT_EQ(evaluated.read(evaluation->hit), hits);
  }

  /// One step of gradient descent with rate 1 gives the gradient.
  void check_gradients(const ClassifierCase& c, LossReduction reduction) {
    const SequenceClassifier model = classifier_of(c.config);
    const std::vector<Reals> parameters = classifier_parameters(model, 5);
    const Batch batch = first_batch(model, c, 6);
    const double share =
        reduction == LossReduction::kTime ? double(batch.count) / double(c.batch) : 1;
    const std::vector<Reals> expected =
        reference::complex_step(parameters, [&](const std::vector<reference::Array<Complex>>& p) {
          return share * reference_loss(reference_log_prob(model, p, batch), batch);
        });

    const auto training = model.training_graph({.batch = c.batch,
                                                .optimizer = {},
                                                .learning_rate = 1,
                                                .reduction = reduction,
                                                .guard = {},
                                                .initialization = {}});
    EXPECT_TRUE(training->carried.empty());
    Session session(training->graph, backend_);
    write_parameters(model, parameters, session.variables());
    session.run(std::span(&training->step, 1), feeds_of(training->inputs, batch));
    std::size_t k = 0;
    for (const VariableInfo& info : model.parameters()) {
      SCOPED_TRACE(info.name);
      const std::vector<float> after = session.variables().read<float>(info.name);
      std::vector<double> slope;
      for (std::size_t i = 0; i < after.size(); ++i)
        slope.push_back(parameters[k].values[i] - double(after[i]));
      EXPECT_TRUE(close(slope, expected[k].values, recurrent_gradient_ulps(recurrent_case(c)) + 2));
      ++k;
    }
  }
};
UNROLL_FOR_EACH_BACKEND(SequenceClassifiers);

TEST_P(SequenceClassifiers, GiveTheProbabilitiesAndLossesOfTheReference) {
  for (const auto& cases : {small_cases(), wide_cases()})
    for (const ClassifierCase& c : cases) {
      SCOPED_TRACE(recurrent_case(c).name + " N=" + std::to_string(c.batch));
      check_values(c);
    }
}

TEST_P(SequenceClassifiers, TrainByTheGradientOfTheReference) {
  for (const ClassifierCase& c : small_cases()) {
    SCOPED_TRACE(recurrent_case(c).name);
    check_gradients(c, LossReduction::kMean);
  }
  check_gradients(small_cases()[0], LossReduction::kTime);
}

/// The same texts in rows of more steps, with other ids where there is no text.
Batch padded_more(const Batch& batch, std::int64_t steps) {
  Batch more = batch;
  const std::int64_t before = batch.columns[0].shape[0], n = batch.columns[0].shape[1];
  more.columns[0].shape = {steps, n};
  more.columns[0].ids.assign(std::size_t(steps * n), 0);
  for (std::int64_t t = 0; t < steps; ++t)
    for (std::int64_t row = 0; row < n; ++row) {
      const bool text = t < batch.columns[1].ids[std::size_t(row)] &&
                        batch.columns[2].ids[std::size_t(row)] != kIgnoredId;
      more.columns[0].ids[std::size_t(t * n + row)] =
          text ? batch.columns[0].ids[std::size_t(t * n + row)] : std::int32_t((t + row) % 11);
    }
  EXPECT_GT(steps, before);
  return more;
}

TEST_P(SequenceClassifiers, PaddingChangesNothing) {
  for (const ClassifierCase& c : wide_cases()) {
    const SequenceClassifier model = classifier_of(c.config);
    SCOPED_TRACE(model.describe());
    const Batch batch = first_batch(model, c, 8), more = padded_more(batch, 50);
    const auto trained = [&](const Batch& fed) {
      const auto training = model.training_graph({.batch = c.batch,
                                                  .optimizer = {},
                                                  .learning_rate = 1,
                                                  .guard = {},
                                                  .initialization = {}});
      Session session(training->graph, backend_, 1);
      session.run(std::span(&training->step, 1), feeds_of(training->inputs, fed));
      std::map<std::string, std::vector<float>> values;
      for (const VariableInfo& info : model.parameters())
        values[info.name] = session.variables().read<float>(info.name);
      return values;
    };
    const auto asked = [&](const Batch& fed) {
      const auto evaluation = model.evaluation_graph(c.batch, "evaluate");
      Session session(evaluation->graph, backend_, 1);
      session.run(evaluation->fetches, feeds_of(evaluation->inputs, fed));
      return session.read(evaluation->loss);
    };
    // A GPU adds the states for a mean as a tree that depends on the number of steps.
    if (c.config.pooling == Pooling::kMean && GetParam() == "Cuda") {
      EXPECT_TRUE(close(asked(more), doubles(asked(batch)), log_prob_ulps(c)));
    } else {
      EXPECT_TRUE(identical(asked(more), asked(batch)));
    }
    // A weight's gradient is a sum over all steps, in pieces, so that more of them may round
    // otherwise. What padding adds is zero.
    const auto few = trained(batch), many = trained(more);
    for (const auto& [name, values] : few)
      EXPECT_TRUE(close(many.at(name), doubles(values), 8)) << name;
  }
}

TEST_P(SequenceClassifiers, LearnTheOrderOfTwoWords) {
  // "a b" or "b a" somewhere among other words: the same bag of words has both classes.
  LabelledSplit split;
  split.statistics.per_class.resize(2);
  for (std::int32_t k = 0; k < 24; ++k)
    for (const std::int32_t its_class : {0, 1}) {
      std::vector<std::int32_t> ids(std::size_t(3 + k % 5), 4);
      const std::size_t at = std::size_t(k) % (ids.size() - 2);
      ids[at] = its_class == 0 ? 2 : 3;
      ids[at + 1] = its_class == 0 ? 3 : 2;
      ids.back() = 0;
      split.add(ids, its_class);
    }
  const auto texts = std::make_shared<const LabelledSplit>(std::move(split));
  for (const int directions : {1, 2})
    for (const Pooling pooling : kPoolings) {
      SequenceClassifierConfig config = classifier_config(kCellForms[3], {8}, directions, pooling);
      config.classes = 2;
      const SequenceClassifier model = classifier_of(config);
      SCOPED_TRACE(model.describe());
      const auto training = model.training_graph({.batch = 8,
                                                  .optimizer = {.kind = OptimizerKind::kAdam},
                                                  .learning_rate = 0.02,
                                                  .guard = {.ceiling = float(model.loss_ceiling())},
                                                  .initialization = {}});
      auto store = std::make_shared<VariableStore>(backend_, 1);
      Session session(training->graph, store);
      TextBatches batches(texts, model.batches(8, 1));
      Batch batch = batches.largest();
      for (std::int64_t epoch = 1; epoch <= 40; ++epoch)
        for (batches.seek(epoch, 0); batches.next(batch);)
          session.run(std::span(&training->step, 1), feeds_of(training->inputs, batch));
      const auto evaluation = model.evaluation_graph(5, "evaluate");
      Session evaluated(evaluation->graph, store);
      TextBatches all(texts, model.batches(5));
      Evaluation result;
      for (batch = all.largest(); all.next(batch); result.count += batch.count) {
        evaluated.run(evaluation->fetches, feeds_of(evaluation->inputs, batch));
        for (const float loss : evaluated.read(evaluation->loss)) result.loss_sum += double(loss);
        for (const float hit : evaluated.read(evaluation->hit)) result.hits += hit > 0 ? 1 : 0;
      }
      EXPECT_EQ(result.count, 48);
      EXPECT_EQ(result.hits, 48);
      EXPECT_LT(result.loss(), 0.2);
    }
}

TEST(SequenceClassifier, DropsOutInTrainingOnly) {
  SequenceClassifierConfig config = classifier_config(kCellForms[3], {4}, 1, Pooling::kLast);
  const SequenceClassifier kept = classifier_of(config);
  config.dropout = 0.5;
  const SequenceClassifier dropped = classifier_of(config);
  const ClassifierCase c{config, {3, 2}, 2};
  const Batch batch = first_batch(kept, c, 1);
  const auto evaluated = [&](const SequenceClassifier& model) {
    const auto graph = model.evaluation_graph(2, "evaluate");
    Session session(graph->graph, cpu(1), 1);
    session.run(graph->fetches, feeds_of(graph->inputs, batch));
    return session.read(graph->loss);
  };
  EXPECT_EQ(evaluated(dropped), evaluated(kept));
  const auto trained = [&](const SequenceClassifier& model) {
    const auto graph = model.training_graph(
        {.batch = 2, .optimizer = {}, .learning_rate = 1, .guard = {}, .initialization = {}});
    Session session(graph->graph, cpu(1), 1);
    session.run(std::span(&graph->step, 1), feeds_of(graph->inputs, batch));
    return session.variables().read<float>(kDecoder);
  };
  EXPECT_NE(trained(dropped), trained(kept));
}

TEST(SequenceClassifier, BeginsAsAskedFor) {
  const SequenceClassifier model =
      classifier_of(classifier_config(kCellForms[3], {4, 3}, 2, Pooling::kLast));
  const Initialization how{.range = 0.25, .forget_bias = 2};
  const auto graph = model.training_graph(
      {.batch = 2, .optimizer = {}, .learning_rate = 1, .guard = {}, .initialization = how});
  Session session(graph->graph, cpu(1), 1);
  model.initialize(how, session.variables());
  for (const VariableInfo& info : model.parameters()) {
    const std::vector<float> values = session.variables().read<float>(info.name);
    if (info.name.find("bias_") == info.name.npos) {
      EXPECT_LE(std::ranges::max(values), 0.25F) << info.name;
      EXPECT_GE(std::ranges::min(values), -0.25F) << info.name;
      EXPECT_LT(std::ranges::min(values), std::ranges::max(values)) << info.name;
    } else {
      const std::size_t units = values.size() / 4;
      const float expected = info.name.find("bias_ih") != info.name.npos ? 2 : 0;
      for (std::size_t k = units; k < 2 * units; ++k) EXPECT_EQ(values[k], expected) << info.name;
    }
  }
}

TEST(SequenceClassifier, HasParametersInTheOrderOfAStateDict) {
  std::vector<std::string> got;
  for (const VariableInfo& info :
       classifier_of(classifier_config(kCellForms[0], {4}, 2, Pooling::kLast)).parameters())
    got.push_back(info.name + " " + to_string(info.type.shape));
  EXPECT_EQ(got, (std::vector<std::string>{
                     "encoder.weight [11, 5]", "rnn.weight_ih_l0 [4, 5]", "rnn.weight_hh_l0 [4, 4]",
                     "rnn.bias_ih_l0 [4]", "rnn.bias_hh_l0 [4]", "rnn.weight_ih_l0_reverse [4, 5]",
                     "rnn.weight_hh_l0_reverse [4, 4]", "rnn.bias_ih_l0_reverse [4]",
                     "rnn.bias_hh_l0_reverse [4]", "decoder.weight [3, 8]", "decoder.bias [3]"}));
}

TEST(SequenceClassifier, CountsItsParameters) {
  // Encoder 11 x 5; a cell 4 (5 + 4 + 2) 4 in each direction; decoder 3 x 8 + 3.
  const SequenceClassifier model =
      classifier_of(classifier_config(kCellForms[3], {4}, 2, Pooling::kLast));
  EXPECT_EQ(parameter_count(model), 55 + 2 * 176 + 27);
  EXPECT_EQ(model.gradient_bytes(), 4 * (2 * 176 + 27));
}

TEST(SequenceClassifier, MeasuresAccuracy) {
  const SequenceClassifier model =
      classifier_of(classifier_config(kCellForms[3], {4}, 2, Pooling::kMean));
  const std::vector<Measure> measures = model.measures({.loss_sum = 4, .count = 8, .hits = 7});
  ASSERT_EQ(measures.size(), 1U);
  EXPECT_EQ(measures[0].name, "accuracy");
  EXPECT_EQ(measures[0].value, 0.875);
  EXPECT_EQ(measures[0].text, " 0.8750");
  EXPECT_FALSE(measures[0].of_loss);
  EXPECT_DOUBLE_EQ(model.loss_ceiling(), 2 * std::log(3) + 3);
  EXPECT_EQ(
      model.describe(),
      "lstm with two directions, embedding 5, layers of 4 units, dropout 0, 3 classes from the "
      "mean state");
  EXPECT_EQ(model.name(), "classify");
  EXPECT_EQ(model.unit(), "texts");
  EXPECT_EQ(model.version(), 1);
}

/// A checkpoint in memory, as the model writes it.
Checkpoint checkpoint_of(const SequenceClassifier& model) {
  Checkpoint checkpoint;
  checkpoint.directory = "run/step";
  checkpoint.config = model.to_json();
  TaskFiles files = model.files();
  checkpoint.vocabulary = files.vocabulary;
  checkpoint.files = files.others;
  return checkpoint;
}

TEST(SequenceClassifier, IsReadAsItIsWritten) {
  for (const CellForm& form : kCellForms)
    for (const int directions : {1, 2})
      for (const Pooling pooling : kPoolings) {
        SequenceClassifierConfig config = classifier_config(form, {4, 4}, directions, pooling);
        config.dropout = 0.25;
        const SequenceClassifier model = classifier_of(config);
        SCOPED_TRACE(model.describe());
        const auto again = SequenceClassifier::read(checkpoint_of(model));
        EXPECT_EQ(again->to_json(), model.to_json());
        EXPECT_EQ(again->describe(), model.describe());
        EXPECT_EQ(again->config().recurrent(), config.recurrent());
        EXPECT_EQ(again->config().pooling, pooling);
        EXPECT_EQ(again->labels().to_text(), "c000\nc001\nc002\n");
        EXPECT_EQ(again->tokenizer().vocabulary_text(), model.tokenizer().vocabulary_text());
        const nlohmann::json json = model.to_json();
        const auto configured =
            SequenceClassifier::configured(JsonObject(json["model"], "config.json: model"));
        EXPECT_EQ(to_json(configured->config()), to_json(config));
        EXPECT_EQ(parameter_count(*configured), parameter_count(model));
      }
  SequenceClassifierConfig bytes = classifier_config(kCellForms[3], {4}, 1, Pooling::kLast);
  bytes.vocabulary = 256;
  const SequenceClassifier of_bytes(bytes, Tokenizer::parse(TokenizerKind::kByte, "", ""),
                                    numbered_labels(3));
  EXPECT_FALSE(of_bytes.files().vocabulary);
  EXPECT_EQ(SequenceClassifier::read(checkpoint_of(of_bytes))->tokenizer().kind(),
            TokenizerKind::kByte);
}

TEST(SequenceClassifier, SaysWhatIsWrongWithItsFiles) {
  const SequenceClassifier model =
      classifier_of(classifier_config(kCellForms[3], {4}, 2, Pooling::kMean));
  const auto error = [&](auto change) {
    Checkpoint checkpoint = checkpoint_of(model);
    change(checkpoint);
    return error_of<std::runtime_error>([&] { SequenceClassifier::read(checkpoint); });
  };
  const auto of_model = [&](const std::string& key, const nlohmann::json& value) {
    return error([&](Checkpoint& c) { c.config["model"][key] = value; });
  };
  EXPECT_EQ(error([](Checkpoint&) {}), "no exception");
  EXPECT_EQ(of_model("type", "language_model"),
            "run/step/config.json: model: type: got 'language_model', expected "
            "sequence_classifier");
  EXPECT_EQ(of_model("pooling", "max"),
            "run/step/config.json: model: pooling: got 'max', expected last or mean");
  for (const nlohmann::json& bad : {nlohmann::json(1), nlohmann::json(65537), nlohmann::json("3")})
    EXPECT_TRUE(contains(of_model("classes", bad), "run/step/config.json: model: classes: got "));
  EXPECT_TRUE(contains(of_model("directions", 3), "directions"));
  EXPECT_TRUE(contains(of_model("dropout", 1), "dropout"));
  for (const char* key : {"type", "classes", "pooling", "cell", "vocabulary", "hidden"})
    EXPECT_TRUE(contains(error([&](Checkpoint& c) { c.config["model"].erase(key); }), key));
  for (const char* key : {"model", "tokenizer"})
    EXPECT_TRUE(contains(error([&](Checkpoint& c) { c.config.erase(key); }), key));
  EXPECT_EQ(
      error([](Checkpoint& c) { c.config["tokenizer"]["type"] = "subword"; }),
      "run/step/config.json: tokenizer: type: got 'subword', expected word, char, byte or bpe");
  EXPECT_EQ(error([](Checkpoint& c) { c.vocabulary.reset(); }), "run/step: vocab.txt is missing");
  EXPECT_EQ(error([](Checkpoint& c) { c.files.clear(); }), "run/step: labels.txt is missing");
  EXPECT_EQ(of_model("vocabulary", 12),
            "run/step/vocab.txt: got 11 tokens, expected 12 as in config.json");
  EXPECT_EQ(of_model("classes", 4),
            "run/step/labels.txt: got 3 labels, expected 4 as in config.json");
  EXPECT_EQ(error([](Checkpoint& c) { c.files["labels.txt"] = "b\na\n"; }),
            "run/step/labels.txt: line 2: got 'a', expected a label that comes after 'b'");
  EXPECT_TRUE(contains(error([](Checkpoint& c) { c.config["tokenizer"]["type"] = "byte"; }),
                       "run/step/vocab.txt: "));
}

TEST(SequenceClassifier, RefusesWhatDoesNotFit) {
  SequenceClassifierConfig config = classifier_config(kCellForms[3], {4}, 1, Pooling::kLast);
  for (const std::int64_t classes : {std::int64_t(1), ClassLabels::kMost + 1}) {
    config.classes = classes;
    EXPECT_THROW(config.check(), std::invalid_argument);
  }
  config.classes = 4;
  EXPECT_THROW(SequenceClassifier(config, numbered_words(11), numbered_labels(3)),
               std::invalid_argument);
  EXPECT_THROW(SequenceClassifier(config, numbered_words(10), numbered_labels(4)),
               std::invalid_argument);
  config.hidden = {};
  EXPECT_THROW(SequenceClassifier(config, numbered_words(11), numbered_labels(4)),
               std::invalid_argument);
}

}  // namespace
}  // namespace unroll::test
