/// TCP sockets with time limits.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "host/base/file.h"

namespace unroll {

using SteadyTime = std::chrono::steady_clock::time_point;

struct SocketAddress {
  std::string host;  // a name, or an address in figures
  int port = 0;
};
std::string to_string(const SocketAddress& address);

/// Listens on this machine. `address` says which of its addresses: a loopback address is taken
/// itself, for any other name all addresses of that kind are. Port 0: one that is free.
/// Errors    std::runtime_error naming the address.
Descriptor listen_at(const SocketAddress& address);
int port_of(int listener);

/// The other side's address in figures, and this side's.
std::string peer_host(int connection);
std::string own_host(int connection);

/// Tries again until the deadline while nothing listens there.
/// Errors    std::runtime_error naming the address.
Descriptor connect_to(const SocketAddress& address, SteadyTime deadline);

/// The next connection; nothing if none came until the deadline.
std::optional<Descriptor> accept_from(int listener, SteadyTime deadline);

/// Whether all bytes went or came until the deadline.
bool send_all(int connection, std::span<const std::byte> bytes, SteadyTime deadline);
bool receive_all(int connection, std::span<std::byte> bytes, SteadyTime deadline);

}  // namespace unroll
