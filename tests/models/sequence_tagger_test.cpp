/// The tagger's graphs against float64: losses, tags and gradients; what padding does; and what its
/// files say.
#include "host/models/sequence_tagger.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "host/models/checkpoint.h"
#include "host/models/feeds.h"
#include "tests/support/backends.h"
#include "tests/support/compare.h"
#include "tests/support/recurrent_case.h"
#include "tests/support/tagger.h"
#include "tests/support/temp_folder.h"

namespace unroll::test {
namespace {

struct TaggerCase {
  SequenceTaggerConfig config;
  std::vector<std::int32_t> lengths;  // of the sentences, one per row
  std::vector<std::int32_t> spelled;  // characters of the distinct words
};

TaggerCase tagger_case(const CellForm& form, int directions, bool characters, bool crf) {
  SequenceTaggerConfig config;
  config.cell = form.cell;
  config.reset = form.reset;
  config.hidden = {4};
  config.directions = directions;
  config.vocabulary = 7;
  config.embedding = 3;
  config.tags = 3;
  config.crf = crf;
  if (characters) {
    config.char_hidden = 2;
    config.characters = 6;
    config.char_embedding = 3;
  }
  return {config, {1, 5, 3, 4}, {4, 1, 3}};
}

std::vector<TaggerCase> small_tagger_cases() {
  std::vector<TaggerCase> all;
  for (const std::size_t form : {3U, 5U})
    for (const int directions : {1, 2})
      for (const bool characters : {false, true})
        for (const bool crf : {false, true})
          all.push_back(tagger_case(kCellForms[form], directions, characters, crf));
  all.push_back(tagger_case(kCellForms[3], 2, true, true));
  all.back().config.embedding = all.back().config.char_embedding = 0;
  return all;
}

/// Sizes around 32 and 256. Enumerating tags would take for ever, so only for a softmax.
std::vector<TaggerCase> wide_tagger_cases() {
  std::vector<TaggerCase> all;
  for (const std::int32_t rows : {31, 33}) {
    TaggerCase c = tagger_case(kCellForms[rows == 31 ? 3 : 5], 2, true, false);
    c.config.hidden = {33, 17};
    c.config.char_hidden = 33;
    c.config.tags = 257;
    c.lengths.clear();
    for (std::int32_t k = 0; k < rows; ++k) c.lengths.push_back(1 + (k * 7) % 35);
    c.spelled.clear();
    for (std::int32_t k = 0; k < 33; ++k) c.spelled.push_back(1 + (k * 5) % 33);
    all.push_back(c);
  }
  return all;
}

std::string tagger_name(const TaggerCase& c) {
  return SequenceTagger(c.config).describe() + " rows " + std::to_string(c.lengths.size());
}

Column id_column(const Shape& shape) {
  return {DType::kInt32, shape, std::vector<std::int32_t>(std::size_t(shape.elements())), {}};
}

/// Random ids, also where there is no sentence and no word: what is there must not matter. The last
/// row has no sentence, and one target is ignored within a sentence of a softmax.
Batch random_batch(const TaggerCase& c, std::uint64_t seed) {
  Random random(seed);
  const std::int64_t n = std::ssize(c.lengths), steps = std::ranges::max(c.lengths);
  const auto random_ids = [&](const Shape& shape, std::int64_t below) {
    Column column = id_column(shape);
    column.ids = random.integers(std::size_t(shape.elements()), 0, std::int32_t(below));
    return column;
  };
  Batch batch;
  batch.columns = {random_ids({steps, n}, c.config.vocabulary), id_column({n}),
                   random_ids({steps, n}, c.config.tags)};
  batch.columns[1].ids = c.lengths;
  for (std::int64_t t = 0; t < steps; ++t)
    for (std::int64_t row = 0; row < n; ++row)
      if (t >= c.lengths[std::size_t(row)] || row == n - 1)
        batch.columns[2].ids[std::size_t(t * n + row)] = kIgnoredId;
  if (!c.config.crf) batch.columns[2].ids[1] = kIgnoredId;
  if (c.config.char_hidden > 0) {
    const std::int64_t forms = std::ssize(c.spelled);
    batch.columns.push_back(random_ids({std::ranges::max(c.spelled), forms}, c.config.characters));
    batch.columns.push_back(id_column({forms}));
    batch.columns.back().ids = c.spelled;
    batch.columns.push_back(random_ids({steps, n}, forms));
  }
  batch.count = std::ranges::count_if(batch.columns[2].ids,
                                      [](std::int32_t target) { return target != kIgnoredId; });
  return batch;
}

template <typename S>
using Arrays = std::vector<reference::Array<S>>;

/// A table's rows, or one-hot.
template <typename S>
reference::Array<S> reference_inputs(const EncoderConfig& config, const Column& ids,
                                     typename Arrays<S>::const_iterator& next) {
  const Dims dims = dims_of(ids.shape);
  if (config.embedding > 0) return reference::gather(*next++, ids.ids, dims);
  reference::Array<S> x({dims[0], dims[1], config.vocabulary});
  for (std::size_t row = 0; row < ids.ids.size(); ++row) x.at(std::int64_t(row), ids.ids[row]) = 1;
  return x;
}

template <typename S>
reference::RecurrentOutputs<S> reference_stack(const EncoderConfig& config, reference::Array<S> x,
                                               const std::vector<std::int32_t>& lengths,
                                               typename Arrays<S>::const_iterator& next) {
  const RecurrentSpec spec = config.recurrent();
  const auto n = std::int64_t(lengths.size());
  const std::int64_t input = x.last();
  reference::RecurrentInputs<S> in;
  in.x = std::move(x);
  in.lengths = lengths;
  for (int layer = 0; layer < spec.layers(); ++layer) {
    in.h0.emplace_back(dims_of(spec.h_shape(layer, n)));
    if (spec.has_c()) in.c0.emplace_back(dims_of(spec.c_shape(layer, n)));
    for (int d = 0; d < spec.directions; ++d) {
      reference::LayerWeights<S>& cell = in.weights.emplace_back();
      for (const CellParameter& p : cell_parameters(spec, layer, input)) p.of(cell) = *next++;
    }
  }
  return reference::recurrent(spec, in);
}

template <typename S>
struct ReferenceTagging {
  reference::Array<S> scores;  // [T N, K]
  Arrays<S> crf;               // transitions, start, end
};

template <typename S>
ReferenceTagging<S> reference_scores(const SequenceTaggerConfig& config,
                                     const Arrays<S>& parameters, const Batch& batch) {
  auto next = parameters.begin();
  // The sentence's parameters come first, but what it reads needs those of the characters.
  reference::Array<S> x = reference_inputs<S>(config, batch.columns[0], next);
  const auto sentence = next;
  const EncoderConfig whole = config.sentence();
  for (int layer = 0; layer < whole.recurrent().layers(); ++layer)
    next += whole.directions *
            std::ptrdiff_t(cell_parameters(whole.recurrent(), layer, whole.width()).size());
  if (config.char_hidden > 0) {
    const EncoderConfig spelling = config.spelling();
    reference::Array<S> characters = reference_inputs<S>(spelling, batch.columns[3], next);
    const auto read =
        reference_stack<S>(spelling, std::move(characters), batch.columns[4].ids, next);
    const std::int64_t forms = batch.columns[4].shape[0], h = config.char_hidden;
    reference::Array<S> joined({x.dims[0], x.dims[1], x.last() + 2 * h});
    for (std::int64_t row = 0; row < x.dims[0] * x.dims[1]; ++row) {
      for (std::int64_t k = 0; k < x.last(); ++k) joined.at(row, k) = x.at(row, k);
      const std::int64_t form = batch.columns[5].ids[std::size_t(row)];
      for (std::int64_t k = 0; k < 2 * h; ++k)
        joined.at(row, x.last() + k) = read.h_n.back().at(k / h * forms + form, k % h);
    }
    x = std::move(joined);
  }
  auto of_sentence = sentence;
  const auto out = reference_stack<S>(whole, std::move(x), batch.columns[1].ids, of_sentence);
  reference::Array<S> h({out.y.dims[0] * out.y.dims[1], out.y.last()});
  h.values = out.y.values;
  const reference::Array<S>& weight = *next++;
  const reference::Array<S>& bias = *next++;
  ReferenceTagging<S> tagging{
      reference::log_softmax(reference::zip(reference::matmul(h, weight, false, true), bias,
                                            [](S a, S b) { return a + b; })),
      {}};
  while (next != parameters.end()) tagging.crf.push_back(*next++);
  return tagging;
}

/// The sum of a row's scores for these tags.
template <typename S>
S path_score(const ReferenceTagging<S>& model, std::int64_t row, std::int64_t n,
             const std::vector<std::int32_t>& tags) {
  S sum = 0;
  for (std::size_t t = 0; t < tags.size(); ++t)
    sum += model.scores.at(std::int64_t(t) * n + row, tags[t]);
  if (model.crf.empty()) return sum;
  for (std::size_t t = 1; t < tags.size(); ++t) sum += model.crf[0].at(tags[t - 1], tags[t]);
  return sum + model.crf[1].values[std::size_t(tags.front())] +
         model.crf[2].values[std::size_t(tags.back())];
}

void for_each_path(std::int64_t length, std::int32_t tags,
                   const std::function<void(const std::vector<std::int32_t>&)>& use) {
  std::vector<std::int32_t> path(std::size_t(length), 0);
  for (;;) {
    use(path);
    std::size_t k = 0;
    while (k < path.size() && ++path[k] == tags) path[k++] = 0;
    if (k == path.size()) return;
  }
}

std::vector<std::int32_t> tags_of_batch(const Batch& batch, std::int64_t row) {
  std::vector<std::int32_t> targets;
  const std::int64_t n = batch.columns[1].shape[0];
  for (std::int64_t t = 0; t < batch.columns[1].ids[std::size_t(row)]; ++t)
    targets.push_back(batch.columns[2].ids[std::size_t(t * n + row)]);
  return targets;
}

/// -ln p of the tags: [T, N] of a softmax, [N] of a CRF, by enumeration.
template <typename S>
std::vector<S> reference_losses(const SequenceTaggerConfig& config,
                                const ReferenceTagging<S>& model, const Batch& batch) {
  const std::int64_t n = batch.columns[1].shape[0];
  std::vector<S> losses;
  if (!config.crf) {
    for (std::size_t row = 0; row < batch.columns[2].ids.size(); ++row) {
      const std::int32_t target = batch.columns[2].ids[row];
      losses.push_back(target == kIgnoredId ? S(0) : -model.scores.at(std::int64_t(row), target));
    }
    return losses;
  }
  for (std::int64_t row = 0; row < n; ++row) {
    const std::vector<std::int32_t> targets = tags_of_batch(batch, row);
    losses.push_back(0);
    if (targets.front() == kIgnoredId) continue;
    S sum = 0;
    for_each_path(std::ssize(targets), std::int32_t(config.tags),
                  [&](const auto& path) { sum += std::exp(path_score(model, row, n, path)); });
    losses.back() = std::log(sum) - path_score(model, row, n, targets);
  }
  return losses;
}

std::vector<Reals> tagger_parameters(const SequenceTagger& model, std::uint64_t seed) {
  Random random(seed);
  std::vector<Reals> values;
  const double limit = 1 / std::sqrt(double(model.config().hidden[0]));
  for (const VariableInfo& info : model.parameters()) {
    const bool recurrent = info.name.find("rnn.weight") != info.name.npos;
    values.push_back(
        random.array(dims_of(info.type.shape), recurrent ? -limit : -0.5, recurrent ? limit : 0.5));
  }
  return values;
}

void write_tagger(const SequenceTagger& model, const std::vector<Reals>& values,
                  VariableStore& store) {
  std::size_t k = 0;
  for (const VariableInfo& info : model.parameters())
    store.write<float>(info.name, floats(values[k++]));
}

/// Both stacks' roundings, one after the other, and those of a softmax; of a CRF those of a
/// recursion over the steps, as long.
double tagger_ulps(const TaggerCase& c) {
  const auto ulps = [](const EncoderConfig& config, const std::vector<std::int32_t>& lengths) {
    return recurrent_ulps({.name = "",
                           .spec = config.recurrent(),
                           .steps = std::ranges::max(lengths),
                           .batch = std::ssize(lengths),
                           .input = config.width()});
  };
  double sum = ulps(c.config.sentence(), c.lengths);
  if (c.config.char_hidden > 0) sum += ulps(c.config.spelling(), c.spelled);
  return 2 * sum + 2 * std::sqrt(double(c.config.recurrent().output())) +
         2 * std::sqrt(double(c.config.tags)) + 8 + (c.config.crf ? 32 : 0);
}

class SequenceTaggers : public OnEachBackend {
 protected:
  void check_values(const TaggerCase& c) {
    const SequenceTagger model(c.config);
    const std::vector<Reals> parameters = tagger_parameters(model, 3);
    const Batch batch = random_batch(c, 4);
    const std::int64_t n = std::ssize(c.lengths);
    const auto expected = reference_scores(c.config, parameters, batch);
    const std::vector<double> losses = reference_losses(c.config, expected, batch);

    const auto evaluation = model.evaluation_graph(n, "evaluate");
    EXPECT_TRUE(evaluation->carried.empty());
    Session evaluated(evaluation->graph, backend_);
    write_tagger(model, parameters, evaluated.variables());
    std::vector<Feed> feeds;
    make_feeds(evaluation->inputs, batch, feeds);
    evaluated.run(evaluation->fetches, feeds);
    EXPECT_TRUE(close(evaluated.read(evaluation->loss), losses, tagger_ulps(c)));
    const std::vector<float> hits = evaluated.read(evaluation->hit);

    const auto tagging = model.tagging_graph(n);
    Session tagged(tagging->graph, backend_);
    write_tagger(model, parameters, tagged.variables());
    make_feeds(tagging->inputs, batch, feeds);
    feeds.erase(feeds.begin() + TaggingGraph::kTargets);
    const std::vector<Tensor> asked{tagging->tags, tagging->mean_score};
    tagged.run(asked, feeds);
    EXPECT_TRUE(std::isfinite(tagged.read(tagging->mean_score)[0]));
    const std::vector<std::int32_t> tags = tagged.read<std::int32_t>(tagging->tags);
    for (std::int64_t row = 0; row < n; ++row) {
      const std::vector<std::int32_t> targets = tags_of_batch(batch, row);
      const std::vector<std::int32_t> best = best_path(c, expected, row, std::ssize(targets));
      for (std::size_t t = 0; t < best.size(); ++t) {
        const std::size_t at = t * std::size_t(n) + std::size_t(row);
        EXPECT_EQ(tags[at], best[t]) << row << " " << t;
        EXPECT_EQ(hits[at], best[t] == targets[t] ? 1 : 0) << row << " " << t;
      }
      for (std::int64_t t = std::ssize(best); t < std::ranges::max(c.lengths); ++t)
        EXPECT_EQ(hits[std::size_t(t * n + row)], 0);
    }
  }

