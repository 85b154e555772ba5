/// The CUDA runtime made safe: a failed call throws, and every resource has an owner.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>

namespace unroll::gpu {

/// "CUDA device 0 (NVIDIA H200)". The name is asked for once, since a device that has failed does
/// not tell it any more.
std::string device_label(int ordinal);

/// Throws DeviceError: the current device, `what` was wrong, the call and its place, on one line.
/// Forgets the error.
[[noreturn]] void fail(const std::string& what, const char* call, const char* file, int line);

/// Fails with CUDA's own words.
void check(cudaError_t status, const char* call, const char* file, int line);

/// Takes back the thread's last error. CUDA keeps it until it is asked for, and CUB takes whatever
/// it finds for an error of its own call, so where a failed call is survived it must not stay.
void forget_error() noexcept;

/// For destructors, which must not throw: says the same on stderr and goes on. Only the first
/// failure of all is said, whether here or by fail(): after one, most calls fail.
void report(cudaError_t status, const char* call) noexcept;

struct StreamDeleter {
  void operator()(cudaStream_t stream) const noexcept;
};
/// Does not synchronise with the legacy default stream.
using Stream = std::unique_ptr<CUstream_st, StreamDeleter>;
Stream make_stream();

struct EventDeleter {
  void operator()(cudaEvent_t event) const noexcept;
};
/// Orders work between streams; it measures no time, which makes it cheaper.
using Event = std::unique_ptr<CUevent_st, EventDeleter>;
Event make_event();
/// One that measures.
Event make_timing_event();

/// From when the stream begins with what `work` queues on it until it has done all of it.
double seconds(cudaStream_t stream, const std::function<void()>& work);

struct DeviceMemoryDeleter {
  void operator()(void* memory) const noexcept;
};
using DeviceMemory = std::unique_ptr<void, DeviceMemoryDeleter>;
struct OutOfMemory : std::runtime_error {
  using std::runtime_error::runtime_error;
};
/// Null for 0 bytes. Throws OutOfMemory, which says how much was asked for, if there is no more.
DeviceMemory make_device_memory(std::size_t bytes);

struct PinnedMemoryDeleter {
  void operator()(void* memory) const noexcept;
};
/// Host memory that copies to and from the device can use without a detour.
using PinnedMemory = std::unique_ptr<void, PinnedMemoryDeleter>;
PinnedMemory make_pinned_memory(std::size_t bytes);

}  // namespace unroll::gpu

#define UNROLL_CUDA_CHECK(call) ::unroll::gpu::check((call), #call, __FILE__, __LINE__)
