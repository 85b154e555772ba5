#include <omp.h>

#include <memory>
#include <oneapi/dnnl/dnnl.hpp>
#include <utility>

#include "benchmarks/products.h"

namespace unroll::benchmark {
namespace {

using dnnl::memory;

/// A matrix [rows, columns] that is stored as its transpose if `transposed`.
memory::desc layout(std::int64_t rows, std::int64_t columns, bool transposed,
                    memory::data_type type) {
  return {{rows, columns}, type, transposed ? memory::format_tag::ba : memory::format_tag::ab};
}

memory on(const dnnl::engine& engine, const memory::desc& desc, const float* data) {
  return {desc, engine, const_cast<float*>(data)};
}

/// `from` in another form.
memory reordered(const dnnl::engine& engine, dnnl::stream& stream, memory from,
                 const memory::desc& to) {
  if (from.get_desc() == to) return from;
  memory result(to, engine);
  dnnl::reorder(from, result).execute(stream, from, result);
  stream.wait();
  return result;
}

#if DNNL_VERSION_MAJOR >= 3
dnnl::matmul::primitive_desc description(const dnnl::engine& engine, const memory::desc& a,
                                         const memory::desc& b, const memory::desc& c) {
  return {engine, a, b, c};
}
#else
dnnl::matmul::primitive_desc description(const dnnl::engine& engine, const memory::desc& a,
                                         const memory::desc& b, const memory::desc& c) {
  return {dnnl::matmul::desc(a, b, c), engine};
}
#endif

Work prepared(const Product& p, const Operands& o, memory::data_type type) {
  const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  dnnl::stream stream(engine);
  constexpr auto kFloat = memory::data_type::f32;
  const memory::desc c_form = layout(p.m, p.n, false, kFloat);
  memory::desc b_form = layout(p.k, p.n, p.transpose_b, type);
  if (p.packed) b_form = {{p.k, p.n}, type, memory::format_tag::any};
  const auto matmul = description(engine, layout(p.m, p.k, p.transpose_a, type), b_form, c_form);
  const memory a = reordered(
      engine, stream, on(engine, layout(p.m, p.k, p.transpose_a, kFloat), o.a), matmul.src_desc());
  const memory b =
      reordered(engine, stream, on(engine, layout(p.k, p.n, p.transpose_b, kFloat), o.b),
                matmul.weights_desc());
  const memory c = on(engine, c_form, o.c);
  return [primitive = dnnl::matmul(matmul), stream, a, b, c]() mutable {
    primitive.execute(stream, {{DNNL_ARG_SRC, a}, {DNNL_ARG_WEIGHTS, b}, {DNNL_ARG_DST, c}});
    stream.wait();
  };
}

Library of(const char* name, memory::data_type type) {
  const dnnl_version_t* version = dnnl::version();
  return {name,
          std::to_string(version->major) + "." + std::to_string(version->minor) + "." +
              std::to_string(version->patch),
          [type](const Product& p, const Operands& o) -> Work {
            try {
              return prepared(p, o, type);
            } catch (const dnnl::error&) {
              return nullptr;  // it has no such product for this processor
            }
          }};
}

}  // namespace

std::vector<Library> onednn(int threads) {
  omp_set_num_threads(threads);
  return {of("oneDNN fp32", memory::data_type::f32), of("oneDNN bf16", memory::data_type::bf16)};
}

}  // namespace unroll::benchmark
