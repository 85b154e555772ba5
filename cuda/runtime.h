/// The CUDA runtime made safe: a failed call throws, and every resource has an owner.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <memory>
#include <stdexcept>

namespace unroll::gpu {

/// Throws std::runtime_error with the place, the call and CUDA's own words for the failure.
void check(cudaError_t status, const char* call, const char* file, int line);

/// For destructors, which must not throw: says the same on stderr and goes on.
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
