/// What loops and branches share.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "host/graph/body.h"
#include "host/graph/schedule.h"
#include "host/ops/scratch_layout.h"

namespace unroll {

/// The schedule of a body in a node that is being planned. Its results lie outside. `site` keys its
/// random numbers.
struct BodyRequest {
  const Body& body;
  std::vector<Tensor> fetches;
  std::vector<Shape> shapes;  // of the inputs
  std::string site;
};
std::unique_ptr<Schedule> plan_body(const PlanContext& context, BodyRequest request);

/// Where a body that the host starts finds what it needs.
struct BodyPlaces {
  std::byte* arena;
  std::vector<View> inputs, results;
  View step;
};
/// Binds and records it. Its step numbers are the next of `numbers`, which move on.
void bind_body(Schedule& schedule, const BodyPlaces& places, std::int64_t*& numbers);

/// Throws std::invalid_argument unless it is bool with one element.
void require_predicate(const TensorType& type, const char* what);
/// Throws std::invalid_argument unless the types agree. `which`: "state 2".
void require_same_type(const std::string& which, const TensorType& got, const TensorType& expected);
/// Throws std::invalid_argument, naming `what`, if a tensor is empty.
void require_tensors(const std::string& what, const std::vector<Tensor>& tensors);

/// "scan 'rnn'"
std::string quoted(const char* kind, std::string_view name);

}  // namespace unroll
