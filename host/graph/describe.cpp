/// A graph as text: for people, and for Graphviz.
#include <algorithm>
#include <array>
#include <charconv>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "host/base/utf8.h"
#include "host/graph/operation.h"
#include "unroll/graph.h"

namespace unroll {
namespace {

/// Names of nodes and texts of attributes: as they are if that cannot be misread, else in quotes.
std::string shown(std::string_view text) {
  const bool plain = !text.empty() && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("_-./").find(c) != std::string_view::npos;
  });
  if (plain) return std::string(text);
  std::string escaped;
  for (const char c : text) {
    if (c == '"' || c == '\\') escaped += '\\';
    escaped += c;
  }
  return '"' + printable(escaped) + '"';
}

template <typename Real>
std::string shortest(Real value) {
  std::array<char, 32> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  return {digits.data(), end};
}

std::string shown(bool value) {
  return value ? "true" : "false";
}
std::string shown(std::int64_t value) {
  return std::to_string(value);
}
/// The fewest digits that read back as the same number: of a float32, if it is one.
std::string shown(double value) {
  const auto narrow = float(value);
  return double(narrow) == value ? shortest(narrow) : shortest(value);
}
std::string shown(const Shape& shape) {
  return to_string(shape);
}

template <typename T>
std::string shown(const std::vector<T>& list) {
  constexpr std::size_t kMost = 8;
  std::string text = "[";
  for (std::size_t k = 0; k < std::min(list.size(), kMost); ++k) {
    if (k > 0) text += ", ";
    text += shown(list[k]);
  }
  if (list.size() > kMost) text += ", ... " + std::to_string(list.size()) + " in all";
  return text + "]";
}

/// "axis: 1", one for each.
std::vector<std::string> attributes_of(const Node& node) {
  std::vector<std::string> all;
  node.operation->attributes([&](std::string_view name, const Attribute& value) {
    const std::string text = std::visit([](const auto& v) { return shown(v); }, value);
    all.push_back(std::string(name) + ": " + text);
  });
  return all;
}

std::string joined(const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : ", ") + part;
  return text;
}

std::string types_of(const Node& node) {
  std::vector<std::string> types;
  for (const TensorType& type : node.outputs)
    types.push_back(to_string(type.dtype) + " " + to_string(type.shape));
  return joined(types);
}

std::string inputs_of(const Node& node) {
  std::vector<std::string> names;
  for (const Tensor& input : node.inputs)
    names.push_back(shown(input.name()) +
                    (input.index() > 0 ? ":" + std::to_string(input.index()) : ""));
  return joined(names);
}

/// A line of a label in DOT. There a backslash begins an escape, and & the name of a character.
std::string label_line(std::string_view text) {
  std::string line;
  for (const char c : text) {
    if (c == '"' || c == '\\') line += '\\';
    line += c;
    if (c == '&') line += "amp;";
  }
  return line;
}

const char* dot_shape(const Node& node) {
  const Tensor tensor(&node, 0);
  if (operation_as<PlaceholderOperation>(tensor)) return "ellipse";
  if (operation_as<VariableOperation>(tensor)) return "cylinder";
  if (operation_as<ConstantOperation>(tensor)) return "plaintext";
  return "box";
}

void add_lines(const Graph& graph, const std::string& margin, std::string& text) {
  for (const auto& node : graph.nodes()) {
    text += margin + shown(node->name) + " = " + node->operation->kind();
    if (!node->inputs.empty()) text += "(" + inputs_of(*node) + ")";
    if (const auto attributes = attributes_of(*node); !attributes.empty())
      text += " {" + joined(attributes) + "}";
    text += " -> " + types_of(*node) + "\n";
    for (const NamedBody& body : node->operation->bodies()) {
      text += margin + "  " + std::string(body.name) + ":\n";
      add_lines(*body.graph, margin + "    ", text);
    }
  }
}

/// `prefix`: of the nodes' ids, which differ from graph to graph.
void add_dot(const Graph& graph, const std::string& prefix, std::string& text) {
  for (const auto& node : graph.nodes()) {
    const std::string id = prefix + std::to_string(node->id);
    text += "  " + id + " [shape=" + dot_shape(*node) + ", label=\"" +
            label_line(shown(node->name)) + "\\n" + label_line(node->operation->kind());
    for (const std::string& attribute : attributes_of(*node)) text += "\\n" + label_line(attribute);
    text += "\\n" + label_line(types_of(*node)) + "\"];\n";
    for (const Tensor& input : node->inputs) {
      text += "  " + prefix + std::to_string(input.node().id) + " -> " + id;
      if (input.node().outputs.size() > 1)
        text += " [taillabel=\"" + std::to_string(input.index()) + "\"]";
      text += ";\n";
    }
    for (const NamedBody& body : node->operation->bodies()) {
      const std::string name = id + "_" + std::string(body.name);
      text += "  subgraph cluster_" + name + " {\n  label=\"" + label_line(shown(node->name)) +
              ": " + std::string(body.name) + "\";\n";
      add_dot(*body.graph, name + "_", text);
      text += "  }\n";
    }
  }
}

}  // namespace

std::string Graph::describe() const {
  std::string text;
  add_lines(*this, "", text);
  return text;
}

std::string Graph::dot() const {
  std::string text = "digraph {\n";
  add_dot(*this, "n", text);
  return text + "}\n";
}

}  // namespace unroll
