/// Building a graph: names, shapes, variables and what is refused.
#include <gtest/gtest.h>

#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "unroll/graph.h"
#include "unroll/ops.h"
#include "unroll/tensor.h"

namespace unroll::test {
namespace {

TEST(Graph, NodesAreInOrderOfCreationAndKnowTheirGraph) {
  Graph g;
  const Tensor x = g.placeholder("x", {2, 3});
  const Tensor y = tanh(x) + 1;
  std::int64_t last = -1;
  for (const auto& node : g.nodes()) {
    EXPECT_GT(node->id, last);
    last = node->id;
    EXPECT_EQ(node->graph, &g);
    for (const Tensor& input : node->inputs) EXPECT_LT(input.node().id, node->id);
  }
  EXPECT_EQ(&y.graph(), &g);
  EXPECT_EQ(x.name(), "x");
}

TEST(Graph, NamesOfNodesAreUnique) {
  Graph g;
  const Tensor x = g.placeholder("x", {3});
  for (int k = 0; k < 3; ++k) tanh(dropout(x, 0.5));
  std::set<std::string> names;
  for (const auto& node : g.nodes()) EXPECT_TRUE(names.insert(node->name).second) << node->name;
}

TEST(Graph, ASuffixDoesNotMeetANameGivenLater) {
  Graph g;
  const Tensor x = g.placeholder("x", {3});
  dropout(x, 0.5, "d");
  dropout(x, 0.5, "d");
  dropout(x, 0.5, "d_1");
  dropout(x, 0.5, "d_1");
  dropout(x, 0.5, "d");
  std::set<std::string> names;
  for (const auto& node : g.nodes()) EXPECT_TRUE(names.insert(node->name).second) << node->name;
}

// They key random numbers, so they are part of what a graph computes.
TEST(Graph, ASuffixIsTheLeastThatIsFree) {
  Graph g;
  const Tensor x = g.placeholder("x", {3});
  std::vector<std::string> names;
  for (const char* name : {"d", "d", "d_2", "d", "d", "d_2"})
    names.push_back(dropout(x, 0.5, name).name());
  EXPECT_EQ(names, (std::vector<std::string>{"d", "d_1", "d_2", "d_3", "d_4", "d_2_1"}));
}

TEST(Graph, ADefaultTensorIsEmpty) {
  EXPECT_FALSE(Tensor{});
  EXPECT_EQ(Tensor{}, Tensor{});
  Graph g;
  const Tensor x = g.placeholder("x", {});
  EXPECT_TRUE(x);
  EXPECT_NE(x, Tensor{});
  EXPECT_NE(x, g.placeholder("y", {}));
}

TEST(Graph, PlaceholdersKeepShapeAndType) {
  Graph g;
  const Tensor x = g.placeholder("x", {kOpen, 3, kOpen}, DType::kInt32);
  EXPECT_EQ(x.shape(), (Shape{kOpen, 3, kOpen}));
  EXPECT_EQ(x.dtype(), DType::kInt32);
  EXPECT_EQ(g.placeholder("scalar", {}).shape().rank(), 0);
}

TEST(Graph, OpenDimensionsRunThroughOperations) {
  Graph g;
  const Tensor x = g.placeholder("x", {kOpen, 3});
  EXPECT_EQ((x + g.constant(1, {3})).shape(), (Shape{kOpen, 3}));
  EXPECT_EQ((x * g.constant(1, {1, 3})).shape(), (Shape{kOpen, 3}));
  EXPECT_EQ(transpose(x).shape(), (Shape{3, kOpen}));
  EXPECT_EQ(reduce_sum(x, 0).shape(), Shape{3});
  EXPECT_EQ(slice(x, 1, 1).shape(), (Shape{kOpen, 2}));
  EXPECT_EQ(reshape(x, {kOpen}).shape(), Shape{kOpen});
}

TEST(Graph, VariablesAreSharedByName) {
  Graph g;
  const Tensor a = g.variable("w", {2, 3}, constant(1));
  EXPECT_EQ(g.variable("w", {2, 3}, constant(1)), a);
  EXPECT_NE(g.variable("v", {2, 3}, constant(1)), a);
  EXPECT_EQ(a.name(), "w");
  EXPECT_THROW(g.variable("w", {3, 2}, constant(1)), std::invalid_argument);
  EXPECT_THROW(g.variable("w", {6}, constant(1)), std::invalid_argument);
  EXPECT_THROW(g.variable("open", {kOpen, 3}, constant(1)), std::invalid_argument);
  EXPECT_THROW(g.variable("", {3}, constant(1)), std::invalid_argument);
  tanh(a);
  const std::size_t nodes = g.nodes().size();
  EXPECT_THROW(g.variable("tanh", {2, 3}, constant(1)), std::invalid_argument);
  EXPECT_EQ(g.nodes().size(), nodes);
}

TEST(Graph, ListsItsVariablesInOrderOfCreation) {
  Graph g;
  const Tensor b = g.variable("b", {1}, constant(1));
  g.placeholder("x", {1});
  const Tensor a = g.variable("a", {1}, constant(1), {.trainable = false});
  const Tensor c = g.variable("c", {1}, constant(1));
  EXPECT_EQ(g.variables(), (std::vector<Tensor>{b, a, c}));
  EXPECT_EQ(g.trainable_variables(), (std::vector<Tensor>{b, c}));
}

TEST(Graph, ConstantsMustMatchTheirShape) {
  Graph g;
  const std::vector<float> values{1, 2, 3, 4, 5, 6};
  EXPECT_EQ(g.constant(values, {2, 3}).shape(), (Shape{2, 3}));
  EXPECT_THROW(g.constant(values, {2, 2}), std::invalid_argument);
  EXPECT_THROW(g.constant(1, {kOpen}), std::invalid_argument);
}

TEST(Graph, AssignmentsWantAVariableAndItsShape) {
  Graph g;
  const Tensor v = g.variable("v", {3}, constant(1)), x = g.placeholder("x", {3});
  EXPECT_NO_THROW(assign(v, x));
  EXPECT_THROW(assign(x, v), std::invalid_argument);
  EXPECT_THROW(assign(v, g.placeholder("y", {4})), std::invalid_argument);
  EXPECT_THROW(assign_add(v, g.placeholder("z", {3, 1})), std::invalid_argument);
  EXPECT_THROW(assign(v, g.placeholder("ids", {3}, DType::kInt32)), std::invalid_argument);
}

TEST(Graph, ErrorsSayWhatWasGotAndWhatWasExpected) {
  Graph g;
  const Tensor a = g.placeholder("a", {3, 4}), b = g.placeholder("b", {5, 6});
  try {
    matmul(a, b);
    FAIL() << "no error";
  } catch (const std::invalid_argument& error) {
    const std::string text = error.what();
    EXPECT_NE(text.find("matmul"), std::string::npos) << text;
    EXPECT_NE(text.find("[3, 4]"), std::string::npos) << text;
    EXPECT_NE(text.find("[5, 6]"), std::string::npos) << text;
  }
}

TEST(ShapeTest, CountsAndPrints) {
  const Shape s{2, 3, 4};
  EXPECT_EQ(s.elements(), 24);
  EXPECT_EQ(s.rows(), 6);
  EXPECT_EQ(s.last(), 4);
  EXPECT_EQ(s.without(1), (Shape{2, 4}));
  EXPECT_EQ(to_string(Shape{35, 20, kOpen}), "[35, 20, ?]");
  EXPECT_EQ(Shape{}.elements(), 1);
  EXPECT_EQ(Shape{}.rows(), 1);
  EXPECT_EQ(Shape{}.last(), 1);
  EXPECT_FALSE(s.is_open());
  EXPECT_TRUE((Shape{2, kOpen}).is_open());
  EXPECT_THROW((Shape{2, kOpen}).elements(), std::invalid_argument);
  EXPECT_NE((Shape{2, 3}), (Shape{2, 3, 1}));
  EXPECT_EQ((Shape{0, 3}).elements(), 0);
}

TEST(ShapeTest, HasAtMostSixDimensions) {
  Shape s{1, 2, 3, 4, 5, 6};
  EXPECT_EQ(s.rank(), 6);
  EXPECT_THROW(s.append(7), std::invalid_argument);
  EXPECT_THROW((Shape{1, 2, 3, 4, 5, 6, 7}), std::invalid_argument);
}

TEST(ViewTest, RefusesAnotherElementType) {
  float x = 1;
  View view;
  view.data = &x;
  view.shape = {1};
  EXPECT_EQ(view.as<float>(), &x);
  EXPECT_EQ(view.bytes(), sizeof(float));
  EXPECT_THROW(view.as<std::int32_t>(), std::invalid_argument);
}

}  // namespace
}  // namespace unroll::test
