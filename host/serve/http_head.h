/// The head of an answer: status line and fields.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "host/serve/http.h"

namespace unroll::serve {

struct HttpHead {
  int status = 200;
  int minor = 1;  // of the version that the client speaks: HTTP/1.minor
  bool keep_alive = true;
  std::string type;
  std::optional<std::size_t> length;  // of the body; nothing: it is a stream
};

/// With the empty line that ends it. The body of a stream is chunked for HTTP/1.1, and ends with
/// the connection for HTTP/1.0.
std::string to_text(const HttpHead& head, const HttpFields& fields);

/// A piece of a stream as HTTP/1.1 sends it. Nothing for an empty one, which would end the stream.
std::string chunk_of(const std::string& piece);
inline constexpr const char* kLastChunk = "0\r\n\r\n";

}  // namespace unroll::serve
