/// What clients ask for, read from JSON: every field is checked before anything is done.
#pragma once

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "host/serve/limits.h"
#include "unroll/ops.h"

namespace unroll::serve {

/// A request that is refused, with HTTP's status. `what` is one line.
struct RequestError : std::runtime_error {
  RequestError(int code, const std::string& what) : std::runtime_error(what), status(code) {}
  int status;
};

struct PredictRequest {
  std::string text;
  std::int64_t top = 10;
  std::optional<std::string> word;
  bool each = false;  // also after every token of the text
};

struct ScoreRequest {
  std::vector<std::string> texts;
  bool tokens = false;  // also of each token
  bool strict = false;  // refuses what the model does not know
};

struct GenerateRequest {
  std::string prompt, stop;
  std::int64_t length = 100;
  SamplingOptions sampling;
  bool no_unknown = false;
  bool stream = false;
};

/// From the body of a request.
/// Errors    RequestError 400: it is not JSON, or a field is unknown, missing, of another type or
///           out of range.
PredictRequest read_predict(std::string_view body, const Limits& limits);
ScoreRequest read_score(std::string_view body, const Limits& limits);
/// Without a seed it takes one that no one can foresee.
GenerateRequest read_generate(std::string_view body, const Limits& limits);

}  // namespace unroll::serve
