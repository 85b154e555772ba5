/// Exchanges between GPUs by NCCL: its point-to-point calls only, because the order of sums is
/// ours. Source: NCCL 2.28, "Point To Point Communication Functions" and "Error handling and
/// communicator abort" in its user guide.
#include <cuda_runtime_api.h>
#include <nccl.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <exception>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>

#include "host/parallel/nccl_module.h"
#include "unroll/backend.h"
#include "unroll/version.h"

namespace unroll::gpu {
namespace {

constexpr std::chrono::seconds kLookInterval{1};

std::string text_of(ncclResult_t result, ncclComm_t comm = nullptr) {
  std::string text = std::string("NCCL: ") + ncclGetErrorString(result);
  // Its last error is a line of its log, or none.
  const char* const more = ncclGetLastError(comm);
  if (more && *more) text += std::string(": ") + std::string(more, std::strcspn(more, "\n"));
  return text;
}

void require(ncclResult_t result, ncclComm_t comm = nullptr) {
  if (result != ncclSuccess) throw std::runtime_error(text_of(result, comm));
}

class NcclExchange final : public DeviceExchange {
 public:
  explicit NcclExchange(const NcclRank& rank)
      : stream_(static_cast<cudaStream_t>(rank.device->stream())) {
    ncclUniqueId id;
    if (rank.id.size() != sizeof id) throw std::runtime_error("NCCL: the id of rank 0 is cut off");
    std::memcpy(&id, rank.id.data(), sizeof id);
    require(ncclCommInitRank(&comm_, rank.ranks, id, rank.rank));
    watcher_ = std::thread([this] { watch(); });
  }

  ~NcclExchange() override {
    {
      const std::lock_guard lock(mutex_);
      ended_ = true;
    }
    changed_.notify_all();
    watcher_.join();
    // Destroying waits for the other ranks, which may be gone.
    if (comm_ && (broken_ || std::uncaught_exceptions() > 0)) abort("");
    if (comm_) ncclCommDestroy(comm_);
  }

  std::string name() const override { return "NCCL"; }

  void exchange(std::span<const Outgoing> out, std::span<const Incoming> in) override {
    const std::lock_guard lock(mutex_);
    require_comm();
    require(ncclGroupStart());
    ncclResult_t result = ncclSuccess;
    for (const auto& [to, bytes] : out)
      if (result == ncclSuccess && !bytes.empty())
        result = ncclSend(bytes.data(), bytes.size(), ncclInt8, to, comm_, stream_);
    for (const auto& [from, bytes] : in)
      if (result == ncclSuccess && !bytes.empty())
        result = ncclRecv(bytes.data(), bytes.size(), ncclInt8, from, comm_, stream_);
    const ncclResult_t ended = ncclGroupEnd();
    require(result == ncclSuccess ? ended : result, comm_);
  }

  void require_sound() override {
    const std::lock_guard lock(mutex_);
    require_comm();
  }

  /// Only asks: a call of NCCL may hold the lock for as long as another rank lets it wait.
  void break_off() noexcept override {
    broken_ = true;
    changed_.notify_all();
  }

 private:
  void require_comm() const {
    if (!comm_) throw std::runtime_error(why_);
  }

  void abort(const std::string& why) {
    if (!comm_) return;
    why_ = why;  // before the device goes on
    ncclCommAbort(comm_);
    comm_ = nullptr;
  }

  /// A network that fails stops the device in its exchange, and only NCCL can say why.
  void watch() {
    std::unique_lock lock(mutex_);
    while (!ended_) {
      changed_.wait_for(lock, kLookInterval);
      if (broken_) abort("an exchange by NCCL was broken off");
      ncclResult_t state = ncclSuccess;
      if (!comm_ || ncclCommGetAsyncError(comm_, &state) != ncclSuccess) continue;
      if (state != ncclSuccess && state != ncclInProgress) abort(text_of(state, comm_));
    }
  }

  cudaStream_t stream_;
  std::mutex mutex_;  // of what follows
  std::condition_variable changed_;
  ncclComm_t comm_ = nullptr;
  std::string why_;
  bool ended_ = false;
  std::atomic<bool> broken_{false};
  std::thread watcher_;
};

std::string library_version() {
  int version = 0;
  require(ncclGetVersion(&version));
  return std::to_string(version / 10000) + "." + std::to_string(version / 100 % 100) + "." +
         std::to_string(version % 100);
}

std::string make_id() {
  ncclUniqueId id;
  require(ncclGetUniqueId(&id));
  return {id.internal, sizeof id.internal};
}

std::unique_ptr<DeviceExchange> join(const NcclRank& rank) {
  return std::make_unique<NcclExchange>(rank);
}

}  // namespace
}  // namespace unroll::gpu

const unroll::NcclModuleApi* unroll_nccl_module() {
  static const unroll::NcclModuleApi api{unroll::kVersion, unroll::gpu::library_version,
                                         unroll::gpu::make_id, unroll::gpu::join};
  return &api;
}
