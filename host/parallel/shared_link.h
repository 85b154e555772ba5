/// Bytes between two processes of one machine through memory that they share: two ring buffers, one
/// for each direction, of which one end writes and the other reads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "host/base/file.h"

namespace unroll {

/// What one process tells the other over a connection, so that it finds the memory.
struct SharedOffer {
  std::int64_t process = 0, descriptor = -1;  // -1: there is none
  std::uint64_t token = 0;                    // part of the memory's name
};

/// One end. Neither end waits here: an end that has nothing to do says so with wait_for_peer(), and
/// the other then rings it, by means of its own, after it has moved bytes.
class SharedLink {
 public:
  /// Makes the memory. It is found until the offer ends.
  class Made;

  /// The other end of what was offered; null if it is not found from here, on another machine or in
  /// another namespace of processes for example.
  static std::unique_ptr<SharedLink> find(const SharedOffer& offer);

  ~SharedLink();
  SharedLink(const SharedLink&) = delete;
  SharedLink& operator=(const SharedLink&) = delete;

  /// As many bytes as there is room for, or as have come: perhaps none.
  std::size_t write(std::span<const std::byte> bytes);
  std::size_t read(std::span<std::byte> bytes);

  /// Before a wait: asks to be rung. Afterwards write() and read() have to be tried once more.
  void ask_for_ring(bool to_write, bool to_read);
  /// After bytes were moved: whether the other end asked to be rung. It is said once.
  bool peer_waits();

 private:
  struct Ring;
  struct Memory;
  SharedLink(Memory* memory, int end) : memory_(memory), end_(end) {}
  Ring& outgoing();
  Ring& incoming();

  Memory* memory_;
  int end_;
};

class SharedLink::Made {
 public:
  /// Null where the system has no such memory.
  static std::unique_ptr<Made> make();
  const SharedOffer& offer() const { return offer_; }
  /// Ends the offer.
  std::unique_ptr<SharedLink> take() { return std::move(link_); }

 private:
  Made(Descriptor file, std::uint64_t token, std::unique_ptr<SharedLink> link);

  Descriptor file_;
  SharedOffer offer_;
  std::unique_ptr<SharedLink> link_;
};

}  // namespace unroll
