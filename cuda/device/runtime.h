/// A safe CUDA runtime: a failed call throws, and every resource has an owner.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>

namespace unroll::gpu {

/// "CUDA device 0 (NVIDIA H200)". The name is read only once, because a device that has failed no
/// longer reports it.
std::string device_label(int ordinal);

/// Throws DeviceError with the current device, `what`, the call and its place, on one line. Clears
/// the error.
[[noreturn]] void fail(const std::string& what, const char* call, const char* file, int line);

/// Calls fail() with CUDA's description of the status.
void check(cudaError_t status, const char* call, const char* file, int line);

/// Clears the thread's last error. CUDA keeps it until it is read, and CUB takes any error that it
/// finds for one of its own call. So clear it wherever a failed call is tolerated.
void forget_error() noexcept;

/// Gets lines that a user should read although nothing has failed.
using Note = std::function<void(const std::string&)>;

/// tell() calls this note from now on, as long as another copy of the pointer exists.
void set_note(const std::shared_ptr<const Note>& note);
/// For destructors, which know no device.
void tell(const char* what, const char* why) noexcept;

/// For destructors, which must not throw: passes fail()'s message to tell(). Only the first failure
/// of the process is reported, here or by fail(), because most calls fail after one.
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
/// Orders work between streams. It measures no time, which makes it cheaper.
using Event = std::unique_ptr<CUevent_st, EventDeleter>;
Event make_event();
/// An event that measures time.
Event make_timing_event();

/// The time from the start of `work` on the stream to its end.
double seconds(cudaStream_t stream, const std::function<void()>& work);

struct DeviceMemoryDeleter {
  void operator()(void* memory) const noexcept;
};
using DeviceMemory = std::unique_ptr<void, DeviceMemoryDeleter>;
struct OutOfMemory : std::runtime_error {
  using std::runtime_error::runtime_error;
};
/// Null for 0 bytes. Throws OutOfMemory, with the requested size, if it does not fit.
DeviceMemory make_device_memory(std::size_t bytes);

struct PinnedMemoryDeleter {
  void operator()(void* memory) const noexcept;
};
/// Pinned host memory: the device copies to and from it directly.
using PinnedMemory = std::unique_ptr<void, PinnedMemoryDeleter>;
PinnedMemory make_pinned_memory(std::size_t bytes);

}  // namespace unroll::gpu

#define UNROLL_CUDA_CHECK(call) ::unroll::gpu::check((call), #call, __FILE__, __LINE__)
