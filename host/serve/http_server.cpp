#include "host/serve/http_server.h"

#include <fmt/format.h>

#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <stdexcept>
#include <utility>
#include <vector>

#include "host/base/utf8.h"
#include "host/serve/http_connection.h"
#include "host/serve/http_head.h"

namespace unroll::serve {
namespace {

namespace asio = boost::asio;

/// How often the server looks whether it is to stop.
constexpr std::chrono::milliseconds kLookTime{50};
/// Before a connection is accepted again where the system had no means for one.
constexpr std::chrono::milliseconds kScarceTime{50};

Tcp::endpoint endpoint_of(const HttpAddress& address) {
  ErrorCode error;
  const asio::ip::address ip =
      asio::ip::make_address(address.host == "localhost" ? "127.0.0.1" : address.host, error);
  if (error)
    throw std::runtime_error(fmt::format("address: got {}, expected an IP address or localhost",
                                         in_quotes(address.host)));
  return {ip, address.port};
}

std::string to_text(const Tcp::endpoint& endpoint) {
  const std::string host = endpoint.address().to_string();
  return endpoint.address().is_v6() ? fmt::format("[{}]:{}", host, endpoint.port())
                                    : fmt::format("{}:{}", host, endpoint.port());
}

}  // namespace

struct HttpServer::Parts : ServerState {
  Tcp::acceptor acceptor{io};
  asio::steady_timer look{io}, scarce{io};
  const std::atomic<bool>* stop = nullptr;
  std::chrono::steady_clock::time_point end;  // once it is draining

  void listen(const Tcp::endpoint& endpoint) {
    try {
      acceptor.open(endpoint.protocol());
      acceptor.set_option(Tcp::acceptor::reuse_address(true));
      acceptor.bind(endpoint);
      acceptor.listen();
    } catch (const boost::system::system_error& error) {
      throw std::runtime_error(
          fmt::format("{}: cannot be listened on: {}", to_text(endpoint), error.code().message()));
    }
  }

  void accept() {
    acceptor.async_accept([this](const ErrorCode& error, Tcp::socket socket) {
      if (!acceptor.is_open()) return;
      if (!error) {
        admit(std::move(socket));
        return accept();
      }
      // Too many open files, for instance: an old connection makes room, or others end.
      close_oldest_incomplete();
      scarce.expires_after(kScarceTime);
      scarce.async_wait([this](const ErrorCode& cancelled) {
        if (!cancelled) accept();
      });
    });
  }

  void admit(Tcp::socket socket) {
    if (connections.size() >= limits.connections && !close_oldest_incomplete())
      return refuse(std::move(socket));
    const auto connection = std::make_shared<Connection>(*this, std::move(socket));
    connections.insert(connection);
    connection->start();
  }

  bool close_oldest_incomplete() {
    if (incomplete.empty()) return false;
    incomplete.front()->close();
    return true;
  }

  void refuse(Tcp::socket socket) {
    const HttpAnswer answer = error_answer(
        503, fmt::format("got {} connections, expected at most as many", connections.size()));
    const HttpHead head{answer.status, 1, false, answer.type, answer.body.size()};
    ErrorCode ignored;
    socket.non_blocking(true, ignored);
    socket.write_some(asio::buffer(serve::to_text(head, {{"Retry-After", "1"}}) + answer.body),
                      ignored);
  }

  void look_for_stop() {
    look.expires_after(kLookTime);
    look.async_wait([this](const ErrorCode& error) {
      if (error) return;
      if (*stop && !draining) drain();
      if (draining && (connections.empty() || std::chrono::steady_clock::now() >= end))
        return close_all();
      look_for_stop();
    });
  }

  void drain() {
    draining = true;
    end = std::chrono::steady_clock::now() + limits.drain_time;
    ErrorCode ignored;
    acceptor.close(ignored);
    scarce.cancel();
    for (const auto& connection : std::vector(connections.begin(), connections.end()))
      connection->drain();
  }

  void close_all() {
    for (const auto& connection : std::vector(connections.begin(), connections.end()))
      connection->close();
    io.stop();
  }
};

HttpServer::HttpServer(const HttpAddress& address, const Limits& limits, HttpHandler handler,
                       std::function<void()> on_change)
    : parts_(std::make_unique<Parts>()) {
  parts_->limits = limits;
  parts_->handler = std::move(handler);
  parts_->on_change = std::move(on_change);
  parts_->listen(endpoint_of(address));
}

HttpServer::~HttpServer() = default;

std::string HttpServer::address() const {
  return to_text(parts_->acceptor.local_endpoint());
}

bool HttpServer::is_loopback() const {
  return parts_->acceptor.local_endpoint().address().is_loopback();
}

void HttpServer::run(const std::atomic<bool>& stop) {
  parts_->stop = &stop;
  parts_->accept();
  parts_->look_for_stop();
  parts_->io.run();
}

}  // namespace unroll::serve
