/// A graph as text: describe() for people, dot() for Graphviz.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "unroll/gradients.h"
#include "unroll/graph.h"
#include "unroll/ops.h"

namespace unroll::test {
namespace {

TEST(Describe, ASmallGraph) {
  Graph g;
  const Tensor x = g.placeholder("x", {kOpen, 3});
  const Tensor targets = g.placeholder("targets", {kOpen}, DType::kInt32);
  const Tensor w = g.variable("decoder.weight", {4, 3}, uniform(-0.1, 0.1));
  const Tensor b = g.variable("decoder.bias", {4}, constant(0.5), {.trainable = false});
  const Tensor shift = g.constant(std::vector<float>{1, 0.1F, -3}, {3});
  const Tensor h = dropout(tanh(x * 2 + shift), 0.25);
  const auto loss = softmax_cross_entropy(h, {w, b}, targets, {.mean = true});
  reduce_mean(loss.hit);
  EXPECT_EQ(g.describe(), R"(x = placeholder -> float32 [?, 3]
targets = placeholder -> int32 [?]
decoder.weight = variable {trainable: true, initializer: uniform, low: -0.1, high: 0.1} -> float32 [4, 3]
decoder.bias = variable {trainable: false, initializer: constant, value: 0.5} -> float32 [4]
constant = constant {values: [1, 0.1, -3]} -> float32 [3]
affine = affine(x) {alpha: 2, beta: 0} -> float32 [?, 3]
add = add(affine, constant) -> float32 [?, 3]
tanh = tanh(add) -> float32 [?, 3]
dropout = dropout(tanh) {rate: 0.25} -> float32 [?, 3]
softmax_cross_entropy = softmax_cross_entropy(dropout, decoder.weight, decoder.bias, targets) {chunk_rows: 0, ignored_id: -1, mean: true} -> float32 [1], float32 [?], float32 [?], float32 [?, 3], float32 [4, 3], float32 [4]
reduce_mean = reduce_mean(softmax_cross_entropy:2) {keep_dims: false} -> float32 []
)");
}

TEST(Describe, AnEmptyGraph) {
  const Graph g;
  EXPECT_EQ(g.describe(), "");
  EXPECT_EQ(g.dot(), "digraph {\n}\n");
}

TEST(Describe, ALineIsANodeWhateverItsName) {
  Graph g;
  tanh(g.placeholder("a \"b\"\n\\ = (c):1", {2}));
  tanh(g.placeholder("\xC3\xA4 \xFF", {2}));
  EXPECT_EQ(g.describe(), R"("a \"b\"\x0a\\ = (c):1" = placeholder -> float32 [2]
tanh = tanh("a \"b\"\x0a\\ = (c):1") -> float32 [2]
"ä \xff" = placeholder -> float32 [2]
tanh_1 = tanh("ä \xff") -> float32 [2]
)");
}

TEST(Describe, LongListsAreCut) {
  Graph g;
  g.constant(std::vector<float>{0, 1, 2, 3, 4, 5, 6, 7}, {8});
  g.constant(std::vector<float>{0, 1, 2, 3, 4, 5, 6, 7, 8}, {9});
  EXPECT_EQ(g.describe(), R"(constant = constant {values: [0, 1, 2, 3, 4, 5, 6, 7]} -> float32 [8]
constant_1 = constant {values: [0, 1, 2, 3, 4, 5, 6, 7, ... 9 in all]} -> float32 [9]
)");
}

// The fewest digits that read back as the same float32, or else the same float64.
TEST(Describe, NumbersAreShort) {
  Graph g;
  const Tensor p = g.placeholder("p", {2});
  sample(p, {.temperature = 1.0 / 3, .top_k = 5, .top_p = 0.1, .seed = UINT64_MAX});
  g.constant(1e-30);
  EXPECT_EQ(g.describe(), R"(p = placeholder -> float32 [2]
sample = sample(p) {temperature: 0.3333333333333333, top_k: 5, top_p: 0.1, min_p: 0, excluded_id: -1, seed: 18446744073709551615} -> int32 [1]
constant = constant {value: 1e-30} -> float32 []
)");
}

TEST(Dot, ASmallGraph) {
  Graph g;
  const Tensor x = g.placeholder("x", {kOpen, 3});
  const Tensor w = g.variable("w", {3}, constant(1));
  const Tensor product = x * w;
  const std::vector<Tensor> parts{product, product};
  const Tensor both = concat(parts, 0);
  const Tensor cost = reduce_sum(both + 1 / both);
  EXPECT_EQ(cost.node().id, 7);
  EXPECT_EQ(g.dot(), R"(digraph {
  n0 [shape=ellipse, label="x\nplaceholder\nfloat32 [?, 3]"];
  n1 [shape=cylinder, label="w\nvariable\ntrainable: true\ninitializer: constant\nvalue: 1\nfloat32 [3]"];
  n2 [shape=box, label="mul\nmul\nfloat32 [?, 3]"];
  n0 -> n2;
  n1 -> n2;
  n3 [shape=box, label="concat\nconcat\naxis: 0\nfloat32 [?, 3]"];
  n2 -> n3;
  n2 -> n3;
  n4 [shape=plaintext, label="constant\nconstant\nvalue: 1\nfloat32 []"];
  n5 [shape=box, label="div\ndiv\nfloat32 [?, 3]"];
  n4 -> n5;
  n3 -> n5;
  n6 [shape=box, label="add\nadd\nfloat32 [?, 3]"];
  n3 -> n6;
  n5 -> n6;
  n7 [shape=box, label="reduce_sum\nreduce_sum\nkeep_dims: false\nfloat32 []"];
  n6 -> n7;
}
)");
}

TEST(Dot, EdgesSayWhichOfSeveralOutputs) {
  Graph g;
  const Tensor x = g.placeholder("x", {2}), y = g.placeholder("y", {3});
  const std::vector<Tensor> parts{x, y};
  const Tensor z = concat(parts, 0);
  gradients(reduce_sum(z * z), {y});
  const std::string dot = g.dot();
  EXPECT_EQ(dot.find("taillabel"), dot.npos) << dot;  // nothing reads the gradient of a part
  tanh(gradients(reduce_sum(z), {y}).at(0).values);
  EXPECT_NE(g.dot().find(" [taillabel=\"1\"];\n"), dot.npos) << g.dot();
}

/// Whether a text is what dot() may write: statements `nI [key=value, ...];`, `nI -> nK;` and
/// `nI -> nK [key=value];`, in one digraph, where a value is a word or a string. Returns the
/// strings, as Graphviz shows them.
class DotReader {
 public:
  explicit DotReader(std::string_view text) : rest_(text) {}

