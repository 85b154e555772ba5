/// Layers that cuDNN computes in one call: descriptors, buffer sizes, and the offset of each weight
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
#include "unroll/backend.h"

namespace unroll::gpu {

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
  /// Byte offsets in a weight space.
  struct WeightOffsets {
    std::size_t matrix, bias;
  };

  /// Layers [first, first + count), all of one size. Throws Unsupported if cuDNN refuses them.
  CudnnStack(const CudnnContext& context, const RecurrentArgs& args, int first, int count);

  bool packed() const { return packed_; }  // x and y: the layout that cuDNN accepted
  int first() const { return first_; }
  int count() const { return count_; }
  std::size_t cells() const { return std::size_t(count_ * (output_ / hidden_)); }
  std::int64_t hidden() const { return hidden_; }
  std::int64_t input() const { return input_; }  // columns of x
  std::int64_t layer_input(int layer) const { return layer == first_ ? input_ : output_; }
  std::int64_t output() const { return output_; }  // columns of y: D H

  cudnn::RnnDescriptor rnn() const { return rnn_.get(); }
  cudnn::RnnDataDescriptor x() const { return x_.get(); }         // [T, N, I]
  cudnn::RnnDataDescriptor y() const { return y_.get(); }         // [T, N, D H]
  cudnn::TensorDescriptor state() const { return state_.get(); }  // [L D, N, H]
  std::size_t weight_bytes() const { return weight_bytes_; }
  std::size_t work_bytes() const { return work_bytes_; }
  std::size_t reserve_bytes() const { return reserve_bytes_; }

  /// One entry per gate, cell by cell: first the parts of W for the G gates, then those of R. The
  /// cells are in the order of layers, the forward direction first.
  const std::vector<WeightOffsets>& weight_offsets() const { return weight_offsets_; }

 private:
  void describe(const CudnnContext& context, const RecurrentArgs& args, bool packed);
  void find_weight_offsets(const CudnnContext& context, const RecurrentSpec& spec);

  bool packed_ = false;
  int first_, count_;
  std::int64_t hidden_, input_, output_;
  cudnn::Owner<cudnn::RnnDescriptor> rnn_;
  cudnn::Owner<cudnn::RnnDataDescriptor> x_, y_;
  cudnn::Owner<cudnn::TensorDescriptor> state_;
  std::size_t weight_bytes_ = 0, work_bytes_ = 0, reserve_bytes_ = 0;
  std::vector<WeightOffsets> weight_offsets_;
};

/// The stacks that make up a node, from the input upwards.
std::vector<CudnnStack> cudnn_stacks(const CudnnContext& context, const RecurrentArgs& args);

}  // namespace unroll::gpu
