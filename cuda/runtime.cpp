#include "cuda/runtime.h"

#include <cstdio>
#include <stdexcept>
#include <string>

namespace unroll::gpu {

void check(cudaError_t status, const char* call, const char* file, int line) {
  if (status == cudaSuccess) return;
  throw std::runtime_error(std::string(file) + ":" + std::to_string(line) + ": " + call + ": " +
                           cudaGetErrorString(status));
}

void report(cudaError_t status, const char* call) noexcept {
  if (status == cudaSuccess) return;
  std::fprintf(stderr, "unroll: %s: %s\n", call, cudaGetErrorString(status));
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

void DeviceMemoryDeleter::operator()(void* memory) const noexcept {
  report(cudaFree(memory), "cudaFree");
}

DeviceMemory make_device_memory(std::size_t bytes) {
  if (bytes == 0) return {};
  void* memory = nullptr;
  const cudaError_t status = cudaMalloc(&memory, bytes);
  if (status == cudaErrorMemoryAllocation) {
    // Clears the error, which is not sticky: the caller may ask for less.
    static_cast<void>(cudaGetLastError());
    throw OutOfMemory("CUDA device memory: " + std::to_string(bytes) +
                      " bytes asked for, not available");
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
