/// VariableStore::save() and load(): what is saved comes back with the same bits, and a file that
/// does not fit changes nothing.
#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "host/base/safetensors.h"
#include "tests/support/backends.h"
#include "tests/support/resource_limit.h"
#include "tests/support/temp_folder.h"
#include "unroll/layers.h"
#include "unroll/ops.h"
#include "unroll/optimizer.h"
#include "unroll/recurrent.h"
#include "unroll/session.h"

namespace unroll::test {
namespace {

/// A model that trains with Adam, so that its store has variables of every kind. The recurrent node
/// keeps its weights in a form of its own, which a load must renew.
struct Model {
  Graph graph;
  Tensor x, cost, step;

  Model() {
    x = graph.placeholder("x", {kOpen, 1, 3});
    const RecurrentSpec spec{.cell = CellKind::kRnnTanh, .hidden = {4}};
    const Tensor h = recurrent(spec, {.x = x, .weights = recurrent_weights(graph, spec, 3)}).y;
    cost = mean_squared_error(dense(h, 3, "layer"), x);
    step = AdamOptimizer(0.01).minimize(cost);
  }
};

const std::vector<float> kExamples{1, 2, 3, -1, 0, 1};

/// The bytes of every variable.
std::map<std::string, std::vector<std::byte>> bits_of(const VariableStore& store) {
  std::map<std::string, std::vector<std::byte>> bits;
  for (const std::string& name : store.names()) {
    const View view = store.view(name);
    bits[name].resize(view.bytes());
    store.backend().download(bits[name].data(), view.data, view.bytes());
  }
  return bits;
}

class VariableFileTest : public OnEachBackend {
 protected:
  std::filesystem::path file() const { return folder_.path() / "model.safetensors"; }

  /// The file as it would be with these changes.
  void rewrite(const std::function<void(std::vector<TensorData>&)>& change) const {
    const SafetensorsFile read = SafetensorsFile::read(file());
    std::vector<TensorData> tensors(read.tensors().begin(), read.tensors().end());
    change(tensors);
    write_safetensors(folder_.path() / "changed", tensors);
    std::filesystem::rename(folder_.path() / "changed", file());
  }

  TempFolder folder_;
};

TEST_P(VariableFileTest, ATrainedModelGoesOnFromAFile) {
  Model model;
  Session session(model.graph, backend_, 1);
  for (int k = 0; k < 3; ++k) session.run(model.step, {{model.x, kExamples}});
  session.variables().save(file());
  const auto saved = bits_of(session.variables());
  EXPECT_EQ(saved.size(), 6U + 12U + 3U);  // weights, Adam's moments, the optimiser's own

  Session other(model.graph, backend_, 2);
  EXPECT_NE(bits_of(other.variables()), saved);
  other.run(model.cost, {{model.x, kExamples}});  // whatever is kept of old weights must go
  other.variables().load(file());
  EXPECT_EQ(bits_of(other.variables()), saved);
  EXPECT_EQ(other.evaluate(model.cost, {{model.x, kExamples}}),
            session.evaluate(model.cost, {{model.x, kExamples}}));
  for (Session* each : {&session, &other})
    each->run({model.step, model.cost}, {{model.x, kExamples}});
  EXPECT_EQ(other.read(model.cost), session.read(model.cost));
  EXPECT_EQ(bits_of(other.variables()), bits_of(session.variables()));
}

TEST_P(VariableFileTest, ASecondSaveReplacesTheFirst) {
  Model model;
  Session session(model.graph, backend_, 1);
  session.variables().save(file());
  session.run(model.step, {{model.x, kExamples}});
  session.variables().save(file());
  const auto saved = bits_of(session.variables());
  session.run(model.step, {{model.x, kExamples}});
  session.variables().load(file());
  EXPECT_EQ(bits_of(session.variables()), saved);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_.path()), {}), 1);
}