  static std::vector<std::int32_t> best_path(const TaggerCase& c,
                                             const ReferenceTagging<double>& model,
                                             std::int64_t row, std::int64_t length) {
    const std::int64_t n = std::ssize(c.lengths);
    std::vector<std::int32_t> best;
    if (!c.config.crf) {
      for (std::int64_t t = 0; t < length; ++t) {
        best.push_back(0);
        for (std::int32_t k = 1; k < c.config.tags; ++k)
          if (model.scores.at(t * n + row, k) > model.scores.at(t * n + row, best.back()))
            best.back() = k;
      }
      return best;
    }
    for_each_path(length, std::int32_t(c.config.tags), [&](const auto& path) {
      if (best.empty() || path_score(model, row, n, path) > path_score(model, row, n, best))
        best = path;
    });
    return best;
  }

  /// One step of gradient descent with rate 1 gives the gradient. A frozen table has none.
  void check_gradients(const TaggerCase& c) {
    const SequenceTagger model(c.config);
    const std::vector<Reals> parameters = tagger_parameters(model, 5);
    const Batch batch = random_batch(c, 6);
    const std::vector<Reals> expected =
        reference::complex_step(parameters, [&](const Arrays<Complex>& p) {
          Complex sum = 0;
          for (const Complex& loss :
               reference_losses(c.config, reference_scores(c.config, p, batch), batch))
            sum += loss;
          return sum / double(batch.count);
        });
    const auto training = model.training_graph({.batch = std::ssize(c.lengths),
                                                .optimizer = {},
                                                .learning_rate = 1,
                                                .guard = {},
                                                .initialization = {}});
    EXPECT_TRUE(training->carried.empty());
    Session session(training->graph, backend_);
    write_tagger(model, parameters, session.variables());
    std::vector<Feed> feeds;
    make_feeds(training->inputs, batch, feeds);
    session.run(std::span(&training->step, 1), feeds);
    std::size_t k = 0;
    for (const VariableInfo& info : model.parameters()) {
      SCOPED_TRACE(info.name);
      const std::vector<float> after = session.variables().read<float>(info.name);
      std::vector<double> slope;
      for (std::size_t i = 0; i < after.size(); ++i)
        slope.push_back(parameters[k].values[i] - double(after[i]));
      if (c.config.frozen && info.name == kEncoder)
        EXPECT_EQ(after, floats(parameters[k]));
      else
        EXPECT_TRUE(close(slope, expected[k].values, 4 * tagger_ulps(c)));
      ++k;
    }
  }
};
UNROLL_FOR_EACH_BACKEND(SequenceTaggers);

TEST_P(SequenceTaggers, GiveTheLossesAndTagsOfTheReference) {
  for (const auto& cases : {small_tagger_cases(), wide_tagger_cases()})
    for (const TaggerCase& c : cases) {
      SCOPED_TRACE(tagger_name(c));
      check_values(c);
    }
}

TEST_P(SequenceTaggers, TrainByTheGradientOfTheReference) {
  for (TaggerCase c : small_tagger_cases())
    for (const bool frozen : {false, true}) {
      if (frozen && c.config.embedding == 0) continue;
      c.config.frozen = frozen;
      SCOPED_TRACE(tagger_name(c));
      check_gradients(c);
    }
}

/// The same sentences and words in columns of more steps and more characters.
Batch with_more_padding(const Batch& batch) {
  Batch more = batch;
  for (const std::size_t k : {0U, 2U, 3U, 5U}) {
    if (k >= batch.columns.size()) continue;
    Column& column = more.columns[k];
    const std::int64_t n = column.shape[1];
    column.shape = {column.shape[0] + 9, n};
    column.ids.resize(std::size_t(column.shape.elements()), k == 2 ? kIgnoredId : 1);
  }
  return more;
}

TEST_P(SequenceTaggers, PaddingChangesNothing) {
  for (const auto& cases : {small_tagger_cases(), wide_tagger_cases()})
    for (const TaggerCase& c : cases) {
      SCOPED_TRACE(tagger_name(c));
      const SequenceTagger model(c.config);
      const Batch batch = random_batch(c, 8);
      const auto evaluated = [&](const Batch& fed) {
        const auto graph = model.evaluation_graph(std::ssize(c.lengths), "evaluate");
        Session session(graph->graph, backend_, 1);
        std::vector<Feed> feeds;
        make_feeds(graph->inputs, fed, feeds);
        session.run(graph->fetches, feeds);
        std::vector<float> loss = session.read(graph->loss), hit = session.read(graph->hit);
        if (!c.config.crf) loss.resize(batch.columns[0].ids.size());
        hit.resize(batch.columns[0].ids.size());
        return std::pair(loss, hit);
      };
      EXPECT_EQ(evaluated(with_more_padding(batch)), evaluated(batch));
    }
}

// ---- files

std::string tagger_error(const std::function<void(Checkpoint&)>& change) {
  const SmallTagger small{.crf = true};
  const auto task = small.task(small.corpus());
  Checkpoint checkpoint;
  checkpoint.directory = "run/step";
  checkpoint.config = task->to_json();
  checkpoint.vocabulary = task->files().vocabulary;
  checkpoint.files = task->files().others;
  change(checkpoint);
  try {
    const auto read = SequenceTagger::read(checkpoint);
    EXPECT_EQ(read->to_json(), task->to_json());
    EXPECT_EQ(read->files().vocabulary, task->files().vocabulary);
    EXPECT_EQ(read->files().others, task->files().others);
    EXPECT_EQ(
        SequenceTagger::configured(JsonObject(checkpoint.config["model"], "model"))->describe(),
        task->describe());
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "";
}

TEST(SequenceTagger, IsReadFromItsFiles) {
  EXPECT_EQ(tagger_error([](Checkpoint&) {}), "");
  for (const SmallTagger& small : kSmallTaggers) {
    SCOPED_TRACE(small.name());
    const auto task = small.task(small.corpus());
    const nlohmann::json model = task->to_json().at("model");
    const SequenceTaggerConfig read = sequence_tagger_from(JsonObject(model, "model"));
    EXPECT_EQ(read.crf, small.crf);
    EXPECT_EQ(read.frozen, small.frozen);
    EXPECT_EQ(read.char_hidden, small.char_hidden);
    EXPECT_EQ(read.char_embedding, task->config().char_embedding);
    EXPECT_EQ(read.characters, task->config().characters);
    EXPECT_EQ(read.tags, task->config().tags);
    EXPECT_EQ(read.vocabulary, task->config().vocabulary);
  }
}

TEST(SequenceTagger, RefusesDamagedFilesInOneLine) {
  const auto of_model = [](const char* key, const nlohmann::json& value) {
    return tagger_error([&](Checkpoint& c) { c.config["model"][key] = value; });
  };
  EXPECT_EQ(of_model("type", "sequence_classifier"),
            "run/step/config.json: model: type: got 'sequence_classifier', expected "
            "sequence_tagger");
  EXPECT_EQ(of_model("tag_column", "lemma"),
            "run/step/config.json: model: tag_column: got 'lemma', expected upos or xpos");
  EXPECT_TRUE(contains(of_model("tags", 1), "tags"));
  EXPECT_TRUE(contains(of_model("tags", kMaxCrfTags + 1), "tags"));
  EXPECT_EQ(of_model("tags", 5), "run/step/tags.txt: got 4 tags, expected 5 as in config.json");
  EXPECT_TRUE(contains(of_model("characters", 3), "run/step/characters.txt: got "));
  EXPECT_TRUE(contains(of_model("vocabulary", 3), "run/step/vocab.txt: got "));
  EXPECT_TRUE(contains(of_model("char_hidden", -1), "char_hidden"));
  EXPECT_TRUE(contains(of_model("crf", 1), "crf"));
  for (const char* key : {"type", "tags", "tag_column", "crf", "char_hidden", "characters",
                          "char_embedding", "cell", "vocabulary", "hidden"})
    EXPECT_TRUE(contains(tagger_error([&](Checkpoint& c) { c.config["model"].erase(key); }), key));
  for (const char* key : {"model", "training_words"})
    EXPECT_TRUE(contains(tagger_error([&](Checkpoint& c) { c.config.erase(key); }), key));
  EXPECT_TRUE(contains(tagger_error([](Checkpoint& c) { c.config["training_words"] = 1'000; }),
                       "training_words"));
  EXPECT_EQ(tagger_error([](Checkpoint& c) { c.vocabulary.reset(); }),
            "run/step: vocab.txt is missing");
  for (const char* file : {"characters.txt", "tags.txt"}) {
    EXPECT_EQ(tagger_error([&](Checkpoint& c) { c.files.erase(file); }),
              std::string("run/step: ") + file + " is missing");
    EXPECT_TRUE(contains(tagger_error([&](Checkpoint& c) { c.files[file] += "\x01\n\n"; }), file));
    EXPECT_TRUE(contains(tagger_error([&](Checkpoint& c) { c.files[file] = ""; }), file));
  }
  EXPECT_TRUE(
      contains(tagger_error([](Checkpoint& c) { *c.vocabulary += "duck\n"; }), "vocab.txt"));
}

TEST(SequenceTagger, RefusesWhatDoesNotFit) {
  const SmallTagger small{.vectors = true};
  const TaggedCorpus corpus = small.corpus();
  const SequenceTaggerConfig config = small.task(corpus)->config();
  const auto refused = [&](const std::function<void(SequenceTaggerConfig&)>& change) {
    SequenceTaggerConfig changed = config;
    change(changed);
    EXPECT_THROW(SequenceTagger(changed, corpus.vocabulary, few_vectors()), std::invalid_argument);
  };
  refused([](auto& c) { c.tags = 1; });
  refused([](auto& c) { c.tags = ClassLabels::kMost + 1; });
  refused([](auto& c) { ++c.tags; });
  refused([](auto& c) { ++c.vocabulary; });
  refused([](auto& c) { ++c.characters; });
  refused([](auto& c) { c.char_hidden = -1; });
  refused([](auto& c) { c.embedding = 9; });  // the vectors have 8
  refused([](auto& c) { c.hidden = {}; });
}

}  // namespace
}  // namespace unroll::test