  std::vector<std::string> strings;

  bool reads() {
    if (!take("digraph {\n")) return false;
    while (take("  ")) {
      if (!take("n") || !number()) return false;
      if (take(" -> ") && (!take("n") || !number())) return false;
      if (take(" [")) {
        do {
          if (!word() || !take("=") || !(word() || string())) return false;
        } while (take(", "));
        if (!take("]")) return false;
      }
      if (!take(";\n")) return false;
    }
    return take("}\n") && rest_.empty();
  }

 private:
  bool take(std::string_view expected) {
    if (!rest_.starts_with(expected)) return false;
    rest_.remove_prefix(expected.size());
    return true;
  }
  bool any_of(std::string_view letters) {
    const std::size_t size = std::min(rest_.find_first_not_of(letters), rest_.size());
    rest_.remove_prefix(size);
    return size > 0;
  }
  bool number() { return any_of("0123456789"); }
  bool word() { return any_of("abcdefghijklmnopqrstuvwxyz"); }
  bool string() {
    if (!take("\"")) return false;
    std::string shown;
    while (!rest_.empty() && !take("\"")) {
      if (take("\n")) return false;
      if (take("\\n"))
        shown += '\n';
      else if (take("\\\""))
        shown += '"';
      else if (take("\\\\"))
        shown += '\\';
      else if (take("\\"))
        return false;  // \N, \G and others are replaced
      else if (take("&amp;"))
        shown += '&';
      else if (take("&"))
        return false;
      else {
        shown += rest_.front();
        rest_.remove_prefix(1);
      }
    }
    strings.push_back(shown);
    return true;
  }

  std::string_view rest_;
};

TEST(Dot, NamesAreEscaped) {
  const std::vector<std::string> names{"plain",      "a \"b\" c", "line\nbreak", "back\\slash",
                                       "\\N\\G\\\"", "&lt;",      "];}",         "\\",
                                       "\"",         "\xFF\x1B"};
  Graph g;
  for (const std::string& name : names) tanh(g.placeholder(name, {1}));
  const std::string dot = g.dot(), described = g.describe();
  DotReader reader(dot);
  ASSERT_TRUE(reader.reads()) << dot;
  ASSERT_EQ(reader.strings.size(), 2 * names.size());
  // A label shows the name as describe() does.
  std::size_t line = 0;
  for (const std::string& shown : reader.strings) {
    const std::string name = shown.substr(0, shown.find('\n'));
    EXPECT_EQ(described.substr(line, name.size() + 3), name + " = ");
    line = described.find('\n', line) + 1;
  }
}

}  // namespace
}  // namespace unroll::test
