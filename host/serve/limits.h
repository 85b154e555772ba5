/// What a server grants to its clients. Each limit is in docs/inference.md.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace unroll::serve {

struct Limits {
  // For a request.
  std::size_t header_bytes = 8 << 10;
  std::size_t body_bytes = 1 << 20;
  std::int64_t tokens = 8192;    // that it has read or scored
  std::int64_t length = 4096;    // that it has drawn
  std::int64_t top = 1000;       // most probable tokens that it asks for
  std::int64_t entries = 20000;  // of all its lists of most probable tokens
  std::int64_t lanes = 8;        // of its texts, read at once

  // In seconds.
  std::chrono::seconds request_time{10};  // from the first byte of a request to its last
  std::chrono::seconds idle_time{60};     // from an answer to the first byte of the next request
  std::chrono::seconds write_time{10};    // in which a client takes kWriteBytes of its answer
  std::chrono::seconds linger_time{2};    // in which a client reads its last answer
  std::chrono::seconds drain_time{10};    // for what is under way when the server ends

  // For all clients together.
  std::size_t connections = 1024;
  std::int64_t rows = 64;    // texts that are read in a step
  std::int64_t queue = 256;  // requests beyond as many as rows
  /// What clients have sent of bodies that are not complete. A body of at most free_body_bytes does
  /// not count, so that small requests are taken whatever others send.
  std::size_t bodies_bytes = 16 << 20;
  std::size_t free_body_bytes = 16 << 10;

  // What is held for a connection.
  std::size_t input_bytes = 16 << 10;  // received and not yet looked at
  std::size_t output_bytes = 4 << 10;  // of a stream, drawn and not yet sent
};

/// As much of a long answer is given to the system at once.
inline constexpr std::size_t kWriteBytes = 64 << 10;

}  // namespace unroll::serve
