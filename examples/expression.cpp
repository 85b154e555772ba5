/// The smallest graph: a = (b + c) * (c + 2), for numbers, vectors and matrices, with da/dc.
#include <cstdio>
#include <vector>

#include "examples/common/run.h"
#include "unroll/unroll.h"

using namespace unroll;

namespace {

/// Prints a and da/dc for b and c of this shape. `c` may have fewer dimensions: it broadcasts.
void compute(const Shape& shape, const std::vector<float>& b, const std::vector<float>& c) {
  Graph graph;
  const Tensor b_in = graph.placeholder("b", shape);
  const Tensor c_in = graph.placeholder("c", c.size() == b.size() ? shape : Shape{});
  const Tensor a = (b_in + c_in) * (c_in + 2);
  const Tensor da_dc = dense_gradients(reduce_sum(a), {c_in})[0];

  Session session(graph, open_device().backend);
  session.run({a, da_dc}, {{b_in, b}, {c_in, c}});
  std::printf("%-8s a =", to_string(shape).c_str());
  for (const float value : session.read(a)) std::printf(" %g", value);
  std::printf("   da/dc =");
  for (const float value : session.read(da_dc)) std::printf(" %g", value);
  std::printf("\n");
}

void show(const std::string&) {
  compute({}, {1.5F}, {3});
  compute({3}, {0, 1.5F, 3}, {1, 3, 5});
  compute({2, 3}, {0, 1, 2, 3, 4, 5}, {6, 5, 4, 3, 2, 1});
  compute({2, 3}, {0, 1, 2, 3, 4, 5}, {3});
}

}  // namespace

int main(int argc, char** argv) {
  return run(argc, argv, show);
}
