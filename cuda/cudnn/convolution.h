/// Convolutions and their gradients by cuDNN.
#pragma once

#include <memory>

#include "cuda/cudnn/cudnn.h"
#include "cuda/device/device.h"
#include "unroll/kernels/convolution.h"

namespace unroll::gpu {

class CudnnConvolutions {
 public:
  explicit CudnnConvolutions(Device& device) : device_(device) {}
  /// Null if there is no cuDNN, or if it refuses this convolution.
  std::unique_ptr<ConvolutionPlan> plan(const ConvolutionSpec& spec);

 private:
  Device& device_;
  cudnn::Owner<cudnn::Handle> handle_;  // made for the first plan
};

}  // namespace unroll::gpu
