#include "host/ops/control_flow.h"

#include <stdexcept>
#include <utility>

#include "host/graph/arena.h"
#include "unroll/math/philox.h"

namespace unroll {

std::size_t ScratchLayout::add(std::size_t bytes) {
  return std::exchange(bytes_, bytes_ + aligned(bytes));
}

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

View piece_of(const View& scratch, std::size_t offset, const TensorType& type) {
  return {static_cast<std::byte*>(scratch.data) + offset, type.shape, type.dtype};
}

}  // namespace unroll
