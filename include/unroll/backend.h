/// The whole interface between the engine and a device: memory, capture, and the kernels, which
/// come in families. host/cpu and cuda each implement it once; nothing else in the engine knows a
/// device. Programs that only use networks do not need it: device.h makes the devices.
///
/// Every kernel queues its work in order and returns; download() and synchronize() wait. Tensors
/// are dense, row-major and float32 unless a comment says otherwise. The engine checks shapes
/// before it calls. No two arguments overlap unless `Aliasing` allows it. Only one thread at a time
/// may use a backend: VariableStore::lock() lets threads take turns.
///
/// A family is a header in unroll/kernels: structs of named arguments, and an interface with one
/// function per kernel. A backend that lacks one does not compile. A family that only some backends
/// have is no base of Backend. It gets a query there that returns null by default, as clock() does.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "unroll/device.h"
#include "unroll/kernels/array.h"
#include "unroll/kernels/convolution.h"
#include "unroll/kernels/crf.h"
#include "unroll/kernels/linear_algebra.h"
#include "unroll/kernels/loss.h"
#include "unroll/kernels/random.h"
#include "unroll/kernels/recurrent.h"
#include "unroll/kernels/rows.h"
#include "unroll/kernels/tensor.h"
#include "unroll/kernels/update.h"

namespace unroll {

class DeviceMemory {
 public:
  virtual ~DeviceMemory() = default;

  virtual DeviceMemoryUse memory() const = 0;
  /// `bytes` of uninitialised memory on the device, aligned to 256, freed with the last copy of the
  /// pointer.
  /// Errors    std::runtime_error, with what was asked, if there is not enough.
  virtual std::shared_ptr<void> allocate(std::size_t bytes) = 0;
  /// The host memory may be changed or freed as soon as either returns.
  virtual void upload(void* device, const void* host, std::size_t bytes) = 0;
  virtual void download(void* host, const void* device, std::size_t bytes) = 0;
  virtual void copy(void* to, const void* from, std::size_t bytes) = 0;  // within the device
  virtual void clear(void* device, std::size_t bytes) = 0;               // all bits zero
};

/// Work that is recorded once and run many times: a CUDA graph on a GPU, the calls themselves on a
/// CPU.
class Replay {
 public:
  virtual ~Replay() = default;
  virtual void run() = 0;
};

/// Measures work by the device's own clock. Only benchmarks ask for it.
class DeviceClock {
 public:
  virtual ~DeviceClock() = default;
  /// The seconds that the device spends on what `work` queues. Waits for the end.
  virtual double elapsed(const std::function<void()>& work) = 0;
};

class Backend : public DeviceMemory,
                public TensorKernels,
                public ArrayKernels,
                public TableRowKernels,
                public RandomKernels,
                public RecurrentKernels,
                public LossKernels,
                public CrfKernels,
                public UpdateKernels {
 public:
  virtual DeviceKind kind() const = 0;
  virtual std::string name() const = 0;  // "cpu (avx512, 2 threads)"
  virtual Precision precision() const = 0;

  /// Waits for all that was queued.
  virtual void synchronize() = 0;
  /// Calls `work` at least once, now or when the result is run. `work` only queues kernels, and
  /// capture() itself runs none of them.
  virtual std::unique_ptr<Replay> capture(std::function<void()> work) = 0;

  // What not every backend has. The backend owns it.
  virtual DeviceClock* clock() { return nullptr; }
  /// The CUDA stream (cudaStream_t) in which all work is queued, for another library's work between
  /// ours. Makes the device current in the calling thread.
  virtual void* stream() { return nullptr; }
  /// Errors    std::runtime_error if this device could do it, but a library is missing.
  virtual LinearAlgebraKernels* linear_algebra() { return nullptr; }

  /// Null if no library computes this convolution here, with the same bits each time.
  virtual std::unique_ptr<ConvolutionPlan> convolution_plan(const ConvolutionSpec&) {
    return nullptr;
  }
};

}  // namespace unroll