TEST_P(VariableFileTest, AFileThatDoesNotFitChangesNothing) {
  Model model;
  Session session(model.graph, backend_, 1);
  VariableStore& store = session.variables();
  const auto before = bits_of(store);
  const std::string path = file().string();
  const std::int64_t count = 1;
  const auto error = [&] {
    const std::string said = error_of<std::runtime_error>([&] { store.load(file()); });
    EXPECT_EQ(bits_of(store), before);
    return said;
  };
  /// Changes the saved model so, and loads it.
  const auto error_after = [&](const std::function<void(std::vector<TensorData>&)>& change) {
    store.save(file());
    rewrite(change);
    return error();
  };
  const auto layer = [](std::vector<TensorData>& tensors) -> TensorData& {
    for (TensorData& tensor : tensors)
      if (tensor.name == "layer.weight") return tensor;
    throw std::logic_error("no layer.weight");
  };

  EXPECT_EQ(error(), path + ": cannot be opened: No such file or directory");
  EXPECT_EQ(error_after([&](auto& tensors) { layer(tensors).name = "layer.wait"; }),
            path + ": variable 'layer.weight': got none, expected one of that name");
  EXPECT_EQ(
      error_after([&](auto& tensors) {
        tensors.push_back({"more", StoredType::kI64, {}, std::as_bytes(std::span(&count, 1))});
      }),
      path + ": variable 'more': got one, expected no variable of that name");
  EXPECT_EQ(error_after([&](auto& tensors) {
              layer(tensors).shape = {4, 3};
            }),
            path + ": variable 'layer.weight': got F32 [4, 3], expected F32 [3, 4]");
  EXPECT_EQ(error_after([&](auto& tensors) { layer(tensors).type = StoredType::kI32; }),
            path + ": variable 'layer.weight': got I32 [3, 4], expected F32 [3, 4]");

  folder_.write("model.safetensors", "not a model\n");
  EXPECT_EQ(error(), path + ": is plain text; expected a safetensors file");
  store.save(file());
  std::filesystem::resize_file(file(), std::filesystem::file_size(file()) - 1);
  EXPECT_TRUE(contains(error(), path + ": "));
  std::filesystem::remove(file());
  std::filesystem::create_directory(file());
  EXPECT_EQ(error(), path + ": is a folder, expected a safetensors file");
}

TEST_P(VariableFileTest, EveryElementTypeComesBack) {
  Graph graph;
  graph.variable("real", {2}, constant(0.5));
  graph.variable("wide", {2}, constant(0), {.trainable = false, .dtype = DType::kFloat64});
  graph.variable("id", {3}, constant(0), {.trainable = false, .dtype = DType::kInt32});
  graph.variable("count", {}, constant(0), {.trainable = false, .dtype = DType::kInt64});
  graph.variable("done", {3}, constant(0), {.trainable = false, .dtype = DType::kBool});
  Session session(graph, backend_, 1);
  VariableStore& store = session.variables();
  const std::vector<double> wide{1e300, -1.0 / 3};
  const std::vector<std::int32_t> ids{-1, 0, INT32_MAX};
  const std::vector<std::int64_t> count{INT64_MIN};
  const bool done[] = {true, false, true};
  store.write<double>("wide", wide);
  store.write<std::int32_t>("id", ids);
  store.write<std::int64_t>("count", count);
  store.write<bool>("done", done);
  store.save(file());
  Session other(graph, backend_, 2);
  other.variables().load(file());
  EXPECT_EQ(other.variables().read<float>("real"), std::vector<float>(2, 0.5F));
  EXPECT_EQ(other.variables().read<double>("wide"), wide);
  EXPECT_EQ(other.variables().read<std::int32_t>("id"), ids);
  EXPECT_EQ(other.variables().read<std::int64_t>("count"), count);
  EXPECT_EQ(other.variables().read<bool>("done"), (std::vector<bool>{true, false, true}));
  const std::vector<StoredType> types{StoredType::kI64, StoredType::kBool, StoredType::kI32,
                                      StoredType::kF32, StoredType::kF64};
  const SafetensorsFile stored = SafetensorsFile::read(file());
  std::vector<StoredType> seen;
  for (const char* name : {"count", "done", "id", "real", "wide"})
    seen.push_back(stored.find(name)->type);
  EXPECT_EQ(seen, types);
}

