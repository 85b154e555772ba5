#include "host/parallel/device_exchange.h"

#include <fmt/format.h>

#include <cstddef>
#include <exception>
#include <utility>
#include <vector>

#include "host/base/module.h"
#include "host/parallel/nccl_module.h"
#include "unroll/backend.h"

namespace unroll {
namespace {

class ThroughHost final : public DeviceExchange {
 public:
  ThroughHost(Communicator& communicator, Backend& device)
      : communicator_(communicator), device_(device) {}

  std::string name() const override { return "the host's memory"; }

  void exchange(std::span<const Outgoing> out, std::span<const Incoming> in) override {
    if (device_.kind() == DeviceKind::kCpu) return communicator_.exchange(out, in);
    sent_.resize(bytes_of(out));
    received_.resize(bytes_of(in));
    std::vector<Outgoing> host_out;
    std::vector<Incoming> host_in;
    std::span<std::byte> room = sent_;
    for (const auto& [to, bytes] : out) {
      device_.download(room.data(), bytes.data(), bytes.size());
      host_out.push_back({to, room.first(bytes.size())});
      room = room.subspan(bytes.size());
    }
    room = received_;
    for (const auto& [from, bytes] : in) {
      host_in.push_back({from, room.first(bytes.size())});
      room = room.subspan(bytes.size());
    }
    communicator_.exchange(host_out, host_in);
    for (std::size_t k = 0; k < in.size(); ++k)
      device_.upload(in[k].bytes.data(), host_in[k].bytes.data(), in[k].bytes.size());
  }

 private:
  template <typename Messages>
  static std::size_t bytes_of(const Messages& messages) {
    std::size_t bytes = 0;
    for (const auto& message : messages) bytes += message.bytes.size();
    return bytes;
  }

  Communicator& communicator_;
  Backend& device_;
  std::vector<std::byte> sent_, received_;
};

const Module<NcclModuleApi>& nccl_module() {
  static const Module<NcclModuleApi> module({.what = "NCCL",
                                             .file = "libunroll_nccl.so",
                                             .entry = "unroll_nccl_module",
                                             .install = "install NCCL"});
  return module;
}

/// Collective: what the first rank that has something to say says, with its number.
std::string first_said(Communicator& communicator, const std::string& here) {
  const std::vector<std::string> all = communicator.gather(here);
  std::string said;
  for (std::size_t rank = 0; rank < all.size() && said.empty(); ++rank)
    if (!all[rank].empty()) said = fmt::format("rank {}: {}", rank, all[rank]);
  return communicator.broadcast(said);
}

}  // namespace

std::unique_ptr<DeviceExchange> exchange_through_host(Communicator& communicator, Backend& device) {
  return std::make_unique<ThroughHost>(communicator, device);
}

std::shared_ptr<DeviceExchange> best_exchange(Communicator& communicator, Backend& device,
                                              std::string* why) {
  why->clear();
  std::shared_ptr<DeviceExchange> through_host = exchange_through_host(communicator, device);
  if (device.kind() == DeviceKind::kCpu) return through_host;  // on all ranks: see require_alike()
  // Who cannot take part says so before the others wait for it in NCCL.
  const NcclModuleApi* const nccl = nccl_module().api;
  *why = first_said(communicator, nccl_module().why_not);
  if (!why->empty()) return through_host;
  std::string id, failure;
  try {
    if (communicator.leads()) id = nccl->make_id();
  } catch (const std::exception& error) {
    failure = error.what();
  }
  id = communicator.broadcast(id);
  *why = first_said(communicator, failure);
  if (!why->empty()) return through_host;
  std::shared_ptr<DeviceExchange> exchange;
  try {
    exchange = nccl->join(
        {.id = id, .rank = communicator.rank(), .ranks = communicator.size(), .device = &device});
  } catch (const std::exception& error) {
    failure = error.what();
  }
  *why = first_said(communicator, failure);
  if (!why->empty()) {
    if (exchange) exchange->break_off();  // not all are there to end it together
    return through_host;
  }
  communicator.on_failure([weak = std::weak_ptr(exchange)] {
    if (const auto waiting = weak.lock()) waiting->break_off();
  });
  return exchange;
}

std::string nccl_version(std::string* why_not) {
  const Module<NcclModuleApi>& module = nccl_module();
  if (why_not) *why_not = module.why_not;
  return module.api ? module.api->library_version() : "";
}

}  // namespace unroll
