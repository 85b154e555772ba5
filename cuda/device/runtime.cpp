#include "cuda/device/runtime.h"

#include <atomic>
#include <map>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>

#include "unroll/device.h"

namespace unroll::gpu {
namespace {

std::atomic<bool> failed{false};

/// The note of the device that was made last, while that device lives.
struct LastNote {
  std::mutex mutex;
  std::weak_ptr<const Note> note;
};
LastNote& last_note() {
  static LastNote last;
  return last;
}

/// Does not throw, and asks the device only once.
std::string current_device() {
  int ordinal = 0;
  if (cudaGetDevice(&ordinal) == cudaSuccess) return device_label(ordinal);
  forget_error();
  return "CUDA";
}

std::string megabytes(std::size_t bytes) {
  return std::to_string(bytes / 1000000) + " MB";
}

}  // namespace

std::string device_label(int ordinal) {
  static std::mutex mutex;
  static std::map<int, std::string> names;
  const std::lock_guard lock(mutex);
  const auto [name, is_new] = names.try_emplace(ordinal);
  if (is_new) {
    cudaDeviceProp properties;
    if (cudaGetDeviceProperties(&properties, ordinal) == cudaSuccess)
      name->second = std::string(" (") + properties.name + ")";
    else
      forget_error();
  }
  return "CUDA device " + std::to_string(ordinal) + name->second;
}

void fail(const std::string& what, const char* call, const char* file, int line) {
  failed = true;
  forget_error();
  std::string_view place = file;
  place.remove_prefix(place.rfind('/') + 1);  // npos + 1 is 0
  throw DeviceError(current_device() + ": " + what + " (in " + call + ", " + std::string(place) +
                    ":" + std::to_string(line) + ")");
}

void forget_error() noexcept {
  static_cast<void>(cudaGetLastError());
}

void check(cudaError_t status, const char* call, const char* file, int line) {
  if (status != cudaSuccess) fail(cudaGetErrorString(status), call, file, line);
}

void set_note(const std::shared_ptr<const Note>& note) {
  LastNote& last = last_note();
  const std::lock_guard lock(last.mutex);
  last.note = note;
}

void tell(const char* what, const char* why) noexcept {
  std::shared_ptr<const Note> note;
  {
    LastNote& last = last_note();
    const std::lock_guard lock(last.mutex);
    note = last.note.lock();
  }
  try {
    if (note && *note) (*note)(std::string(what) + ": " + why);
  } catch (...) {  // no caller can receive the error
  }
}

void report(cudaError_t status, const char* call) noexcept {
  if (status == cudaSuccess) return;
  forget_error();
  if (failed.exchange(true)) return;
  tell(call, cudaGetErrorString(status));
}

void StreamDeleter::operator()(cudaStream_t stream) const noexcept {
  report(cudaStreamDestroy(stream), "cudaStreamDestroy");
}

Stream make_stream() {
  cudaStream_t stream = nullptr;
  UNROLL_CUDA_CHECK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  return Stream(stream);
}

void EventDeleter::operator()(cudaEvent_t event) const noexcept {
  report(cudaEventDestroy(event), "cudaEventDestroy");
}

Event make_event() {
  cudaEvent_t event = nullptr;
  UNROLL_CUDA_CHECK(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
  return Event(event);
}

Event make_timing_event() {
  cudaEvent_t event = nullptr;
  UNROLL_CUDA_CHECK(cudaEventCreate(&event));
  return Event(event);
}

double seconds(cudaStream_t stream, const std::function<void()>& work) {
  const Event start = make_timing_event(), stop = make_timing_event();
  UNROLL_CUDA_CHECK(cudaEventRecord(start.get(), stream));
  work();
  UNROLL_CUDA_CHECK(cudaEventRecord(stop.get(), stream));
  UNROLL_CUDA_CHECK(cudaEventSynchronize(stop.get()));
  float milliseconds = 0;
  UNROLL_CUDA_CHECK(cudaEventElapsedTime(&milliseconds, start.get(), stop.get()));
  return double(milliseconds) / 1000;
}

void DeviceMemoryDeleter::operator()(void* memory) const noexcept {
  report(cudaFree(memory), "cudaFree");
}

DeviceMemory make_device_memory(std::size_t bytes) {
  if (bytes == 0) return {};
  void* memory = nullptr;
  const cudaError_t status = cudaMalloc(&memory, bytes);
  if (status == cudaErrorMemoryAllocation) {
    forget_error();  // the caller may try a smaller size
    std::size_t free = 0, total = 0;
    UNROLL_CUDA_CHECK(cudaMemGetInfo(&free, &total));
    throw OutOfMemory(current_device() + ": out of memory: asked for " + megabytes(bytes) + ", " +
                      megabytes(free) + " of " + megabytes(total) + " are free");
  }
  UNROLL_CUDA_CHECK(status);
  return DeviceMemory(memory);
}

void PinnedMemoryDeleter::operator()(void* memory) const noexcept {
  report(cudaFreeHost(memory), "cudaFreeHost");
}

PinnedMemory make_pinned_memory(std::size_t bytes) {
  if (bytes == 0) return {};
  void* memory = nullptr;
  UNROLL_CUDA_CHECK(cudaMallocHost(&memory, bytes));
  return PinnedMemory(memory);
}

}  // namespace unroll::gpu
