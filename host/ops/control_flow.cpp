#include "host/ops/control_flow.h"

#include <stdexcept>
#include <utility>

#include "unroll/math/philox.h"

namespace unroll {

std::unique_ptr<Schedule> plan_body(const PlanContext& context, BodyRequest request) {
  return std::make_unique<Schedule>(
      ScheduleRequest{.graph = request.body.graph,
                      .backend = context.backend,
                      .seed = math::philox_key(context.seed, request.site.c_str()),
                      .fetches = std::move(request.fetches),
                      .placeholders = request.body.inputs,
                      .shapes = std::move(request.shapes),
                      .results_outside = true});
}

void bind_body(Schedule& schedule, const BodyPlaces& places, std::int64_t*& numbers) {
  schedule.bind(places.arena);
  for (std::size_t k = 0; k < places.inputs.size(); ++k) schedule.set_input(k, places.inputs[k]);
  for (std::size_t k = 0; k < places.results.size(); ++k) schedule.set_result(k, places.results[k]);
  const std::int64_t count = count_of(schedule.numbers());
  schedule.set_step(places.step, {numbers, Shape{count}, DType::kInt64});
  numbers += count;
  schedule.bind_operations();
  schedule.capture();
}

void require_predicate(const TensorType& type, const char* what) {
  const Shape& shape = type.shape;
  const bool one = shape.is_open() ? shape.rank() == 1 : shape.elements() == 1;
  if (type.dtype != DType::kBool || !one)
    shape_error(std::string(what) + " " + to_string(type.dtype) + " " + to_string(shape),
                "bool with one element");
}

void require_same_type(const std::string& which, const TensorType& got,
                       const TensorType& expected) {
  if (got.dtype != expected.dtype || !shapes_agree(got.shape, expected.shape))
    shape_error(which + " " + to_string(got.dtype) + " " + to_string(got.shape),
                to_string(expected.dtype) + " " + to_string(expected.shape));
}

void require_tensors(const std::string& what, const std::vector<Tensor>& tensors) {
  for (const Tensor& tensor : tensors)
    if (!tensor) throw std::invalid_argument(what + ": an input is an empty tensor");
}

std::string quoted(const char* kind, std::string_view name) {
  return std::string(kind) + " '" + std::string(name) + "'";
}

}  // namespace unroll
