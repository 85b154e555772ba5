#include "host/parallel/sockets.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <thread>

namespace unroll {
namespace {

using std::chrono::milliseconds;

/// Milliseconds until the deadline, for poll().
int left(SteadyTime deadline) {
  const auto time =
      std::chrono::ceil<milliseconds>(deadline - std::chrono::steady_clock::now()).count();
  return int(std::clamp<std::int64_t>(time, 0, 1 << 30));
}

using Found = std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)>;

Found look_up(const SocketAddress& address) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int error =
      ::getaddrinfo(address.host.c_str(), std::to_string(address.port).c_str(), &hints, &found);
  if (error != 0)
    throw std::runtime_error(address.host + ": is no address: " + ::gai_strerror(error));
  return {found, &::freeaddrinfo};
}

bool is_loopback(const sockaddr& address) {
  if (address.sa_family == AF_INET6)
    return IN6_IS_ADDR_LOOPBACK(&reinterpret_cast<const sockaddr_in6&>(address).sin6_addr);
  const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
  return (ntohl(v4.sin_addr.s_addr) >> 24) == 127;
}

void make_any(sockaddr& address) {
  if (address.sa_family == AF_INET6)
    reinterpret_cast<sockaddr_in6&>(address).sin6_addr = in6addr_any;
  else
    reinterpret_cast<sockaddr_in&>(address).sin_addr.s_addr = INADDR_ANY;
}

int open_socket(const addrinfo& address) {
  return ::socket(address.ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

void set(int socket, int level, int option) {
  const int on = 1;
  ::setsockopt(socket, level, option, &on, sizeof on);
}

std::string host_of(const sockaddr_storage& address, socklen_t size) {
  std::array<char, NI_MAXHOST> host{};
  ::getnameinfo(reinterpret_cast<const sockaddr*>(&address), size, host.data(), host.size(),
                nullptr, 0, NI_NUMERICHOST);
  return host.data();
}

/// Waits for `events`; false at the deadline.
bool wait_for(int socket, short events, SteadyTime deadline) {
  pollfd poll{socket, events, 0};
  for (;;) {
    const int ready = ::poll(&poll, 1, left(deadline));
    if (ready > 0) return true;
    if (ready == 0 || errno != EINTR) return false;
  }
}

/// 0, or the error that kept the address from being reached.
int try_connect(const addrinfo& address, SteadyTime deadline, std::optional<Descriptor>& made) {
  Descriptor socket(::socket(address.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0),
                    "socket", "cannot be made");
  if (::connect(socket.get(), address.ai_addr, address.ai_addrlen) != 0) {
    if (errno != EINPROGRESS) return errno;
    if (!wait_for(socket.get(), POLLOUT, deadline)) return ETIMEDOUT;
    int error = 0;
    socklen_t size = sizeof error;
    ::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) return error;
  }
  set(socket.get(), IPPROTO_TCP, TCP_NODELAY);
  made.emplace(std::move(socket));
  return 0;
}

}  // namespace

std::string to_string(const SocketAddress& address) {
  return (address.host.find(':') == address.host.npos ? address.host : "[" + address.host + "]") +
         ":" + std::to_string(address.port);
}

Descriptor listen_at(const SocketAddress& address) {
  const Found found = look_up(address);
  Descriptor socket(open_socket(*found), "socket", "cannot be made");
  if (!is_loopback(*found->ai_addr)) make_any(*found->ai_addr);
  set(socket.get(), SOL_SOCKET, SO_REUSEADDR);
  constexpr int kWaiting = 1024;
  if (::bind(socket.get(), found->ai_addr, found->ai_addrlen) != 0 ||
      ::listen(socket.get(), kWaiting) != 0)
    fail_call(to_string(address), "cannot be listened at");
  return socket;
}

int port_of(int listener) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  ::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size);
  const auto port = address.ss_family == AF_INET6
                        ? reinterpret_cast<const sockaddr_in6&>(address).sin6_port
                        : reinterpret_cast<const sockaddr_in&>(address).sin_port;
  return ntohs(port);
}

std::string peer_host(int connection) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  ::getpeername(connection, reinterpret_cast<sockaddr*>(&address), &size);
  return host_of(address, size);
}

std::string own_host(int connection) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  ::getsockname(connection, reinterpret_cast<sockaddr*>(&address), &size);
  return host_of(address, size);
}

Descriptor connect_to(const SocketAddress& address, SteadyTime deadline) {
  constexpr milliseconds kPause{50};
  for (;;) {
    int error = 0;
    const Found found = look_up(address);
    for (const addrinfo* one = found.get(); one; one = one->ai_next) {
      std::optional<Descriptor> made;
      error = try_connect(*one, deadline, made);
      if (error == 0) return std::move(*made);
    }
    if (left(deadline) == 0)
      throw std::runtime_error(to_string(address) + ": cannot be reached: " + std::strerror(error));
    std::this_thread::sleep_for(kPause);
  }
}

std::optional<Descriptor> accept_from(int listener, SteadyTime deadline) {
  if (!wait_for(listener, POLLIN, deadline)) return std::nullopt;
  const int connection = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (connection < 0) return std::nullopt;  // it has gone again
  set(connection, IPPROTO_TCP, TCP_NODELAY);
  return Descriptor(connection, "connection", "cannot be accepted");
}

bool send_all(int connection, std::span<const std::byte> bytes, SteadyTime deadline) {
  while (!bytes.empty()) {
    const ssize_t sent =
        ::send(connection, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent > 0)
      bytes = bytes.subspan(std::size_t(sent));
    else if (errno != EINTR && (errno != EAGAIN || !wait_for(connection, POLLOUT, deadline)))
      return false;
  }
  return true;
}

bool receive_all(int connection, std::span<std::byte> bytes, SteadyTime deadline) {
  while (!bytes.empty()) {
    const ssize_t got = ::recv(connection, bytes.data(), bytes.size(), MSG_DONTWAIT);
    if (got > 0)
      bytes = bytes.subspan(std::size_t(got));
    else if (got == 0 ||
             (errno != EINTR && (errno != EAGAIN || !wait_for(connection, POLLIN, deadline))))
      return false;
  }
  return true;
}

}  // namespace unroll
