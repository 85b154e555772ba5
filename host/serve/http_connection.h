/// A connection, from its first byte to its end. All but Reply runs on the server's thread.
#pragma once

#include <array>
#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <chrono>
#include <cstddef>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>

#include "host/serve/http.h"
#include "host/serve/limits.h"

namespace unroll::serve {

using ErrorCode = boost::system::error_code;
using Tcp = boost::asio::ip::tcp;

class Connection;

/// What the connections of a server share.
struct ServerState {
  Limits limits;
  HttpHandler handler;
  std::function<void()> on_change;  // see HttpServer
  boost::asio::io_context io{1};
  std::set<std::shared_ptr<Connection>> connections;
  /// Those that wait for a request or for the rest of it, the longest first: they are closed where
  /// there are no places for new ones.
  std::list<Connection*> incomplete;
  std::size_t bodies_bytes = 0;  // received of incomplete bodies, see limits
  bool draining = false;
};

/// The answer that a connection waits for.
class Reply final : public HttpReply, public std::enable_shared_from_this<Reply> {
 public:
  struct Parts {
    std::optional<HttpAnswer> answer;
    std::string stream;
    bool ended = false;
  };

  Reply(ServerState& server, std::weak_ptr<Connection> connection)
      : server_(server), connection_(std::move(connection)) {}

  void add_field(std::string name, std::string value) override;
  void answer(HttpAnswer answer) override;
  void stream(std::string_view part, bool last) override;
  bool full() const override { return given_ + unsent_ > server_.limits.output_bytes; }
  bool gone() const override { return gone_; }

  // For the connection.
  const HttpFields& fields() const { return fields_; }
  Parts take();
  void set_unsent(std::size_t bytes);  // of the stream
  void set_gone();

 private:
  void schedule();

  ServerState& server_;
  std::weak_ptr<Connection> connection_;
  HttpFields fields_;
  std::mutex mutex_;
  Parts parts_;         // that the mutex guards
  bool ended_ = false;  // and this: no more parts are taken
  std::atomic<std::size_t> given_ = 0, unsent_ = 0;
  std::atomic<bool> gone_ = false, scheduled_ = false;
};

class Connection final : public std::enable_shared_from_this<Connection> {
 public:
  Connection(ServerState& server, Tcp::socket socket);

  void start();
  /// At once. A reply that it waits for is gone.
  void close();
  /// After what is under way.
  void drain();
  /// The reply has something new.
  void deliver(Reply& reply);

 private:
  enum class Phase {
    kIdle,       // no byte of the next request
    kReading,    // some
    kAnswering,  // all, and the answer is not sent
    kLingering,  // sent: waits that the client ends, who might lose the answer otherwise
    kClosed,
  };

  void begin_request(std::chrono::seconds patience);
  void read();
  void received(const ErrorCode& error, std::size_t bytes);
  void client_ended();
  void parse();
  void continue_if_expected();
  std::string why_refused() const;
  bool has_room_for_body();
  void dispatch();
  HttpRequest take_request();
  void refuse_broken(const ErrorCode& error);
  void refuse(int status, const std::string& what);

  void queue(const HttpAnswer& answer, const HttpFields& fields);
  void queue_stream(const Reply::Parts& parts);
  void write();
  void written(const ErrorCode& error, std::size_t bytes);
  void end_answer();
  void linger();
  void send_now(std::string_view text);
  void probe();

  void set_deadline(std::chrono::milliseconds time);
  void deadline_passed();
  void set_waiting(bool waits);
  void set_body_bytes(std::size_t bytes);
  std::size_t unsent() const { return out_.size() + sending_.size() - sent_; }

  ServerState& server_;
  Tcp::socket socket_;
  boost::asio::steady_timer timer_;
  Phase phase_ = Phase::kIdle;
  std::optional<std::list<Connection*>::iterator> place_;  // in server_.incomplete

  std::array<char, 4096> chunk_;  // being read
  std::string in_;                // received, not yet parsed
  bool reading_ = false;          // into chunk_
  bool ended_ = false;            // the client sends no more
  std::optional<boost::beast::http::request_parser<boost::beast::http::string_body>> parser_;
  std::size_t body_bytes_ = 0;  // counted in server_.bodies_bytes
  std::size_t head_bytes_ = 0;  // parsed, as long as the header is not complete
  bool continued_ = false;      // the client has been told to send the body

  // What belongs to the request that is answered.
  std::shared_ptr<Reply> reply_;
  bool keep_alive_ = false, head_only_ = false;
  int minor_ = 1;
  bool begun_ = false;     // the head of the answer is written
  bool finished_ = false;  // all of it is in out_
  bool probed_ = false;
  std::string sending_, out_;  // being written, and next
  std::size_t sent_ = 0;       // of sending_
  bool writing_ = false;
};

}  // namespace unroll::serve
