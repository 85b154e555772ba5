/// What operations say of themselves beside their inputs.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <typeindex>
#include <variant>
#include <vector>

#include "host/graph/operation.h"
#include "tests/support/temp_folder.h"
#include "unroll/gradients.h"
#include "unroll/ops.h"
#include "unroll/optimizer.h"
#include "unroll/recurrent.h"

namespace unroll::test {
namespace {

struct Printed {
  std::ostringstream out;

  void operator()(bool value) { out << "bool " << value; }
  void operator()(std::int64_t value) { out << "int " << value; }
  void operator()(double value) { out << "real " << value; }
  void operator()(const std::string& value) { out << "text " << value; }
  void operator()(const std::vector<std::int64_t>& list) {
    out << "ints";
    for (const std::int64_t value : list) out << ' ' << value;
  }
  void operator()(const std::vector<double>& list) {
    out << "reals";
    for (const double value : list) out << ' ' << value;
  }
  void operator()(const Shape& shape) { out << "shape " << to_string(shape); }
};

/// "axis int 0, keep_dims bool 1"
std::string attributes_of(const Node& node) {
  std::string text;
  node.operation->attributes([&](std::string_view name, const Attribute& value) {
    Printed printed;
    std::visit(printed, value);
    text += (text.empty() ? "" : ", ") + std::string(name) + " " + printed.out.str();
  });
  return text;
}
std::string attributes_of(const Tensor& tensor) {
  return attributes_of(tensor.node());
}

/// The cost depends on x [2, 2] by way of each operation that has a gradient.
Tensor cost_of(Graph& g, Tensor x, Tensor ids) {
  const std::vector<Tensor> twice{x, x};
  const Tensor row = slice(x, 0, 0, 1), both = concat(twice, 1);
  std::vector<Tensor> terms{x + row,
                            x - 1.5,
                            x * x,
                            x / (x + 3),
                            tanh(x),
                            logistic(x),
                            relu(x),
                            exp(x),
                            log(x),
                            -x,
                            matmul(x, x, {.transpose_b = true}),
                            softmax(x),
                            log_softmax(x),
                            both,
                            transpose(x),
                            reshape(x, {kOpen}),
                            reduce_mean(x, 1, {.keep_dims = true}),
                            reduce_max(x, 0),
                            dropout(x, 0.25, "site"),
                            stop_gradient(x),
                            stack(split(x, {1, 1}, 1)),
                            pad(x, {{1, 0}, {0, 2}}, 0.5),
                            tile(x, {1, 3}),
                            squeeze(expand_dims(x, 1), 1),
                            cumulative_sum(x, -1, {.reverse = true}),
                            shuffle(x, 5),
                            gather(x, shape(x), 1),
                            gather(x, rank(x)),
                            inverse(x),
                            determinant(x),
                            layer_norm(x, squeeze(row, 0), squeeze(row, 0)),
                            convolution_2d(reshape(x, {1, 1, 2, 2}), reshape(x, {1, 1, 2, 2})),
                            mean_pool_1d(reshape(x, {1, 1, 4}), 2),
                            abs(x),
                            maximum(x, row),
                            minimum(x, row),
                            clip(x, -1, 2),
                            leaky_relu(x, 0.5),
                            gelu(x),
                            softplus(x),
                            sqrt(x),
                            sin(x),
                            cos(x),
                            pow(x, row),
                            reduce_min(x, {0, 1}),
                            where(logical_not(equal(x, row)), x, row),
                            cast(cast(x, DType::kFloat64), DType::kFloat32)};
  const Tensor flags =
      logical_xor(logical_and(not_equal(x, row), greater(x, row)),
                  logical_or(greater_equal(x, row), logical_and(less(x, row), less_equal(x, row))));
  for (const Tensor& flag : {flags, reduce_any(flags, 0), reduce_all(flags)})
    terms.push_back(cast(flag, DType::kFloat32));
  terms.push_back(cast(argmax(x, -1) - argmin(x, -1), DType::kFloat32));
  const Tensor table = g.variable("table", {5, 2}, uniform(-1, 1));
  const Tensor dense_table = g.variable("dense_table", {5, 2}, xavier());
  terms.push_back(embedding(table, ids));
  terms.push_back(embedding(dense_table, ids));
  terms.push_back(embedding(tanh(dense_table), ids));
  terms.push_back(g.constant(std::vector<float>{1, 2.5F}, {2}) * x);
  const Tensor bias = g.variable("bias", {5}, constant(0.5));
  terms.push_back(softmax_cross_entropy(x, {dense_table, bias}, ids, {.scale = 0.5}).loss);
  const Tensor tags = g.placeholder("tags", {2, 1}, DType::kInt32);
  const CrfWeights chain{x, g.variable("start", {2}, constant(0)),
                         g.variable("end", {2}, constant(0))};
  const Tensor scores = reshape(x, {2, 1, 2}), lengths = reduce_max(tags, 0);
  terms.push_back(crf_loss(scores, tags, lengths, chain));
  crf_decode(scores, lengths, chain);
  const RecurrentSpec spec{
      .cell = CellKind::kLstm, .hidden = {3}, .dropout = 0.5F, .projection = 2};
  const Tensor series = reshape(x, {2, 1, 2});
  terms.push_back(recurrent(spec, {.x = series, .weights = recurrent_weights(g, spec, 2)}).y);
  Tensor cost = mean_squared_error(x, tanh(x));
  for (const Tensor& term : terms) cost = cost + reduce_sum(term);
  return cost;
}

TEST(Attributes, OfEachOperation) {
  Graph g;
  const Tensor x = g.variable("x", {2, 2}, orthogonal());
  const Tensor ids = g.placeholder("ids", {2}, DType::kInt32);
  const Tensor cost = cost_of(g, x, ids);
  const Tensor step = Optimizer({.kind = OptimizerKind::kAdam, .clip_norm = 0.25F}, 0.1)
                          .minimize(cost, {.guard = {.ceiling = 9, .halts = true}});
  one_hot(ids, 5);
  sample(slice(reshape(x, {4}), 0, 1), {.top_k = 3, .seed = 7});
  const Tensor p = g.placeholder("p", {}, DType::kBool);
  scan([](const auto& s, const auto&) -> ScanStep { return {s, {}}; }, {x}, {x});
  cond(
      p, [&] { return std::vector{x}; }, [&] { return std::vector{x}; });
  while_loop([&](const auto&) { return p; }, [](const auto& s) { return s; }, {x},
             {.max_iterations = 3});
  assign_finite(x, x);
  group({assign(x, x), assign_add(x, x), step});

  std::map<std::string, std::string> seen;  // of the first of each kind
  std::set<std::type_index> classes;
  for (const auto& node : g.nodes()) {
    const Operation& operation = *node->operation;
    classes.insert(typeid(operation));
    seen.try_emplace(operation.kind(), attributes_of(*node));
  }
  const std::string window = "height int 1, width int 2, stride int 2",
                    convolution = "stride int 1, padding ints 0 0, dilation int 1";
  const std::map<std::string, std::string> expected{
      {"abs", ""},
      {"abs_gradient", ""},
      {"argmax", "axis int -1, keep_dims bool 0"},
      {"argmin", "axis int -1, keep_dims bool 0"},
      {"cast", "dtype text float64"},
      {"clip", "low real -1, high real 2"},
      {"clip_gradient", "low real -1, high real 2"},
      {"cos", ""},
      {"gelu", ""},
      {"gelu_gradient", ""},
      {"greater", ""},
      {"greater_equal", ""},
      {"leaky_relu", "slope real 0.5"},
      {"leaky_relu_gradient", "slope real 0.5"},
      {"less", ""},
      {"less_equal", ""},
      {"logical_and", ""},
      {"logical_not", ""},
      {"logical_or", ""},
      {"logical_xor", ""},
      {"maximum", ""},
      {"maximum_share", ""},
      {"minimum", ""},
      {"not_equal", ""},
      {"pow", ""},
      {"pow_base_slope", ""},
      {"pow_exponent_slope", ""},
      {"reduce_all", "keep_dims bool 0"},
      {"reduce_any", "axis int 0, keep_dims bool 0"},
      {"reduce_min", "axes ints 0 1, keep_dims bool 0"},
      {"sin", ""},
      {"softplus", ""},
      {"sqrt", ""},
      {"where", ""},
      {"add", ""},
      {"affine", "alpha real 1, beta real -1.5"},
      {"apply_gradients",
       "optimizer text adam, beta1 real 0.9, beta2 real 0.999, epsilon real 1e-08, "
       "weight_decay real 0, clip_norm real 0.25, clip_value real 0, ceiling real 9, "
       "halts bool 1, sparse ints 0 1 0 0 0 0 0 0 0 0 0"},
      {"assign", ""},
      {"assign_add", ""},
      {"assign_finite", ""},
      {"broadcast_like", ""},
      {"coalesce_rows", ""},
      {"concat", "axis int 1"},
      {"concat_gradient", "axis int 0"},
      {"cond", ""},
      {"constant", "values reals 1 2.5"},
      {"convolution", convolution},
      {"convolution_input_gradient", convolution},
      {"convolution_weight_gradient", convolution},
      {"copy", ""},
      {"crf_decode", ""},
      {"crf_loss", ""},
      {"crf_loss_gradient", ""},
      {"cumulative_sum", "axis int -1, exclusive bool 0, reverse bool 1"},
      {"determinant", ""},
      {"div", ""},
      {"dropout", "rate real 0.25"},
      {"embedding", ""},
      {"equal", ""},
      {"exp", ""},
      {"expand_dims", "axis int 0"},
      {"fold", window},
      {"gather", ""},
      {"group", ""},
      {"inverse", ""},
      {"layer_norm", ""},
      {"log", ""},
      {"log_softmax", ""},
      {"logistic", ""},
      {"logistic_gradient", ""},
      {"matmul", "transpose_a bool 0, transpose_b bool 1"},
      {"mean_squared_error", ""},
      {"mul", ""},
      {"narrow_ids", ""},
      {"one_hot", "classes int 5"},
      {"pad", "padding ints 1 0 0 2, value real 0.5"},
      {"permutation", "seed text 5"},
      {"placeholder", ""},
      {"rank", ""},
      {"reciprocal_count", ""},
      {"recurrent",
       "cell text lstm, hidden ints 3, directions int 1, dropout real 0.5, "
       "input_gate text separate, layer_norm bool 0, projection int 2, lengths bool 0"},
      {"recurrent_gradient", "forward text rnn, given ints 1 0 0"},
      {"reduce_max", "axis int 0, keep_dims bool 0"},
      {"reduce_mean", "axis int 1, keep_dims bool 1"},
      {"reduce_sum", "keep_dims bool 0"},
      {"relu", ""},
      {"relu_gradient", ""},
      {"reshape", "shape shape [?]"},
      {"restore_dims", ""},
      {"sample",
       "temperature real 1, top_k int 3, top_p real 1, min_p real 0, excluded_id int -1, seed text "
       "7"},
      {"scan", "states int 1, sequences int 1, reverse bool 0"},
      {"scatter_add_rows", ""},
      {"shape", ""},
      {"shuffle", ""},
      {"slice", "axis int 0, begin int 0, end int 1"},
      {"slice_gradient", "axis int 0, begin int 0"},
      {"softmax", ""},
      {"softmax_cross_entropy", "chunk_rows int 0, ignored_id int -1, mean bool 0, scale real 0.5"},
      {"softmax_gradient", "log bool 1"},
      {"split", "axis int 1, sizes ints 1 1"},
      {"squeeze", "axis int 1"},
      {"stop_gradient", ""},
      {"sub", ""},
      {"sum_to", ""},
      {"tanh", ""},
      {"tanh_gradient", ""},
      {"tile", "axis int 1, repeats int 3"},
      {"tile_gradient", "axis int 1, repeats int 3"},
      {"transpose", "order ints 1 0"},
      {"unfold", window},
      {"variable", "trainable bool 1, initializer text orthogonal, blocks int 1"},
      {"while_loop", "states int 1, max_iterations int 3"},
      {"zero_state", "directions int 1, elements int 2"},
      {"zeros_like", ""},
  };
  for (const auto& [kind, attributes] : expected) {
    const auto found = seen.find(kind);
    EXPECT_EQ(found == seen.end() ? "not in the graph" : found->second, attributes) << kind;
  }
  for (const auto& [kind, attributes] : seen) EXPECT_TRUE(expected.contains(kind)) << kind;

  // An operation that is missing here has a class that is missing in the graph.
  std::size_t declared = 0;
  const std::filesystem::path root = UNROLL_SOURCE_DIR;
  std::vector<std::filesystem::path> files{root / "host/graph/operation.h"};
  for (const auto& entry : std::filesystem::directory_iterator(root / "host/ops"))
    files.push_back(entry.path());
  for (const std::filesystem::path& file : files) {
    const std::string source = read_text(file);
    for (const std::string_view base : {"final : public Operation {", "final : Operation {"})
      for (std::size_t at = source.find(base); at != source.npos; at = source.find(base, at + 1))
        ++declared;
  }
  EXPECT_EQ(classes.size(), declared);
}

TEST(Attributes, OfVariablesAndConstants) {
  Graph g;
  EXPECT_EQ(attributes_of(g.variable("a", {2}, constant(0.25), {.trainable = false})),
            "trainable bool 0, initializer text constant, value real 0.25");
  EXPECT_EQ(attributes_of(g.variable("b", {2}, uniform(-0.5, 0.75))),
            "trainable bool 1, initializer text uniform, low real -0.5, high real 0.75");
  EXPECT_EQ(attributes_of(g.variable("c", {4, 2}, xavier(2))),
            "trainable bool 1, initializer text xavier, blocks int 2");
  EXPECT_EQ(attributes_of(g.constant(std::vector<float>{1, 2.5F}, {2})), "values reals 1 2.5");
  EXPECT_EQ(attributes_of(g.constant(std::vector<float>{}, {0})), "values reals");
  EXPECT_EQ(attributes_of(g.constant(4, {7})), "value real 4");
  EXPECT_EQ(attributes_of(g.constant(0.1, {}, DType::kFloat64)), "value real 0.1");
  EXPECT_EQ(attributes_of(g.constant(4, {7}, DType::kInt32)), "value int 4");
  EXPECT_EQ(attributes_of(g.constant(1, {}, DType::kBool)), "value int 1");
  EXPECT_EQ(attributes_of(g.constant(std::vector<std::int64_t>{4, 1LL << 60}, {2})),
            "values ints 4 1152921504606846976");
}

// What has no meaning is left out.
TEST(Attributes, OfVariants) {
  Graph g;
  const Tensor x = g.placeholder("x", {2, 3});
  EXPECT_EQ(attributes_of(slice(x, -1, -2)), "axis int -1, begin int -2");
  EXPECT_EQ(attributes_of(split(x, 3, -1)[2]), "axis int -1, parts int 3");
  EXPECT_EQ(attributes_of(reduce_max(x)), "keep_dims bool 0");
  EXPECT_EQ(attributes_of(reshape(x, {3, 2})), "shape shape [3, 2]");
  const Tensor flat = reshape(x, {6});
  EXPECT_EQ(attributes_of(gradients(reduce_sum(flat * flat), {x}).at(0).values), "");  // like x
  const Tensor dropped = dropout(x, 0.5, "place");
  EXPECT_EQ(attributes_of(gradients(reduce_sum(dropped), {x}).at(0).values),
            "rate real 0.5, site text place");
  EXPECT_EQ(attributes_of(gradients(reduce_sum(softmax(x) * x), {x}).at(0).values), "");
}

TEST(Attributes, OfRecurrentNodes) {
  const auto of = [](const RecurrentSpec& spec, bool lengths) {
    Graph g;
    RecurrentInputs in{.x = g.placeholder("x", {5, 2, 3}),
                       .weights = recurrent_weights(g, spec, 3)};
    if (lengths) in.lengths = g.placeholder("lengths", {2}, DType::kInt32);
    return attributes_of(recurrent(spec, in).y);
  };
  EXPECT_EQ(of({.cell = CellKind::kGru, .reset = GruReset::kBefore, .hidden = {4, 5}}, true),
            "cell text gru, hidden ints 4 5, directions int 1, dropout real 0, reset text before, "
            "lengths bool 1");
  EXPECT_EQ(of({.cell = CellKind::kRnnRelu, .hidden = {4}, .directions = 2}, false),
            "cell text rnn_relu, hidden ints 4, directions int 2, dropout real 0, lengths bool 0");
  EXPECT_EQ(of({.hidden = {4}, .input_gate = InputGate::kCapped, .layer_norm = true}, false),
            "cell text lstm, hidden ints 4, directions int 1, dropout real 0, "
            "input_gate text capped, layer_norm bool 1, projection int 0, lengths bool 0");
}

TEST(Attributes, OfOptimizers) {
  const auto of = [](OptimizerKind kind) {
    Graph g;
    const Tensor w = g.variable("w", {2}, constant(1));
    const OptimizerSpec spec{.kind = kind, .weight_decay = 0.5F, .clip_value = 2};
    return attributes_of(Optimizer(spec, 0.1).minimize(reduce_sum(w * w)));
  };
  const std::string common =
      "weight_decay real 0.5, clip_norm real 0, clip_value real 2, "
      "ceiling real inf, halts bool 0, sparse ints 0";
  EXPECT_EQ(of(OptimizerKind::kSgd), "optimizer text sgd, " + common);
  EXPECT_EQ(of(OptimizerKind::kMomentum), "optimizer text momentum, momentum real 0.9, " + common);
  EXPECT_EQ(of(OptimizerKind::kRmsProp),
            "optimizer text rmsprop, decay real 0.99, epsilon real 1e-08, " + common);
  EXPECT_EQ(
      of(OptimizerKind::kAdamW),
      "optimizer text adamw, beta1 real 0.9, beta2 real 0.999, epsilon real 1e-08, " + common);
}

}  // namespace
}  // namespace unroll::test
