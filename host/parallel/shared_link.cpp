#include "host/parallel/shared_link.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <new>
#include <optional>
#include <random>
#include <string>
#include <utility>

namespace unroll {
namespace {

/// Bytes of a ring: what both ends touch should stay in a processor's second cache.
constexpr std::size_t kRing = std::size_t{1} << 19;
/// The other end may go on after so many, while this one copies more.
constexpr std::size_t kPiece = std::size_t{1} << 16;
constexpr std::size_t kLine = 64;  // bytes of a cache line

std::string name_of(std::uint64_t token) {
  return fmt::format("unroll-{:016x}", token);
}

}  // namespace

struct SharedLink::Ring {
  // How many bytes in all. Only the writing end changes the first, only the reading end the second.
  alignas(kLine) std::atomic<std::uint64_t> written{0};
  alignas(kLine) std::atomic<std::uint64_t> read{0};
  // Whether that end asks to be rung.
  alignas(kLine) std::atomic<std::uint32_t> writer_waits{0};
  alignas(kLine) std::atomic<std::uint32_t> reader_waits{0};
  alignas(kLine) std::byte bytes[kRing];
};

struct SharedLink::Memory {
  Ring rings[2];  // from end 0, from end 1
};

static_assert(std::atomic<std::uint64_t>::is_always_lock_free &&
              std::atomic<std::uint32_t>::is_always_lock_free);

SharedLink::Made::Made(Descriptor file, std::uint64_t token, std::unique_ptr<SharedLink> link)
    : file_(std::move(file)), offer_{::getpid(), file_.get(), token}, link_(std::move(link)) {}

std::unique_ptr<SharedLink::Made> SharedLink::Made::make() {
  std::random_device random;
  const std::uint64_t token = std::uint64_t(random()) << 32 | random();
  const int fd = ::memfd_create(name_of(token).c_str(), MFD_CLOEXEC);
  if (fd < 0) return nullptr;
  Descriptor file(fd, "shared memory", "cannot be made");
  if (::ftruncate(fd, sizeof(Memory)) != 0) return nullptr;
  void* const memory = ::mmap(nullptr, sizeof(Memory), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) return nullptr;
  std::unique_ptr<SharedLink> link(new SharedLink(new (memory) Memory, 0));
  return std::unique_ptr<Made>(new Made(std::move(file), token, std::move(link)));
}

std::unique_ptr<SharedLink> SharedLink::find(const SharedOffer& offer) {
  if (offer.descriptor < 0) return nullptr;
  const std::string path = fmt::format("/proc/{}/fd/{}", offer.process, offer.descriptor);
  std::array<char, 64> target{};  // "/memfd:NAME (deleted)"
  const ssize_t size = ::readlink(path.c_str(), target.data(), target.size() - 1);
  if (size <= 0 || std::string(target.data()).find(name_of(offer.token)) == std::string::npos)
    return nullptr;
  const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0) return nullptr;
  const Descriptor file(fd, "shared memory", "cannot be opened");
  void* const memory = ::mmap(nullptr, sizeof(Memory), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) return nullptr;
  return std::unique_ptr<SharedLink>(new SharedLink(static_cast<Memory*>(memory), 1));
}

SharedLink::~SharedLink() {
  ::munmap(memory_, sizeof(Memory));
}

SharedLink::Ring& SharedLink::outgoing() {
  return memory_->rings[end_];
}
SharedLink::Ring& SharedLink::incoming() {
  return memory_->rings[1 - end_];
}

std::size_t SharedLink::write(std::span<const std::byte> bytes) {
  Ring& ring = outgoing();
  std::uint64_t written = ring.written.load(std::memory_order_relaxed);
  const std::size_t all = bytes.size();
  while (!bytes.empty()) {
    const std::size_t at = written % kRing;
    const std::size_t room = kRing - std::size_t(written - ring.read.load());
    const std::size_t size = std::min({bytes.size(), room, kRing - at, kPiece});
    if (size == 0) break;
    std::memcpy(ring.bytes + at, bytes.data(), size);
    written += size;
    ring.written.store(written);
    bytes = bytes.subspan(size);
  }
  return all - bytes.size();
}

std::size_t SharedLink::read(std::span<std::byte> bytes) {
  Ring& ring = incoming();
  std::uint64_t read = ring.read.load(std::memory_order_relaxed);
  const std::size_t all = bytes.size();
  while (!bytes.empty()) {
    const std::size_t at = read % kRing;
    const std::size_t there = std::size_t(ring.written.load() - read);
    const std::size_t size = std::min({bytes.size(), there, kRing - at, kPiece});
    if (size == 0) break;
    std::memcpy(bytes.data(), ring.bytes + at, size);
    read += size;
    ring.read.store(read);
    bytes = bytes.subspan(size);
  }
  return all - bytes.size();
}

// All of these are sequentially consistent: either this end sees the bytes when it tries again, or
// the other end sees that it waits.
void SharedLink::ask_for_ring(bool to_write, bool to_read) {
  if (to_write) outgoing().writer_waits.store(1);
  if (to_read) incoming().reader_waits.store(1);
}

bool SharedLink::peer_waits() {
  const bool reads =
      outgoing().reader_waits.load() != 0 && outgoing().reader_waits.exchange(0) != 0;
  const bool writes =
      incoming().writer_waits.load() != 0 && incoming().writer_waits.exchange(0) != 0;
  return reads || writes;
}

}  // namespace unroll
