/// Layers that cuDNN computes in one call: its descriptors, the sizes of its memories, and where in
/// its weight space, whose layout is its own affair, each weight belongs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "cuda/cudnn/cudnn.h"
#include "cuda/cudnn/cudnn_form.h"
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
  std::shared_ptr<void> base;  // some address of the device's, from which offsets are taken
};

class CudnnStack {
 public:
  /// Bytes from the beginning of a weight space.
  struct Place {
    std::size_t matrix, bias;
  };

  /// Layers [first, first + count), all of one size. Throws Unsupported where cuDNN refuses.
  CudnnStack(const CudnnContext& context, const RecurrentArgs& args, int first, int count);

  bool packed() const { return packed_; }  // x and y: the layout that cuDNN took
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

  /// Of the stack's cells, layer by layer, the forward direction first, each with the parts of W
  /// for its G gates and then those of R.
  const std::vector<Place>& places() const { return places_; }

 private:
  void describe(const CudnnContext& context, const RecurrentArgs& args, bool packed);
  void find_places(const CudnnContext& context, const RecurrentSpec& spec);

  bool packed_ = false;
  int first_, count_;
  std::int64_t hidden_, input_, output_;
  cudnn::Owner<cudnn::RnnDescriptor> rnn_;
  cudnn::Owner<cudnn::RnnDataDescriptor> x_, y_;
  cudnn::Owner<cudnn::TensorDescriptor> state_;
  std::size_t weight_bytes_ = 0, work_bytes_ = 0, reserve_bytes_ = 0;
  std::vector<Place> places_;
};

/// The stacks that a node is made of, from the input upwards.
std::vector<CudnnStack> cudnn_stacks(const CudnnContext& context, const RecurrentArgs& args);

}  // namespace unroll::gpu
