#include "host/serve/http_connection.h"

#include <fmt/format.h>

#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <utility>

#include "host/base/utf8.h"
#include "host/serve/http_head.h"

namespace unroll::serve {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;

/// The system takes this much of an answer for a client that does not read it. Its own measure
/// grows to megabytes, which a model would fill for a client that has stopped reading.
constexpr int kUnsentBytes = 4 << 10;
/// How long a client that sends no more may stay unnoticed if it is gone.
constexpr std::chrono::milliseconds kProbeTime{100};

std::string field_of(const http::request<http::string_body>& message, http::field name) {
  return std::string(message[name]);
}

/// The path of a target, which may be a whole URL. Without the query.
std::string path_of(std::string_view target) {
  target = target.substr(0, target.find('?'));
  if (target.starts_with('/')) return std::string(target);
  const std::size_t scheme = target.find("://");
  const std::size_t path = scheme == target.npos ? scheme : target.find('/', scheme + 3);
  return path == target.npos ? std::string(target) : std::string(target.substr(path));
}

}  // namespace

// ---- Reply

void Reply::add_field(std::string name, std::string value) {
  fields_.emplace_back(std::move(name), std::move(value));
}

void Reply::answer(HttpAnswer answer) {
  {
    const std::scoped_lock lock(mutex_);
    if (std::exchange(ended_, true)) return;
    parts_.answer = std::move(answer);
    parts_.ended = true;
  }
  schedule();
}

void Reply::stream(std::string_view part, bool last) {
  {
    const std::scoped_lock lock(mutex_);
    if (std::exchange(ended_, ended_ || last)) return;
    parts_.stream += part;
    parts_.ended = last;
    given_ = parts_.stream.size();
  }
  schedule();
}

void Reply::schedule() {
  if (scheduled_.exchange(true)) return;
  asio::post(server_.io, [self = shared_from_this()] {
    self->scheduled_ = false;
    if (const std::shared_ptr<Connection> connection = self->connection_.lock())
      connection->deliver(*self);
  });
}

Reply::Parts Reply::take() {
  const std::scoped_lock lock(mutex_);
  return std::exchange(parts_, {});
}

void Reply::set_unsent(std::size_t bytes) {
  const bool was_full = full();
  {
    const std::scoped_lock lock(mutex_);
    given_ = parts_.stream.size();
    unsent_ = bytes;
  }
  if (was_full && !full()) server_.on_change();
}

void Reply::set_gone() {
  gone_ = true;
  server_.on_change();
}

// ---- Connection: requests

Connection::Connection(ServerState& server, Tcp::socket socket)
    : server_(server), socket_(std::move(socket)), timer_(server.io) {}

void Connection::start() {
  ErrorCode ignored;
  socket_.set_option(Tcp::no_delay(true), ignored);
  socket_.non_blocking(true, ignored);
  ::setsockopt(socket_.native_handle(), IPPROTO_TCP, TCP_NOTSENT_LOWAT, &kUnsentBytes,
               sizeof kUnsentBytes);
  begin_request(server_.limits.request_time);
}

void Connection::close() {
  if (std::exchange(phase_, Phase::kClosed) == Phase::kClosed) return;
  set_waiting(false);
  set_body_bytes(0);
  if (reply_) std::exchange(reply_, nullptr)->set_gone();
  timer_.cancel();
  ErrorCode ignored;
  socket_.close(ignored);
  server_.connections.erase(shared_from_this());
}

void Connection::drain() {
  if (phase_ == Phase::kIdle) close();
}

/// `patience`: until its first byte.
void Connection::begin_request(std::chrono::seconds patience) {
  phase_ = Phase::kIdle;
  continued_ = false;
  head_bytes_ = 0;
  parser_.emplace();
  parser_->eager(true);
  parser_->header_limit(std::uint32_t(server_.limits.header_bytes));
  parser_->body_limit(server_.limits.body_bytes);
  set_waiting(true);
  if (!in_.empty()) return parse();
  if (ended_ || server_.draining) return close();
  set_deadline(patience);
  read();
}

void Connection::read() {
  if (reading_ || ended_ || in_.size() >= server_.limits.input_bytes) return;
  reading_ = true;
  socket_.async_read_some(asio::buffer(chunk_),
                          [self = shared_from_this()](const ErrorCode& error, std::size_t bytes) {
                            self->reading_ = false;
                            self->received(error, bytes);
                          });
}

void Connection::received(const ErrorCode& error, std::size_t bytes) {
  if (phase_ == Phase::kClosed) return;
  if (error == asio::error::eof) return client_ended();
  if (error) return close();
  if (phase_ == Phase::kLingering) return read();
  in_.append(chunk_.data(), bytes);
  if (phase_ != Phase::kAnswering) return parse();
  read();  // while a request is answered too, to see that the client ends
}

