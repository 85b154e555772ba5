/// The sockets: connections, HTTP/1.1, limits of time and memory. It knows no model. Boost.Asio and
/// Boost.Beast are behind it, so that few sources compile them.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "host/serve/http.h"
#include "host/serve/limits.h"

namespace unroll::serve {

/// Where to listen.
struct HttpAddress {
  std::string host = "127.0.0.1";  // an IP address, or localhost
  std::uint16_t port = 0;          // 0: a free one
};

class HttpServer {
 public:
  /// Listens from now on. `on_change` is called when a reply that was full is not any more, or its
  /// client has gone.
  /// Errors    std::runtime_error if the address is none, or cannot be listened on.
  HttpServer(const HttpAddress& address, const Limits& limits, HttpHandler handler,
             std::function<void()> on_change);
  ~HttpServer();

  /// "127.0.0.1:8080", "[::1]:8080".
  std::string address() const;
  /// Only this machine reaches it.
  bool is_loopback() const;

  /// Serves until `stop` is set and what was under way then is answered, for limits.drain_time at
  /// most.
  void run(const std::atomic<bool>& stop);

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace unroll::serve
