/// Tests that must hold on every device: a fixture with a backend, and device memory with guard
/// words around each buffer for calling kernels directly.
///
/// A missing device is skipped by name, so a run without a GPU says so and does not pass silently.
/// With UNROLL_REQUIRE_CUDA=1 in the environment a missing device is a failure, and with
/// UNROLL_REQUIRE_CUDNN=1 a missing cuDNN is.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "tests/cuda_emulation/calls.h"
#include "tests/support/random.h"
#include "unroll/backend.h"

namespace unroll::test {

/// Device buffers, each between two stretches of a known bit pattern. Outputs start as NaN, so that
/// an unwritten element cannot pass, and inputs are checked to be unchanged.
class GuardedMemory {
 public:
  explicit GuardedMemory(Backend& backend) : backend_(backend) {}

  /// Makes the next float32 buffers start this many elements after an aligned address.
  void shift_by(int elements) { shift_ = std::size_t(elements) * sizeof(float); }

  /// A buffer that the kernel reads and never writes.
  template <typename T>
  View in(const std::vector<T>& values, const Shape& shape) {
    return add(values.data(), values.size() * sizeof(T), shape, dtype_of<T>(), true);
  }
  View in(const Reals& values) { return in(floats(values), shape_of(values.dims)); }
  View in(const std::vector<bool>& values, const Shape& shape) {
    const std::vector<std::uint8_t> bytes(values.begin(), values.end());
    return add(bytes.data(), bytes.size(), shape, DType::kBool, true);
  }
  template <typename T>
  View inout(const std::vector<T>& values, const Shape& shape) {
    return add(values.data(), values.size() * sizeof(T), shape, dtype_of<T>(), false);
  }
  View inout(const Reals& values) { return inout(floats(values), shape_of(values.dims)); }
  View out(const Shape& shape, DType dtype = DType::kFloat32) {
    const std::size_t bytes = std::size_t(shape.elements()) * size_of(dtype);
    const std::vector<std::uint32_t> unset((bytes + 3) / 4, kUnset);
    return add(unset.data(), bytes, shape, dtype, false);
  }
  /// Bytes that only the backend uses; an empty view if `bytes` is 0.
  View raw(std::size_t bytes) {
    return bytes == 0 ? View{} : out(Shape{std::int64_t(bytes)}, DType::kByte);
  }

  template <typename T = float>
  std::vector<T> get(const View& view) const {
    std::vector<std::conditional_t<std::is_same_v<T, bool>, std::uint8_t, T>> host(
        std::size_t(view.elements()));
    backend_.download(host.data(), view.as<T>(), view.bytes());
    if constexpr (std::is_same_v<T, bool>)
      for (const std::uint8_t byte : host)
        if (byte > 1) throw std::logic_error("an element is neither true nor false");
    return {host.begin(), host.end()};
  }

  /// Whether guard words and inputs still have their bits.
  ::testing::AssertionResult intact() const {
    for (const Buffer& buffer : buffers_) {
      std::vector<std::byte> now(buffer.image.size());
      backend_.download(now.data(), buffer.memory.get(), now.size());
      for (std::size_t k = 0; k < now.size(); ++k) {
        const bool inside = k >= buffer.front && k < now.size() - kGuardBytes;
        if (now[k] == buffer.image[k] || (inside && !buffer.constant)) continue;
        return ::testing::AssertionFailure()
               << "buffer " << to_string(buffer.shape) << " of " << to_string(buffer.dtype)
               << ": byte " << std::int64_t(k) - std::int64_t(buffer.front)
               << (inside ? " of an input" : ", a guard word,") << " was written";
      }
    }
    return ::testing::AssertionSuccess();
  }

  void free() { buffers_.clear(); }

 private:
  static constexpr std::size_t kGuardBytes = 256;  // keeps the alignment of the memory
  static constexpr std::uint32_t kGuard = 0xA5C3F00D;
  static constexpr std::uint32_t kUnset = 0x7FC0BEEF;  // a NaN

  struct Buffer {
    std::shared_ptr<void> memory;
    std::vector<std::byte> image;  // as uploaded, guards included
    std::size_t front;             // bytes of the guard before it
    Shape shape;
    DType dtype;
    bool constant;
  };

  View add(const void* values, std::size_t bytes, const Shape& shape, DType dtype, bool constant) {
    if (bytes != std::size_t(shape.elements()) * size_of(dtype))
      throw std::logic_error("test data and shape " + to_string(shape) + " disagree");
    const std::size_t front = kGuardBytes + (dtype == DType::kFloat32 ? shift_ : 0);
    Buffer buffer{nullptr, std::vector<std::byte>(front + bytes + kGuardBytes), front, shape, dtype,
                  constant};
    for (std::size_t k = 0; k < buffer.image.size(); ++k)
      buffer.image[k] = std::byte((kGuard >> (8 * (k % 4))) & 0xFF);
    if (bytes > 0) std::memcpy(&buffer.image[front], values, bytes);
    buffer.memory = backend_.allocate(buffer.image.size());
    backend_.upload(buffer.memory.get(), buffer.image.data(), buffer.image.size());
    View view;
    view.data = static_cast<std::byte*>(buffer.memory.get()) + front;
    view.shape = shape;
    view.dtype = dtype;
    buffers_.push_back(std::move(buffer));
    return view;
  }

