/// Drawing ids from log probabilities. It has no gradient.
#include <cmath>
#include <sstream>
#include <stdexcept>

#include "host/graph/operation.h"
#include "unroll/math/philox.h"
#include "unroll/ops.h"

namespace unroll {
namespace {

/// [N, V] of a distribution or of several.
Shape as_rows(const Shape& shape) {
  return shape.rank() == 1 ? Shape{1, shape[0]} : shape;
}

class SampleOperation final : public Operation {
 public:
  explicit SampleOperation(const SamplingOptions& options)
      : options_(options), key_(math::philox_key(options.seed, "sampler")) {}

  std::string kind() const override { return "sample"; }

  void attributes(const AttributeVisitor& visit) const override {
    visit("temperature", options_.temperature);
    visit("top_k", options_.top_k);
    visit("top_p", options_.top_p);
    visit("min_p", options_.min_p);
    visit("excluded_id", options_.excluded_id);
    visit("seed", std::to_string(options_.seed));  // all 64 bits: no integer of ours holds them
  }

  std::vector<TensorType> infer(std::span<const TensorType> inputs) const override {
    require_dtype(inputs[0], DType::kFloat32, "log_prob");
    const Shape& shape = inputs[0].shape;
    if (shape.rank() != 1 && shape.rank() != 2)
      shape_error("log_prob " + to_string(shape), "rank 1 or 2");
    const Shape rows = as_rows(shape);
    if (rows[1] == 0) shape_error("log_prob " + to_string(shape), "1 or more elements in a row");
    return {{Shape{rows[0]}, DType::kInt32}};
  }

  void plan(PlanContext& context) const override {
    const Shape rows = as_rows(context.inputs[0].shape);
    context.scratch_bytes = context.backend.sample_scratch_bytes(rows[0], rows[1]);
  }

  void run(const RunContext& c) const override {
    View log_prob = c.inputs[0];
    log_prob.shape = as_rows(log_prob.shape);
    c.backend.sample({.log_prob = log_prob,
                      .temperature = options_.temperature,
                      .top_k = options_.top_k,
                      .top_p = options_.top_p,
                      .min_p = options_.min_p,
                      .excluded_id = options_.excluded_id,
                      .key = key_,
                      .step = c.step,
                      .id = c.outputs[0],
                      .scratch = c.scratch});
  }

  std::vector<Gradient> gradient(const Node&, std::span<const Tensor>) const override {
    return {{}};
  }

 private:
  SamplingOptions options_;
  std::uint64_t key_;
};

}  // namespace

void SamplingOptions::check() const {
  const auto fail = [](const char* what, auto got, const char* expected) {
    std::ostringstream message;
    message << what << ": got " << got << ", expected " << expected;
    throw std::invalid_argument(message.str());
  };
  if (!(temperature >= 0) || !std::isfinite(temperature))
    fail("temperature", temperature, "a finite number, 0 or more");
  if (top_k < 0) fail("top-k", top_k, "0 (all) or more");
  if (!(top_p > 0 && top_p <= 1)) fail("top-p", top_p, "one in (0, 1]");
  if (!(min_p >= 0 && min_p <= 1)) fail("min-p", min_p, "one in [0, 1]");
}

Tensor sample(Tensor log_prob, const SamplingOptions& options, std::string_view name) {
  options.check();
  return add_node(std::make_shared<SampleOperation>(options), {log_prob}, name);
}

}  // namespace unroll