void Connection::client_ended() {
  ended_ = true;
  if (phase_ != Phase::kAnswering) return close();
  if (!writing_) set_deadline(kProbeTime);
}

void Connection::parse() {
  if (phase_ == Phase::kIdle) {
    phase_ = Phase::kReading;
    set_deadline(server_.limits.request_time);
  }
  ErrorCode error;
  const std::size_t used = parser_->put(asio::buffer(std::as_const(in_)), error);
  in_.erase(0, used);
  if (error && error != http::error::need_more) return refuse_broken(error);
  // The parser's own limit is one of what it has not yet used.
  head_bytes_ += used;
  if (!parser_->is_header_done() && head_bytes_ + in_.size() > server_.limits.header_bytes)
    return refuse_broken(http::error::header_limit);
  if (!has_room_for_body())
    return refuse(503, "the bodies of all requests together are too large now, try again");
  if (parser_->is_done()) return dispatch();
  if (in_.size() >= server_.limits.input_bytes)
    return refuse(431, fmt::format("the header has a line of more than {} bytes", in_.size()));
  if (ended_) return close();
  continue_if_expected();
  read();
}

/// A client may wait for this line before it sends the body.
void Connection::continue_if_expected() {
  if (continued_ || !parser_->is_header_done() || parser_->get().version() < 11 ||
      !boost::beast::iequals(parser_->get()[http::field::expect], "100-continue"))
    return;
  continued_ = true;
  send_now("HTTP/1.1 100 Continue\r\n\r\n");
}

bool Connection::has_room_for_body() {
  const std::size_t bytes = parser_->get().body().size(), free = server_.limits.free_body_bytes;
  set_body_bytes(bytes > free ? bytes : 0);
  return body_bytes_ == 0 || server_.bodies_bytes <= server_.limits.bodies_bytes;
}

/// What is wrong with a complete request; empty: nothing.
std::string Connection::why_refused() const {
  const auto& message = parser_->get();
  if (message.count(http::field::transfer_encoding) > 0 && !parser_->chunked())
    return "Transfer-Encoding: got " +
           in_quotes(field_of(message, http::field::transfer_encoding)) + ", expected chunked";
  const std::size_t hosts = message.count(http::field::host);
  if (hosts > 1 || (hosts == 0 && message.version() >= 11))
    return fmt::format("Host: got {} fields, expected one", hosts);
  return "";
}

void Connection::dispatch() {
  set_waiting(false);
  timer_.cancel();
  if (const std::string why = why_refused(); !why.empty()) return refuse(400, why);
  phase_ = Phase::kAnswering;
  const auto& message = parser_->get();
  keep_alive_ = message.keep_alive() && !server_.draining;
  head_only_ = message.method() == http::verb::head;
  minor_ = message.version() >= 11 ? 1 : 0;
  reply_ = std::make_shared<Reply>(server_, weak_from_this());
  server_.handler(take_request(), reply_);
  parser_.reset();
  set_body_bytes(0);
  if (ended_) set_deadline(kProbeTime);
  read();
}

HttpRequest Connection::take_request() {
  auto& message = parser_->get();
  HttpRequest request;
  request.method = std::string(message.method_string());
  request.path = path_of(std::string_view(message.target().data(), message.target().size()));
  request.host = field_of(message, http::field::host);
  request.origin = field_of(message, http::field::origin);
  request.content_type = field_of(message, http::field::content_type);
  request.authorization = field_of(message, http::field::authorization);
  request.has_length = message.count(http::field::content_length) > 0 || parser_->chunked();
  request.body = std::move(message.body());
  return request;
}

void Connection::refuse_broken(const ErrorCode& error) {
  const Limits& limits = server_.limits;
  if (error == http::error::body_limit)
    return refuse(413, fmt::format("the body has more than {} bytes", limits.body_bytes));
  if (error != http::error::header_limit)
    return refuse(400, fmt::format("this is not HTTP/1.1: {}", error.message()));
  if (parser_->get().target().empty())
    return refuse(414, fmt::format("the first line has more than {} bytes", limits.header_bytes));
  refuse(431, fmt::format("the header has more than {} bytes", limits.header_bytes));
}

/// Answers what cannot be handled, and ends the connection: what follows in it is unknown.
void Connection::refuse(int status, const std::string& what) {
  set_waiting(false);
  phase_ = Phase::kAnswering;
  keep_alive_ = false;
  minor_ = 1;
  HttpAnswer answer = error_answer(status, what);
  if (status == 503) answer.fields.emplace_back("Retry-After", "1");
  queue(answer, {});
  parser_.reset();
  set_body_bytes(0);
  write();
}

// ---- Connection: answers

