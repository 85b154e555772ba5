/// A fully connected layer, made of a product and a sum.
#include <stdexcept>
#include <string>

#include "unroll/layers.h"
#include "unroll/ops.h"

namespace unroll {

Tensor dense(Tensor x, std::int64_t units, std::string_view name, const DenseOptions& options) {
  const std::string layer(name);
  const auto fail = [&](const std::string& got, const char* expected) {
    throw std::invalid_argument("dense '" + layer + "': got " + got + ", expected " + expected);
  };
  if (!x) fail("an empty tensor", "x [..., I]");
  if (x.dtype() != DType::kFloat32) fail("x of " + to_string(x.dtype()), "float32");
  if (x.shape().rank() < 1 || x.shape().last() == kOpen)
    fail("x " + to_string(x.shape()), "[..., I] with a fixed last dimension");
  if (units < 1) fail(std::to_string(units) + " units", "1 or more");
  Graph& graph = x.graph();
  const Tensor weight =
      graph.variable(layer + ".weight", {units, x.shape().last()}, options.weight);
  const Tensor bias = graph.variable(layer + ".bias", {units}, options.bias);
  return matmul(x, weight, {.transpose_b = true}) + bias;
}

}  // namespace unroll