  Backend& backend_;
  std::size_t shift_ = 0;
  std::vector<Buffer> buffers_;
};

inline RecurrentAlgorithm named(const std::string& name) {
  return RecurrentAlgorithm::parse(name);
}

/// The ways to compute on the CPU, by the names of test parameters.
inline const std::map<std::string, Precision> kCpuForms = {
    {"Cpu", Precision::kFp32},
    {"CpuBf16", Precision::kBf16},
};
/// The same on a GPU.
inline const std::map<std::string, CudaOptions> kCudaForms = {
    {"CudaAuto", {}},
    {"Cuda", {.recurrent_algorithm = named("stepwise")}},
    {"CudaWavefront", {.recurrent_algorithm = named("stepwise:2")}},
    {"CudaTf32", {.precision = Precision::kTf32, .recurrent_algorithm = named("stepwise")}},
    {"CudaBf16", {.precision = Precision::kBf16, .recurrent_algorithm = named("stepwise:2")}},
    {"CudaPersistent", {.recurrent_algorithm = named("persistent")}},
    {"CudaPersistentTf32",
     {.precision = Precision::kTf32, .recurrent_algorithm = named("persistent")}},
    {"CudaPersistentBf16",
     {.precision = Precision::kBf16, .recurrent_algorithm = named("persistent")}},
    {"CudaPersistentForward", {.recurrent_algorithm = named("persistent+stepwise:2")}},
    {"CudaPersistentBackward", {.recurrent_algorithm = named("stepwise:2+persistent")}},
    {"CudaCudnn", {.recurrent_algorithm = named("cudnn:standard")}},
    {"CudaCudnnTf32",
     {.precision = Precision::kTf32, .recurrent_algorithm = named("cudnn:standard")}},
    {"CudaCudnnBf16",
     {.precision = Precision::kBf16, .recurrent_algorithm = named("cudnn:standard")}},
    {"CudaCudnnFp16", {.recurrent_algorithm = named("cudnn:standard:fp16")}},
};

/// Whether an environment variable forbids skipping.
inline bool is_required(const char* variable) {
  const char* const value = std::getenv(variable);
  return value != nullptr && std::string(value) == "1";
}

/// One backend per device and form for the whole program, closed before static objects are
/// destroyed.
class Devices : public ::testing::Environment {
 public:
  static std::shared_ptr<Backend> get(const std::string& name) {
    std::shared_ptr<Backend>& backend = open()[name];
    if (backend) return backend;
    const auto on_cpu = kCpuForms.find(name);
    backend = on_cpu != kCpuForms.end() ? cpu(2, on_cpu->second) : cuda(0, kCudaForms.at(name));
    return backend;
  }
  void TearDown() override { open().clear(); }

 private:
  static std::map<std::string, std::shared_ptr<Backend>>& open() {
    static std::map<std::string, std::shared_ptr<Backend>> backends;
    return backends;
  }
};
inline ::testing::Environment* const kDevices =
    ::testing::AddGlobalTestEnvironment(new Devices);  // GoogleTest owns it

class OnEachBackend : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    std::string why;
    if (!kCpuForms.contains(GetParam()) && cuda_device_count(&why) == 0) {
      if (is_required("UNROLL_REQUIRE_CUDA"))
        FAIL() << "UNROLL_REQUIRE_CUDA=1, but no CUDA device: " << why;
      GTEST_SKIP() << "no CUDA device: " << why;
    }
    try {
      backend_ = Devices::get(GetParam());
    } catch (const Unsupported& missing) {
      if (is_required("UNROLL_REQUIRE_CUDNN")) FAIL() << missing.what();
      GTEST_SKIP() << missing.what();
    }
    memory_ = std::make_unique<GuardedMemory>(*backend_);
  }

  void TearDown() override {
    if (!memory_) return;
    EXPECT_TRUE(memory_->intact());
  }

  /// Whether a repeated pass gives the same bits. Our kernels do. cuDNN distributes work over
  /// streams of its own with one cuBLAS handle, for which cuBLAS does not promise it; its stand-in
  /// gives the same bits.
  bool repeats_bits() const {
    return !backend_->recurrent_algorithm().cudnn() || emulation::calls();
  }

  /// Ends one case of a loop: checks every guard word, then frees the buffers of the case.
  void finish_case() {
    EXPECT_TRUE(memory_->intact());
    memory_->free();
  }

  std::shared_ptr<Backend> backend_;
  std::unique_ptr<GuardedMemory> memory_;
};

inline std::string backend_name(const ::testing::TestParamInfo<std::string>& info) {
  return info.param;
}

#define UNROLL_FOR_EACH_BACKEND(Suite) \
  INSTANTIATE_TEST_SUITE_P(On, Suite, ::testing::Values("Cpu", "Cuda"), backend_name)

}  // namespace unroll::test
