/// Answers questions about a language model over HTTP, many clients at once.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>

#include "host/models/model_file.h"
#include "host/serve/http_server.h"
#include "host/serve/limits.h"

namespace unroll::serve {

struct Options {
  HttpAddress address = {.port = 8080};
  std::string token;         // that clients must know; empty: none
  std::string allow_origin;  // of pages that may ask from elsewhere, "*" for any; empty: none
  Limits limits;
};

/// The token in a file: its first line.
/// Errors    std::runtime_error if it cannot be read, or the line is not 1 to 512 printable ASCII
///           characters without blanks, or the only one.
std::string read_token(const std::string& file);

/// Serves until `stop` is set, and then ends what is under way. `listening` is told the URL.
/// Errors    std::runtime_error if the model is not a language model; those of HttpServer.
void serve(const LoadedModel& model, const Options& options,
           const std::function<void(const std::string& url)>& listening,
           const std::atomic<bool>& stop);

}  // namespace unroll::serve
