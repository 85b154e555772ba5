/// Layers that cuDNN computes in one call: descriptors, buffer sizes, and the place of each weight
/// in the weight space, whose layout cuDNN decides.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "cuda/cudnn/cudnn.h"
#include "cuda/cudnn/cudnn_kernels.h"
#include "cuda/device/device.h"
#include "unroll/kernels/recurrent.h"

namespace unroll::gpu {

cudnn::DataType type_of(CudnnElement element);
/// For float32 the default is TF32 on devices that have it.
cudnn::MathType math_of(CudnnElement element, Precision precision);

/// What all stacks of one backend share.
struct CudnnContext {
  CudnnContext(Device& device, const CudnnForm& form);

  CudnnForm form;
  std::string name;  // of the form
  CudnnElement element;
  cudnn::DataType type;
  cudnn::MathType math;
  cudnn::Owner<cudnn::Handle> handle;
  cudnn::Owner<cudnn::DropoutDescriptor> no_dropout;
  std::shared_ptr<void> base;  // any device address: offsets are counted from it
};

class CudnnStack {
 public:
  /// Elements of one parameter of a cell that lie together in a weight space: those of one gate, or
  /// a projection.
  struct WeightPart {
    std::size_t cell;  // of the stack, in the order of layers, the forward direction first
    View RecurrentWeights::*parameter;
    std::int64_t first, elements;  // in the parameter
    std::size_t offset;            // in the space, in bytes
  };

  /// Layers [first, first + count), all of one size. Throws Unsupported if cuDNN refuses them.
  CudnnStack(const CudnnContext& context, const RecurrentArgs& args, int first, int count);

  bool packed() const { return packed_; }  // x and y: the layout that cuDNN accepted
  int first() const { return first_; }
  int count() const { return count_; }
  std::size_t cells() const { return std::size_t(count_ * (output_ / width_)); }
  std::int64_t hidden() const { return hidden_; }  // H
  std::int64_t width() const { return width_; }    // R: P, or H without a projection
  std::int64_t input() const { return input_; }    // columns of x
  std::int64_t output() const { return output_; }  // columns of y: D R

  cudnn::RnnDescriptor rnn() const { return rnn_.get(); }
  cudnn::RnnDataDescriptor x() const { return x_.get(); }  // [T, N, I]
  cudnn::RnnDataDescriptor y() const { return y_.get(); }  // [T, N, D R]
  cudnn::TensorDescriptor h() const { return h_.get(); }   // [L D, N, R]
  cudnn::TensorDescriptor c() const { return c_.get(); }   // [L D, N, H]
  std::size_t weight_bytes() const { return weight_bytes_; }
  std::size_t work_bytes() const { return work_bytes_; }
  std::size_t reserve_bytes() const { return reserve_bytes_; }

  const std::vector<WeightPart>& weight_parts() const { return weight_parts_; }

 private:
  void describe(const CudnnContext& context, const RecurrentArgs& args, bool packed);
  void find_weights(const CudnnContext& context, const RecurrentSpec& spec);

  bool packed_ = false;
  int first_, count_;
  std::int64_t hidden_, width_, input_, output_;
  cudnn::Owner<cudnn::RnnDescriptor> rnn_;
  cudnn::Owner<cudnn::RnnDataDescriptor> x_, y_;
  cudnn::Owner<cudnn::TensorDescriptor> h_, c_;
  std::size_t weight_bytes_ = 0, work_bytes_ = 0, reserve_bytes_ = 0;
  std::vector<WeightPart> weight_parts_;
};

/// The stacks that make up a node, from the input upwards.
std::vector<CudnnStack> cudnn_stacks(const CudnnContext& context, const RecurrentArgs& args);

}  // namespace unroll::gpu
