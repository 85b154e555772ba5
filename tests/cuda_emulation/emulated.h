/// What tests of the emulation share: thread orders, device memory, launches.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdlib>
#include <numeric>
#include <string>
#include <vector>

#include "tests/cuda_emulation/include/cuda_runtime.h"

namespace unroll::test {

/// Sets an environment variable while it lives.
class Environment {
 public:
  Environment(const char* name, const std::string& value) : name_(name) {
    setenv(name, value.c_str(), 1);
  }
  ~Environment() { unsetenv(name_); }

 private:
  const char* name_;
};

template <typename T>
class Array {
 public:
  explicit Array(const std::vector<T>& values) : Array(values.size()) {
    EXPECT_EQ(cudaMemcpy(data_, values.data(), count_ * sizeof(T), cudaMemcpyHostToDevice),
              cudaSuccess);
  }
  explicit Array(std::size_t count) : count_(count) {
    void* memory = nullptr;
    EXPECT_EQ(cudaMalloc(&memory, count * sizeof(T)), cudaSuccess);
    data_ = static_cast<T*>(memory);
  }
  ~Array() { cudaFree(data_); }
  Array(const Array&) = delete;
  T* get() const { return data_; }
  /// Waits for all streams first.
  std::vector<T> values() const {
    cudaDeviceSynchronize();
    std::vector<T> host(count_);
    cudaMemcpy(host.data(), data_, count_ * sizeof(T), cudaMemcpyDeviceToHost);
    return host;
  }

 private:
  std::size_t count_;
  T* data_ = nullptr;
};

template <typename... Parameters, typename... Arguments>
cudaError_t start_with_shared(cudaStream_t stream, dim3 grid, dim3 block, std::size_t shared_bytes,
                              bool cooperative, void (*kernel)(Parameters...),
                              const Arguments&... arguments) {
  cudaLaunchAttribute attribute{};
  attribute.id = cudaLaunchAttributeCooperative;
  attribute.val.cooperative = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = shared_bytes;
  config.stream = stream;
  config.attrs = &attribute;
  config.numAttrs = cooperative ? 1 : 0;
  return cudaLaunchKernelEx(&config, kernel, Parameters(arguments)...);
}
template <typename... Parameters, typename... Arguments>
cudaError_t start(cudaStream_t stream, dim3 grid, dim3 block, void (*kernel)(Parameters...),
                  const Arguments&... arguments) {
  return start_with_shared(stream, grid, block, 0, false, kernel, arguments...);
}

inline std::vector<int> counting(int count, int first = 0) {
  std::vector<int> values(static_cast<std::size_t>(count));
  std::iota(values.begin(), values.end(), first);
  return values;
}

class InEveryOrder : public ::testing::TestWithParam<const char*> {
  Environment order_{"UNROLL_EMULATED_ORDER", GetParam()};
};
inline const auto kOrders = ::testing::Values("forward", "reverse", "random:1", "random:2");

}  // namespace unroll::test
