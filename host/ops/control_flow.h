/// What loops and branches share.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "host/graph/body.h"
#include "host/graph/schedule.h"

namespace unroll {

/// Memory that is handed out piece by piece, each aligned like an arena's.
class ScratchLayout {
 public:
  /// The offset of a piece.
  std::size_t add(std::size_t bytes);
  std::size_t bytes() const { return bytes_; }

 private:
  std::size_t bytes_ = 0;
};

/// The schedule of a body in a node that is being planned. Its results lie outside. `site` keys its
/// random numbers.
struct BodyRequest {
  const Body& body;
  std::vector<Tensor> fetches;
  std::vector<Shape> shapes;  // of the inputs
  std::string site;
};
std::unique_ptr<Schedule> plan_body(const PlanContext& context, BodyRequest request);

/// Throws std::invalid_argument unless it is bool with one element.
void require_predicate(const TensorType& type, const char* what);
/// Throws std::invalid_argument unless the types agree. `which`: "state 2".
void require_same_type(const std::string& which, const TensorType& got, const TensorType& expected);
/// Throws std::invalid_argument, naming `what`, if a tensor is empty.
void require_tensors(const std::string& what, const std::vector<Tensor>& tensors);

/// "scan 'rnn'"
std::string quoted(const char* kind, std::string_view name);

View piece_of(const View& scratch, std::size_t offset, const TensorType& type);

}  // namespace unroll