TEST_P(VariableFileTest, SomeVariablesComeBackByName) {
  Model model;
  Session session(model.graph, backend_, 1);
  session.variables().save(file());
  const auto saved = bits_of(session.variables());

  // A graph with other variables, too, and a file with more than is asked for.
  Graph graph;
  const Tensor x = graph.placeholder("x", {1, 4});
  graph.variable("own", {2}, constant(7));
  dense(x, 3, "layer");
  Session other(graph, backend_, 2);
  VariableStore& store = other.variables();
  const auto before = bits_of(store);
  const std::vector<std::string> weight{"layer.weight"}, both{"layer.weight", "layer.bias"};
  store.load(file(), weight);
  auto expected = before;
  expected["layer.weight"] = saved.at("layer.weight");
  EXPECT_EQ(bits_of(store), expected);
  EXPECT_NE(expected, before);
  store.load(file(), std::vector<std::string>{});
  EXPECT_EQ(bits_of(store), expected);

  const std::string path = file().string();
  EXPECT_EQ(error_of<std::invalid_argument>([&] {
              store.load(file(), std::vector<std::string>{"layer.weight", "layer.wait"});
            }),
            "no variable is called 'layer.wait'");
  EXPECT_EQ(error_of<std::runtime_error>([&] {
              store.load(file(), std::vector<std::string>{"layer.weight", "own"});
            }),
            path + ": variable 'own': got none, expected one of that name");
  rewrite([](std::vector<TensorData>& tensors) {
    for (TensorData& tensor : tensors)
      if (tensor.name == "layer.bias") tensor.shape = {1, 3};
  });
  EXPECT_EQ(error_of<std::runtime_error>([&] { store.load(file(), both); }),
            path + ": variable 'layer.bias': got F32 [1, 3], expected F32 [3]");
  EXPECT_EQ(bits_of(store), expected);
  // Versions changed with the values: a node that keeps weights in a form of its own sees them.
  Model known;
  Session whole(known.graph, backend_, 3);
  whole.run(known.cost, {{known.x, kExamples}});
  const std::vector<std::string> all = whole.variables().names();
  session.variables().save(file());
  whole.variables().load(file(), all);
  EXPECT_EQ(whole.evaluate(known.cost, {{known.x, kExamples}}),
            session.evaluate(model.cost, {{model.x, kExamples}}));
}

TEST_P(VariableFileTest, AFailedSaveLeavesTheOldFile) {
  Model model;
  Session session(model.graph, backend_, 1);
  const std::filesystem::path nowhere = folder_.path() / "missing" / "model";
  EXPECT_EQ(error_of<std::runtime_error>([&] { session.variables().save(nowhere); }),
            nowhere.string() + ".partial: cannot be written: No such file or directory");
  // A file in the way of the one that is written first.
  session.variables().save(file());
  const std::string saved = read_text(file());
  std::filesystem::create_directory(file().string() + ".partial");
  folder_.write("model.safetensors.partial/in_the_way", "");
  session.run(model.step, {{model.x, kExamples}});
  EXPECT_TRUE(contains(error_of<std::runtime_error>([&] { session.variables().save(file()); }),
                       "cannot be written"));
  EXPECT_EQ(read_text(file()), saved);
  std::filesystem::remove_all(file().string() + ".partial");
  {
    const FullDisk disk(200);
    EXPECT_EQ(error_of<std::runtime_error>([&] { session.variables().save(file()); }),
              file().string() + ".partial: cannot be written: File too large");
  }
  EXPECT_EQ(read_text(file()), saved);
  EXPECT_FALSE(std::filesystem::exists(file().string() + ".partial"));
  // The target cannot be replaced.
  std::filesystem::create_directory(folder_.path() / "folder");
  folder_.write("folder/held", "");
  EXPECT_TRUE(contains(
      error_of<std::runtime_error>([&] { session.variables().save(folder_.path() / "folder"); }),
      "folder: cannot be written: "));
  EXPECT_FALSE(std::filesystem::exists(folder_.path() / "folder.partial"));
}

UNROLL_FOR_EACH_BACKEND(VariableFileTest);

}  // namespace
}  // namespace unroll::test