void Connection::deliver(Reply& reply) {
  if (phase_ == Phase::kClosed || reply_.get() != &reply) return;
  const Reply::Parts parts = reply.take();
  if (!parts.ended && parts.stream.empty()) return;  // an earlier call had it
  if (parts.answer)
    queue(*parts.answer, reply.fields());
  else
    queue_stream(parts);
  reply.set_unsent(unsent());
  write();
}

void Connection::queue(const HttpAnswer& answer, const HttpFields& more) {
  HttpFields fields = answer.fields;
  fields.insert(fields.end(), more.begin(), more.end());
  out_ += to_text({answer.status, minor_, keep_alive_, answer.type, answer.body.size()}, fields);
  if (!head_only_) out_ += answer.body;
  begun_ = finished_ = true;
}

void Connection::queue_stream(const Reply::Parts& parts) {
  if (!std::exchange(begun_, true)) {
    if (minor_ == 0) keep_alive_ = false;  // the end of the connection is the end of the stream
    out_ +=
        to_text({200, minor_, keep_alive_, "text/event-stream", std::nullopt}, reply_->fields());
  }
  out_ += minor_ == 0 ? parts.stream : chunk_of(parts.stream);
  if (!parts.ended) return;
  if (minor_ == 1) out_ += kLastChunk;
  finished_ = true;
}

void Connection::write() {
  if (writing_ || unsent() == 0) return;
  if (sent_ == sending_.size()) {
    sending_ = std::exchange(out_, "");
    sent_ = 0;
  }
  writing_ = true;
  set_deadline(server_.limits.write_time);
  const std::size_t size = std::min(sending_.size() - sent_, kWriteBytes);
  asio::async_write(socket_, asio::buffer(sending_.data() + sent_, size),
                    [self = shared_from_this()](const ErrorCode& error, std::size_t bytes) {
                      self->writing_ = false;
                      self->written(error, bytes);
                    });
}

void Connection::written(const ErrorCode& error, std::size_t bytes) {
  if (phase_ == Phase::kClosed) return;
  if (error) return close();
  sent_ += bytes;
  if (reply_) reply_->set_unsent(unsent());
  if (unsent() > 0) return write();
  timer_.cancel();
  if (finished_) end_answer();
}

void Connection::end_answer() {
  reply_.reset();
  begun_ = finished_ = probed_ = head_only_ = false;
  sending_ = {};
  sent_ = 0;
  if (keep_alive_ && !server_.draining)
    begin_request(server_.limits.idle_time);
  else
    linger();
}

void Connection::linger() {
  phase_ = Phase::kLingering;
  ErrorCode ignored;
  socket_.shutdown(Tcp::socket::shutdown_send, ignored);
  if (ended_) return close();
  in_ = {};
  set_deadline(server_.limits.linger_time);
  read();
}

/// A short text, which has room in the system's buffer or is not needed.
void Connection::send_now(std::string_view text) {
  ErrorCode ignored;
  socket_.write_some(asio::buffer(text), ignored);
}

/// A client that sends no more may be there, or have closed the connection. Only what is sent to it
/// tells: a closed one is reset. HTTP/1.1 allows this line any number of times.
void Connection::probe() {
  if (!std::exchange(probed_, true) && minor_ == 1 && !begun_)
    send_now("HTTP/1.1 100 Continue\r\n\r\n");
  socket_.async_wait(Tcp::socket::wait_error, [self = shared_from_this()](const ErrorCode& error) {
    if (!error) self->close();
  });
}

// ---- Connection: limits

void Connection::set_deadline(std::chrono::milliseconds time) {
  timer_.expires_after(time);
  timer_.async_wait([self = shared_from_this()](const ErrorCode& error) {
    // It may have been set anew when this was under way already.
    if (!error && self->timer_.expiry() <= std::chrono::steady_clock::now())
      self->deadline_passed();
  });
}

void Connection::deadline_passed() {
  switch (phase_) {
    case Phase::kReading:
      return refuse(408, fmt::format("the request was not complete after {} seconds",
                                     server_.limits.request_time.count()));
    case Phase::kAnswering:
      return writing_ ? close() : ended_ ? probe() : void();
    case Phase::kIdle:
    case Phase::kLingering:
      return close();
    case Phase::kClosed:
      return;
  }
}

void Connection::set_waiting(bool waits) {
  if (waits == place_.has_value()) return;
  if (waits) {
    place_ = server_.incomplete.insert(server_.incomplete.end(), this);
  } else {
    server_.incomplete.erase(*place_);
    place_.reset();
  }
}

void Connection::set_body_bytes(std::size_t bytes) {
  server_.bodies_bytes += bytes - body_bytes_;
  body_bytes_ = bytes;
}

}  // namespace unroll::serve
