/// Requests and answers, between the code that knows HTTP and the code that knows models.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace unroll::serve {

struct HttpRequest {
  std::string method;
  std::string path;  // without the query
  // Header fields; empty where there is none.
  std::string host, origin, content_type, authorization;
  bool has_length = false;  // the header says how long the body is, or that it is chunked
  std::string body;
};

using HttpFields = std::vector<std::pair<std::string, std::string>>;

struct HttpAnswer {
  int status = 200;
  std::string body;
  std::string type = "application/json";
  HttpFields fields = {};
};

/// {"error": what} with its status.
HttpAnswer error_answer(int status, std::string_view what);

/// Where the answer of one request goes: one call of answer(), or calls of stream(). Any thread may
/// call it, one at a time; what follows the end is dropped.
class HttpReply {
 public:
  virtual ~HttpReply() = default;
  /// For the header of whatever is answered; called before.
  virtual void add_field(std::string name, std::string value) = 0;
  virtual void answer(HttpAnswer answer) = 0;
  /// A part of an answer of server-sent events.
  virtual void stream(std::string_view part, bool last) = 0;
  /// The client is slower than the stream: stop calling stream() until it is not full.
  virtual bool full() const = 0;
  /// The client has gone: there is no one to answer.
  virtual bool gone() const = 0;
};

/// Receives a complete request, on the server's thread, and must not wait.
using HttpHandler = std::function<void(HttpRequest, std::shared_ptr<HttpReply>)>;

}  // namespace unroll::serve
