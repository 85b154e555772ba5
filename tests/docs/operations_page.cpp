/// Prints docs/operations.md: which operations there are, which element types they take, whether
/// they have a gradient, and which kernels compute them where. It finds this out by building and
/// running each operation.
///
///   operations_page SOURCES > docs/operations.md
#include <cstdint>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/support/recording_backend.h"
#include "unroll/unroll.h"

namespace unroll {
namespace {

using Kernels = std::set<std::string>;

/// Computes nothing, so that the page does not depend on whether LAPACK is installed.
class NoLinearAlgebra final : public LinearAlgebraKernels {
 public:
  std::size_t matrix_scratch_bytes(const Shape&) const override { return 0; }
  std::optional<std::int64_t> invert(const InvertMatrices&) override { return {}; }
  void determinants(const Determinants&) override {}
};

/// Notes which kernels are called.
class NotingBackend final : public test::ForwardingBackend {
 public:
  using ForwardingBackend::ForwardingBackend;
  Kernels called;

#define UNROLL_NOTE(kernel, Args)          \
  void kernel(const Args& args) override { \
    called.insert(#kernel);                \
    test::ForwardingBackend::kernel(args); \
  }
  UNROLL_NOTE(elementwise, Elementwise)
  UNROLL_NOTE(cast, Cast)
  UNROLL_NOTE(where, Where)
  UNROLL_NOTE(reduce, Reduce)
  UNROLL_NOTE(copy_region, CopyRegion)
  UNROLL_NOTE(matmul, Matmul)
  UNROLL_NOTE(softmax, Softmax)
  UNROLL_NOTE(softmax_gradient, SoftmaxGradient)
  UNROLL_NOTE(fill, Fill)
  UNROLL_NOTE(fold, Fold)
  UNROLL_NOTE(cumulative_sum, CumulativeSum)
  UNROLL_NOTE(gather_rows, GatherRows)
  UNROLL_NOTE(scatter_add_rows, ScatterAddRows)
  UNROLL_NOTE(one_hot, OneHot)
  UNROLL_NOTE(narrow_ids, NarrowIds)
  UNROLL_NOTE(dropout, Dropout)
  UNROLL_NOTE(sample, Sample)
  UNROLL_NOTE(permutation, Permutation)
  UNROLL_NOTE(crf_loss, CrfLoss)
  UNROLL_NOTE(crf_loss_gradient, CrfLossGradient)
  UNROLL_NOTE(crf_decode, CrfDecode)
#undef UNROLL_NOTE

  LinearAlgebraKernels* linear_algebra() override {
    called.insert("linear_algebra");
    return &linear_algebra_;
  }
  std::unique_ptr<ConvolutionPlan> convolution_plan(const ConvolutionSpec&) override {
    called.insert("convolution_plan");
    return nullptr;
  }
  std::unique_ptr<RecurrentPlan> recurrent_plan(const RecurrentArgs& args) override {
    called.insert("recurrent_plan");
    return ForwardingBackend::recurrent_plan(args);
  }
  std::unique_ptr<SoftmaxCrossEntropyPlan> softmax_cross_entropy_plan(
      const SoftmaxCrossEntropyArgs& args) override {
    called.insert("softmax_cross_entropy_plan");
    return ForwardingBackend::softmax_cross_entropy_plan(args);
  }

 private:
  NoLinearAlgebra linear_algebra_;
};

struct Case {
  std::string name;
  /// x [4, 4] of some element type -> the result.
  std::function<Tensor(Tensor x)> build;
};

struct Family {
  std::string header;
  std::vector<Case> cases;
};

Tensor ids(Graph& graph) {
  const std::vector<std::int32_t> values{0, 3, 1};
  return graph.constant(std::span<const std::int32_t>(values), {3});
}

Tensor is_true(Graph& graph) {
  return graph.constant(1, {}, DType::kBool);
}

std::vector<Case> element_cases() {
  return {
      {"`a + b`, `a - b`, `a * b`, `-a`", [](Tensor x) { return -(x + x - x * x); }},
      {"`a / b`", [](Tensor x) { return x / x; }},
      {"`abs`", [](Tensor x) { return abs(x); }},
      {"`maximum`, `minimum`", [](Tensor x) { return maximum(x, minimum(x, x)); }},
      {"`clip`", [](Tensor x) { return clip(x, 0, 1); }},
      {"`exp`, `log`, `sqrt`, `sin`, `cos`",
       [](Tensor x) { return exp(x) + log(x) + sqrt(x) + sin(x) + cos(x); }},
      {"`pow`", [](Tensor x) { return pow(x, x); }},
      {"`tanh`, `logistic`, `relu`, `leaky_relu`, `gelu`, `softplus`",
       [](Tensor x) {
         return tanh(x) + logistic(x) + relu(x) + leaky_relu(x) + gelu(x) + softplus(x);
       }},
      {"`equal`, `not_equal`, `greater`, `greater_equal`, `less`, `less_equal`",
       [](Tensor x) {
         equal(x, x), not_equal(x, x), greater_equal(x, x), less(x, x), less_equal(x, x);
         return greater(x, x);
       }},
      {"`logical_and`, `logical_or`, `logical_xor`, `logical_not`",
       [](Tensor x) { return logical_not(logical_and(x, logical_or(x, logical_xor(x, x)))); }},
      {"`where`", [](Tensor x) { return where(is_true(x.graph()), x, x); }},
      {"`cast`", [](Tensor x) { return cast(x, DType::kFloat32); }},
  };
}

std::vector<Case> reduce_cases() {
  return {
      {"`reduce_sum`", [](Tensor x) { return reduce_sum(x, 1); }},
      {"`reduce_mean`", [](Tensor x) { return reduce_mean(x, 1); }},
      {"`reduce_max`, `reduce_min`", [](Tensor x) { return reduce_max(x, 1) - reduce_min(x, 1); }},
      {"`reduce_any`, `reduce_all`",
       [](Tensor x) { return logical_and(reduce_any(x, 1), reduce_all(x, 1)); }},
      {"`argmax`, `argmin`", [](Tensor x) { return argmax(x, 1) - argmin(x, 1); }},
  };
}

std::vector<Case> array_cases() {
  return {
      {"`slice`, `split`, `unstack`",
       [](Tensor x) { return unstack(split(slice(x, 0, 1, 3), 2, 1)[1])[0]; }},
      {"`concat`, `stack`",
       [](Tensor x) {
         return stack({concat({x, x}, 0), concat({x, x}, 0)});
       }},
      {"`transpose`", [](Tensor x) { return transpose(x); }},
      {"`reshape`, `expand_dims`, `squeeze`",
       [](Tensor x) {
         return squeeze(expand_dims(reshape(x, {2, 8}), 0), 0);
       }},
      {"`pad`",
       [](Tensor x) {
         return pad(x, {{1, 0}, {0, 2}});
       }},
      {"`tile`",
       [](Tensor x) {
         return tile(x, {2, 1});
       }},
      {"`rank`, `shape`",
       [](Tensor x) {
         return concat({shape(x), reshape(rank(x), {1})}, 0);
       }},
      {"`gather`", [](Tensor x) { return gather(x, ids(x.graph()), 1); }},
      {"`embedding`", [](Tensor x) { return embedding(x, ids(x.graph())); }},
      {"`one_hot`", [](Tensor x) { return one_hot(x, 5); }},
      {"`shuffle`", [](Tensor x) { return shuffle(x, 1); }},
      {"`cumulative_sum`", [](Tensor x) { return cumulative_sum(x, 0); }},
  };
}

std::vector<Case> neural_cases() {
  const auto row = [](Tensor x) { return slice(reshape(x, {16}), 0, 0, 4); };
  return {
      {"`softmax`, `log_softmax`", [](Tensor x) { return softmax(x) + log_softmax(x); }},
      {"`dropout`", [](Tensor x) { return dropout(x, 0.5); }},
      {"`layer_norm`", [row](Tensor x) { return layer_norm(x, row(x), row(x)); }},
      {"`convolution_1d`, `convolution_2d`",
       [](Tensor x) {
         const Tensor line = convolution_1d(reshape(x, {1, 1, 16}), reshape(x, {2, 1, 8}));
         return reduce_sum(line) +
                convolution_2d(reshape(x, {1, 1, 4, 4}), reshape(x, {4, 1, 2, 2}));
       }},
      {"`max_pool_1d`, `max_pool_2d`",
       [](Tensor x) {
         return reduce_sum(max_pool_1d(reshape(x, {1, 1, 16}), 2)) +
                max_pool_2d(reshape(x, {1, 1, 4, 4}), 2);
       }},
      {"`mean_pool_1d`, `mean_pool_2d`",
       [](Tensor x) {
         return reduce_sum(mean_pool_1d(reshape(x, {1, 1, 16}), 2)) +
                mean_pool_2d(reshape(x, {1, 1, 4, 4}), 2);
       }},
      {"`mean_squared_error`", [](Tensor x) { return mean_squared_error(x, x); }},
      {"`softmax_cross_entropy`",
       [row](Tensor x) {
         return softmax_cross_entropy(slice(x, 0, 0, 3), {x, row(x)}, ids(x.graph())).loss;
       }},
      {"`sample`", [](Tensor x) { return sample(x); }},
  };
}

std::vector<Case> crf_cases() {
  const auto integers = [](Tensor x, const std::vector<std::int32_t>& values, const Shape& shape) {
    return x.graph().constant(std::span<const std::int32_t>(values), shape);
  };
  const auto scores = [](Tensor x) { return reshape(x, {2, 2, 4}); };
  const auto weights = [](Tensor x) {
    const Tensor row = slice(reshape(x, {16}), 0, 0, 4);
    return CrfWeights{x, row, row};
  };
  return {
      {"`crf_loss`",
       [=](Tensor x) {
         return crf_loss(scores(x), integers(x, {0, 3, 1, 2}, {2, 2}), integers(x, {2, 1}, {2}),
                         weights(x));
       }},
      {"`crf_decode`",
       [=](Tensor x) {
         return crf_decode(scores(x), integers(x, {2, 1}, {2}), weights(x));
       }},
  };
}

std::vector<Family> families() {
  return {
      {"elementwise", element_cases()},
      {"reduce", reduce_cases()},
      {"matrix",
       {{"`matmul`",
         [](Tensor x) {
           return matmul(x, reshape(x, {1, 4, 4}));
         }}}},
      {"linear_algebra",
       {{"`inverse`", [](Tensor x) { return inverse(x); }},
        {"`determinant`", [](Tensor x) { return determinant(x); }}}},
      {"array", array_cases()},
      {"neural", neural_cases()},
      {"crf", crf_cases()},
      {"control_flow",
       {{"`scan`",
         [](Tensor x) {
           const ScanBody body = [](const std::vector<Tensor>& states,
                                    const std::vector<Tensor>& x_t) {
             return ScanStep{{states[0] + x_t[0]}, {}};
           };
           return scan(body, {slice(reshape(x, {16}), 0, 0, 4)}, {x}).states[0];
         }},
        {"`cond`",
         [](Tensor x) {
           return cond(
               is_true(x.graph()), [x] { return std::vector{x + x}; },
               [x] { return std::vector{x}; })[0];
         }},
        {"`while_loop`",
         [](Tensor x) {
           return while_loop([](const auto& s) { return less(reduce_sum(s[0]), 9); },
                             [](const auto& s) { return std::vector{s[0] + s[0]}; }, {x},
                             {.max_iterations = 10})[0];
         }}}},
  };
}

struct Found {
  std::string types;     // that it takes
  std::string gradient;  // the types in which it has one
  Kernels kernels;
};

/// The gradient of the sum of y; empty if there is none.
Tensor gradient_of(Tensor y, Tensor x) {
  const bool real = y.dtype() == DType::kFloat32 || y.dtype() == DType::kFloat64;
  if (!real || y.dtype() != x.dtype()) return {};
  try {
    const Tensor sum = reduce_sum(y);
    const Tensor cost = y.dtype() == DType::kFloat32 ? sum : cast(sum, DType::kFloat32);
    return gradients(cost, {x})[0] ? dense_gradients(cost, {x})[0] : Tensor();
  } catch (const std::invalid_argument&) {
    return {};
  }
}

Found examine(const Case& operation) {
  Found found;
  const auto backend = std::make_shared<NotingBackend>(cpu(1));
  for (const DType dtype :
       {DType::kFloat32, DType::kFloat64, DType::kInt32, DType::kInt64, DType::kBool}) {
    Graph graph;
    const Tensor x = graph.constant(1, {4, 4}, dtype);
    Tensor y;
    try {
      y = operation.build(x);
    } catch (const std::invalid_argument&) {
      continue;
    }
    found.types += (found.types.empty() ? "" : ", ") + to_string(dtype);
    Session(graph, backend).run(y);
    const Tensor dx = gradient_of(y, x);
    if (!dx) continue;
    found.gradient += (found.gradient.empty() ? "" : ", ") + to_string(dtype);
    // The cost is float32, so other types need casts, which are not the operation's.
    Session(graph, dtype == DType::kFloat32 ? backend : cpu(1)).run(dx);
  }
  found.kernels = backend->called;
  return found;
}

/// Where a kernel's code is: in host/cpu and in cuda/ops, unless a folder is named. The paths are
/// checked.
struct Place {
  std::string kernel;
  std::string cpu;  // empty: there is none, and other kernels do the work
  std::string cuda;
  std::string gpu_library = {};  // which does the work on a GPU
};

std::vector<Place> places() {
  return {
      {"elementwise", "elementwise.cpp", "elementwise.cu"},
      {"cast", "elementwise.cpp", "elementwise.cu"},
      {"where", "elementwise.cpp", "elementwise.cu"},
      {"reduce", "reduce.cpp", "reduce.cu"},
      {"matmul", "matmul.cpp", "matmul.cpp", "cuBLAS"},
      {"linear_algebra", "linear_algebra.cpp", "linear_algebra.cu", "cuBLAS"},
      {"copy_region", "layout.cpp", "layout.cu"},
      {"fill", "layout.cpp", "layout.cu"},
      {"fold", "windows.cpp", "windows.cu"},
      {"convolution_plan", "", "cudnn/convolution.cpp", "cuDNN, where that is installed"},
      {"gather_rows", "rows.cpp", "rows.cu"},
      {"scatter_add_rows", "rows.cpp", "rows.cu"},
      {"one_hot", "rows.cpp", "rows.cu"},
      {"narrow_ids", "rows.cpp", "rows.cu"},
      {"cumulative_sum", "cumulative_sum.cpp", "cumulative_sum.cu"},
      {"permutation", "shuffle.cpp", "shuffle.cu", "CUB"},
      {"softmax", "softmax.cpp", "softmax.cu"},
      {"softmax_gradient", "softmax.cpp", "softmax.cu"},
      {"softmax_cross_entropy_plan", "softmax_cross_entropy.cpp", "softmax_cross_entropy.cpp",
       "cuBLAS"},
      {"crf_loss", "crf.cpp", "crf.cu"},
      {"crf_loss_gradient", "crf.cpp", "crf_gradient.cu"},
      {"crf_decode", "crf.cpp", "crf_decode.cu"},
      {"dropout", "dropout.cpp", "dropout.cu"},
      {"sample", "sample.cpp", "sample.cu"},
  };
}

std::string joined(const Kernels& kernels) {
  std::string text;
  for (const std::string& kernel : kernels) text += (text.empty() ? "`" : ", `") + kernel + "`";
  return text.empty() ? "none" : text;
}

Kernels print_operations() {
  Kernels all;
  for (const Family& family : families()) {
    std::printf(
        "\n## `unroll/ops/%s.h`\n\n| operation | element types | gradient | kernels |\n"
        "|---|---|---|---|\n",
        family.header.c_str());
    for (const Case& operation : family.cases) {
      const Found found = examine(operation);
      if (found.types.empty()) throw std::logic_error(operation.name + " takes no element type");
      std::printf("| %s | %s | %s | %s |\n", operation.name.c_str(), found.types.c_str(),
                  found.gradient.empty() ? "none" : found.gradient.c_str(),
                  joined(found.kernels).c_str());
      all.insert(found.kernels.begin(), found.kernels.end());
    }
  }
  return all;
}

void print_kernels(const std::filesystem::path& sources, Kernels called) {
  std::printf("\n## Kernels\n\n| kernel | on a CPU | on a GPU |\n|---|---|---|\n");
  for (const Place& place : places()) {
    const std::string cpu = "host/cpu/" + place.cpu;
    const std::string cuda =
        (place.cuda.find('/') == std::string::npos ? "cuda/ops/" : "cuda/") + place.cuda;
    for (const std::string& file : {cpu, cuda})
      if (!std::filesystem::exists(sources / file)) throw std::logic_error("there is no " + file);
    if (called.erase(place.kernel) == 0)
      throw std::logic_error("no operation calls " + place.kernel);
    std::printf("| `%s` | %s | `%s`%s |\n", place.kernel.c_str(),
                place.cpu.empty() ? "other kernels" : ("`" + cpu + "`").c_str(), cuda.c_str(),
                place.gpu_library.empty() ? "" : (", with " + place.gpu_library).c_str());
  }
  if (!called.empty()) throw std::logic_error("no place is known of " + *called.begin());
}

void print_page(const std::filesystem::path& sources) {
  std::printf(
      "# Operations\n\n"
      "The operations of `unroll/ops.h`: the element types that each takes and has "
      "gradients in, and the kernels that\n"
      "compute it and its gradient. Each kernel is written for CPUs and for GPUs, unless a table "
      "below says otherwise. Beside\n"
      "these there are writes to variables (`unroll/ops/state.h`), recurrent layers "
      "(`unroll/recurrent.h`) and optimisers\n"
      "(`unroll/optimizer.h`). This page is printed by `build/tests/operations_page .`, which "
      "builds and runs each operation,\nand ctest compares it.\n");
  print_kernels(sources, print_operations());
}

}  // namespace
}  // namespace unroll

int main(int argc, char** argv) {
  try {
    unroll::print_page(argc > 1 ? argv[1] : ".");
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "operations_page: %s\n", error.what());
    return 1;
  }
}
