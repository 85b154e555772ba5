/// Moves what lies in the memory of devices between ranks: through the host, or by NCCL.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "host/parallel/communicator.h"
#include "unroll/device.h"

namespace unroll {

class DeviceExchange {
 public:
  DeviceExchange() = default;
  virtual ~DeviceExchange() = default;
  DeviceExchange(const DeviceExchange&) = delete;
  DeviceExchange& operator=(const DeviceExchange&) = delete;

  virtual std::string name() const = 0;

  /// Collective, as Communicator::exchange(), but the bytes are the device's, aligned to 4. It is
  /// queued: it sends what the work queued before has made, and work queued after it finds what has
  /// come. May wait.
  /// Errors    RankFailure; std::runtime_error if a library fails.
  virtual void exchange(std::span<const Outgoing> out, std::span<const Incoming> in) = 0;

  /// To be called once the device has come to the end of its work, and before results leave it.
  /// Errors    std::runtime_error if an exchange was broken off.
  virtual void require_sound() {}

  /// Ends exchanges that the device waits in. From any thread.
  virtual void break_off() noexcept {}
};

/// Through the host's memory and the communicator, both of which must outlive it.
std::unique_ptr<DeviceExchange> exchange_through_host(Communicator& communicator, Backend& device);

/// Collective: by NCCL if every rank has a CUDA device, the NCCL module and its library, else
/// through the host's memory; `why` then says which rank lacks what, if it has such a device. Takes
/// the device of this rank. Both must outlive it.
/// Errors    RankFailure.
std::shared_ptr<DeviceExchange> best_exchange(Communicator& communicator, Backend& device,
                                              std::string* why);

/// The version of the NCCL library that the module finds; or empty, and `why_not` says why.
std::string nccl_version(std::string* why_not);

}  // namespace unroll
