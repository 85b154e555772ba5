/// The recurrent node against PyTorch's results, which tests/golden/make_goldens.py wrote.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/backends.h"
#include "tests/support/compare.h"
#include "tests/support/random.h"
#include "tests/support/recurrent_case.h"
#include "tests/support/reference_recurrent.h"
#include "unroll/gradients.h"
#include "unroll/ops.h"
#include "unroll/recurrent.h"
#include "unroll/session.h"

namespace unroll::test {
namespace {

// Values and gradients of size up to 10, from sums of 12 to 60 products on both sides.
constexpr double kUlps = 64;

const nlohmann::json& goldens() {
  static const nlohmann::json document = [] {
    const std::string path = std::string(UNROLL_SOURCE_DIR) + "/tests/golden/recurrent.json";
    std::ifstream file(path);
    if (!file) throw std::runtime_error("cannot open " + path);
    return nlohmann::json::parse(file);
  }();
  return document;
}

std::vector<float> floats_of(const nlohmann::json& list) {
  return list.get<std::vector<float>>();
}

CellKind kind_of(const std::string& name) {
  for (const CellKind kind :
       {CellKind::kRnnTanh, CellKind::kRnnRelu, CellKind::kLstm, CellKind::kGru})
    if (to_string(kind) == name) return kind;
  throw std::runtime_error("no cell is called " + name);
}

/// The network's number of layers, and the elements of its projection, 0 if it has none.
std::int64_t layers_of(const nlohmann::json& network) {
  return network.value("layers", goldens().at("layers").get<std::int64_t>());
}
std::int64_t projection_of(const nlohmann::json& network) {
  return network.value("projection", std::int64_t{0});
}

class RecurrentGolden : public OnEachBackend {
 protected:
  void compare(const nlohmann::json& network, const nlohmann::json& run) {
    const auto size = [](const char* key) { return goldens().at(key).get<std::int64_t>(); };
    const std::int64_t steps = size("steps"), batch = size("batch"), input = size("input"),
                       hidden = size("hidden");
    const std::size_t layers = std::size_t(layers_of(network));
    const int directions = network.at("directions");
    const bool lstm = network.at("cell") == "lstm";
    RecurrentSpec spec{.cell = kind_of(network.at("cell")),
                       .reset = GruReset::kAfter,
                       .hidden = std::vector<std::int64_t>(layers, hidden),
                       .directions = directions,
                       .projection = projection_of(network)};

    // PyTorch's states are [L D, N, R] and [L D, N, H]; ours are one [D, N, R or H] per layer.
    Graph g;
    RecurrentInputs in;
    in.x = g.placeholder("x", {steps, batch, input});
    const Shape all_h{directions * std::int64_t(layers), batch, spec.width(0)},
        all_c{directions * std::int64_t(layers), batch, hidden};
    const Tensor h0 = g.placeholder("h0", all_h), c0 = g.placeholder("c0", all_c);
    const auto layer_of = [&](Tensor states, std::size_t layer) {
      const std::int64_t first = directions * std::int64_t(layer);
      return slice(states, 0, first, first + directions);
    };
    for (std::size_t layer = 0; layer < layers; ++layer) {
      in.h0.push_back(layer_of(h0, layer));
      if (lstm) in.c0.push_back(layer_of(c0, layer));
    }
    in.weights = recurrent_weights(
        g, spec, input, {.prefix = "", .weight_ih = constant(0), .weight_hh = constant(0)});
    const std::vector<std::int32_t> lengths = run.at("lengths");
    if (!lengths.empty()) in.lengths = g.placeholder("lengths", {batch}, DType::kInt32);
    const RecurrentResult result = recurrent(spec, in);
    const Tensor h_n = concat(result.h_n, 0);
    const Tensor wy = g.placeholder("wy", {steps, batch, spec.output()}),
                 wh = g.placeholder("wh", all_h), wc = g.placeholder("wc", all_c);
    Tensor loss = reduce_sum(wy * result.y) + reduce_sum(wh * h_n);

    std::map<std::string, Tensor> fetches{{"y", result.y}, {"h_n", h_n}};
    std::vector<Tensor> xs{in.x, h0};
    std::vector<std::string> names{"dx", "dh0"};
    if (lstm) {
      fetches["c_n"] = concat(result.c_n, 0);
      loss = loss + reduce_sum(wc * fetches["c_n"]);
      xs.push_back(c0);
      names.push_back("dc0");
    }
    for (const CellWeights& w : in.weights)
      for (const CellParameter& p : cell_parameters(spec, 0, input)) {
        xs.push_back(p.of(w));
        names.push_back(p.of(w).name());
      }
    const std::vector<Tensor> slopes = dense_gradients(loss, xs);
    for (std::size_t k = 0; k < names.size(); ++k) fetches[names[k]] = slopes[k];

    Session session(g, backend_);
    for (const auto& [name, values] : network.at("weights").items())
      session.variables().write<float>(name, floats_of(values));
    std::map<std::string, std::vector<float>> values;
    std::vector<Feed> feeds;
    for (const Tensor& fed : {in.x, h0, wy, wh, c0, wc})
      if (network.contains(fed.name())) {
        values[fed.name()] = floats_of(network.at(fed.name()));
        feeds.emplace_back(fed, values[fed.name()]);
      }
    if (in.lengths) feeds.emplace_back(in.lengths, lengths);
    std::vector<Tensor> all;
    all.reserve(fetches.size());
    for (const auto& [name, tensor] : fetches) all.push_back(tensor);
    session.run(all, feeds);

    std::size_t compared = 0;
    for (const auto& [name, tensor] : fetches) {
      const nlohmann::json& expected =
          run.contains(name) ? run.at(name) : run.at("dweights").at(name);
      EXPECT_TRUE(close(session.read(tensor), doubles(floats_of(expected)), kUlps)) << name;
      ++compared;
    }
    EXPECT_EQ(compared, run.at("dweights").size() + run.size() - 2);  // all but lengths, dweights
  }
};

TEST_P(RecurrentGolden, ValuesAndGradientsArePyTorchs) {
  int compared = 0;
  const bool takes_lengths = GetParam() != "CudaCudnn";
  for (const nlohmann::json& network : goldens().at("networks"))
    for (const nlohmann::json& run : network.at("runs")) {
      if (!run.at("lengths").empty() && !takes_lengths) continue;
      SCOPED_TRACE(network.at("cell").get<std::string>() + " x" +
                   std::to_string(network.at("directions").get<int>()) + " projection " +
                   std::to_string(projection_of(network)) +
                   (run.at("lengths").empty() ? "" : " lengths"));
      compare(network, run);
      ++compared;
    }
  EXPECT_EQ(compared, takes_lengths ? 24 : 12);
}

INSTANTIATE_TEST_SUITE_P(On, RecurrentGolden, ::testing::Values("Cpu", "Cuda", "CudaCudnn"),
                         backend_name);

/// One layer's [D, N, R or H] of PyTorch's states of all layers, [L D, N, R or H].
Reals layer_states(const nlohmann::json& list, const Dims& dims, std::size_t layer) {
  const std::size_t size = reference::elements(dims);
  const std::vector<double> all = doubles(floats_of(list));
  const auto begin = all.begin() + std::ptrdiff_t(layer * size);
  return {dims, std::vector<double>(begin, begin + std::ptrdiff_t(size))};
}

// The other tests trust tests/support/reference_recurrent.h; here it is compared with PyTorch.
TEST(RecurrentGoldenReference, ValuesAndGradientsArePyTorchs) {
  for (const nlohmann::json& network : goldens().at("networks"))
    for (const nlohmann::json& run : network.at("runs")) {
      const std::vector<std::int64_t> hidden(std::size_t(layers_of(network)), 6);
      RecurrentCase c = recurrent_shape(hidden, network.at("directions"), 5, 3, 4, false);
      c.name = network.at("cell");
      c.spec.cell = kind_of(c.name);
      c.spec.projection = projection_of(network);
      SCOPED_TRACE(describe(c));
      const Dims h_dims{c.spec.directions, c.batch, c.spec.projection > 0 ? c.spec.projection : 6},
          c_dims{c.spec.directions, c.batch, 6};
      reference::RecurrentInputs<double> in = recurrent_data(c, 1);  // for the weights' shapes
      RecurrentLoss loss;
      in.x.values = doubles(floats_of(network.at("x")));
      loss.y = {{5, 3, h_dims[2] * c.spec.directions}, doubles(floats_of(network.at("wy")))};
      in.lengths = run.at("lengths").get<std::vector<std::int32_t>>();
      reference::RecurrentOutputs<double> expected;
      for (std::size_t layer = 0; layer < hidden.size(); ++layer) {
        in.h0[layer] = layer_states(network.at("h0"), h_dims, layer);
        loss.h_n.push_back(layer_states(network.at("wh"), h_dims, layer));
        expected.h_n.push_back(layer_states(run.at("h_n"), h_dims, layer));
        if (in.c0.empty()) continue;
        in.c0[layer] = layer_states(network.at("c0"), c_dims, layer);
        loss.c_n.push_back(layer_states(network.at("wc"), c_dims, layer));
        expected.c_n.push_back(layer_states(run.at("c_n"), c_dims, layer));
      }
      std::vector<std::string> names;
      for (std::size_t k = 0; k < in.weights.size(); ++k) {
        const std::size_t d = std::size_t(c.spec.directions);
        const std::string suffix = "_l" + std::to_string(k / d) + (k % d == 1 ? "_reverse" : "");
        for_each_parameter(in.weights[k], [&](const CellParameter& p) {
          names.push_back(p.name + suffix);
          p.of(in.weights[k]).values = doubles(floats_of(network.at("weights").at(names.back())));
        });
      }

      const auto actual = reference::recurrent(c.spec, in);
      EXPECT_TRUE(close(floats_of(run.at("y")), actual.y.values, kUlps));
      for (std::size_t layer = 0; layer < expected.h_n.size(); ++layer)
        EXPECT_TRUE(close(floats(expected.h_n[layer]), actual.h_n[layer].values, kUlps));
      for (std::size_t layer = 0; layer < expected.c_n.size(); ++layer)
        EXPECT_TRUE(close(floats(expected.c_n[layer]), actual.c_n[layer].values, kUlps));

      // One random direction per weight: the sum of up to 288 products, each as exact as its
      // gradient.
      std::vector<Reals> directions = flatten(in);
      Random random(2);
      for (Reals& direction : directions) direction = random.array(direction.dims, -1, 1);
      const std::vector<double> slopes =
          reference::complex_step_along(flatten(in), directions, complex_loss(c, loss, in));
      const std::size_t first = slopes.size() - names.size();
      for (std::size_t k = 0; k < names.size(); ++k) {
        const std::vector<float> gradient = floats_of(run.at("dweights").at(names[k]));
        double slope = 0, size = 0;
        for (std::size_t e = 0; e < gradient.size(); ++e) {
          slope += double(gradient[e]) * directions[first + k].values[e];
          size += std::abs(double(gradient[e]));
        }
        EXPECT_NEAR(slope, slopes[first + k], kUlps * kUlp * std::max(1.0, size)) << names[k];
      }
    }
}

}  // namespace
}  // namespace unroll::test
