/// Only algorithms that add up products are used: cuDNN documents that they give the same bits each
/// time. Winograd's and those by Fourier transforms round more, and spread a NaN over places that
/// do not read it.
#include "cuda/cudnn/convolution.h"

#include <algorithm>
#include <array>
#include <limits>

#include "cuda/cudnn/cudnn_kernels.h"
#include "cuda/cudnn/cudnn_stack.h"
#include "cuda/device/memory_layout.h"

namespace unroll::gpu {
namespace {

using cudnn::convolutions;
using Result = ConvolutionSpec::Result;

enum Operand : std::size_t { kX, kWeight, kY };

Operand operand_of(Result result) {
  return result == Result::kOutput ? kY : result == Result::kInputGradient ? kX : kWeight;
}

std::vector<int> ints(const Shape& shape) {
  return {shape.dims().begin(), shape.dims().end()};
}

/// In bfloat16 operands are converted, and so is the result.
class CudnnConvolution final : public ConvolutionPlan {
 public:
  CudnnConvolution(const Device& device, cudnn::Handle handle, const ConvolutionSpec& spec)
      : device_(device),
        handle_(handle),
        result_(spec.result),
        element_(device.precision() == Precision::kBf16 ? CudnnElement::kBfloat16
                                                        : CudnnElement::kFloat32),
        x_(cudnn::make_tensor_descriptor(type_of(element_), ints(spec.x))),
        weight_(cudnn::make_filter_descriptor(type_of(element_), ints(spec.weight))),
        y_(cudnn::make_tensor_descriptor(type_of(element_), ints(spec.y))),
        convolution_(cudnn::make_convolution_descriptor()) {
    const int stride = int(spec.stride), dilation = int(spec.dilation);
    UNROLL_CUDNN_CHECK(convolutions()->set_convolution_2d_descriptor(
        convolution_.get(), int(spec.padding_height), int(spec.padding_width), stride, stride,
        dilation, dilation, cudnn::ConvolutionMode::kCrossCorrelation, cudnn::DataType::kFloat));
    UNROLL_CUDNN_CHECK(convolutions()->set_convolution_math_type(
        convolution_.get(), math_of(element_, device.precision())));
    find_work_bytes();
    work_at_ = scratch_.take(std::int64_t(work_bytes_), 1);
    if (!converts()) return;
    copies_at_[kX] = scratch_.take(spec.x.elements(), size_of(element_));
    copies_at_[kWeight] = scratch_.take(spec.weight.elements(), size_of(element_));
    copies_at_[kY] = scratch_.take(spec.y.elements(), size_of(element_));
  }

  std::size_t scratch_bytes() const override { return scratch_.bytes(); }

  void run(const Convolution& c) override {
    const cudaStream_t stream = device_.stream();
    auto* const scratch = static_cast<std::byte*>(c.scratch.data);
    const std::array views{c.x, c.weight, c.y};
    std::array<void*, 3> data{c.x.data, c.weight.data, c.y.data};
    if (!converts()) return compute(data, scratch + work_at_);
    std::vector<Piece> read;
    for (const Operand k : {kX, kWeight, kY}) {
      data[k] = scratch + copies_at_[k];
      if (k != operand_of(result_)) read.push_back({views[k].data, data[k], views[k].elements()});
    }
    from_float32(stream, element_, read);
    compute(data, scratch + work_at_);
    const View& written = views[operand_of(result_)];
    const Piece result{data[operand_of(result_)], written.data, written.elements()};
    to_float32(stream, element_, {&result, 1});
  }

 private:
  bool converts() const { return element_ != CudnnElement::kFloat32; }

  void find_work_bytes() {
    const cudnn::ConvolutionInterface& f = *convolutions();
    switch (result_) {
      case Result::kOutput:
        if (f.forward_workspace_size(handle_, x_.get(), weight_.get(), convolution_.get(), y_.get(),
                                     forward_, &work_bytes_) == cudnn::Status::kSuccess)
          break;
        forget_error();
        forward_ = cudnn::ForwardAlgorithm::kImplicitGemm;  // takes every shape
        UNROLL_CUDNN_CHECK(f.forward_workspace_size(handle_, x_.get(), weight_.get(),
                                                    convolution_.get(), y_.get(), forward_,
                                                    &work_bytes_));
        break;
      case Result::kInputGradient:
        UNROLL_CUDNN_CHECK(f.input_gradient_workspace_size(handle_, weight_.get(), y_.get(),
                                                           convolution_.get(), x_.get(),
                                                           kInputGradient, &work_bytes_));
        break;
      case Result::kWeightGradient:
        UNROLL_CUDNN_CHECK(f.weight_gradient_workspace_size(handle_, x_.get(), y_.get(),
                                                            convolution_.get(), weight_.get(),
                                                            kWeightGradient, &work_bytes_));
        break;
    }
  }

  void compute(const std::array<void*, 3>& data, void* work) const {
    const cudnn::ConvolutionInterface& f = *convolutions();
    const float one = 1, zero = 0;  // the result is not added to what is there
    cudnn::Status status{};
    switch (result_) {
      case Result::kOutput:
        status =
            f.forward(handle_, &one, x_.get(), data[kX], weight_.get(), data[kWeight],
                      convolution_.get(), forward_, work, work_bytes_, &zero, y_.get(), data[kY]);
        break;
      case Result::kInputGradient:
        status = f.input_gradient(handle_, &one, weight_.get(), data[kWeight], y_.get(), data[kY],
                                  convolution_.get(), kInputGradient, work, work_bytes_, &zero,
                                  x_.get(), data[kX]);
        break;
      case Result::kWeightGradient:
        status = f.weight_gradient(handle_, &one, x_.get(), data[kX], y_.get(), data[kY],
                                   convolution_.get(), kWeightGradient, work, work_bytes_, &zero,
                                   weight_.get(), data[kWeight]);
        break;
    }
    if (status != cudnn::Status::kSuccess)
      fail("cuDNN: " + cudnn::words(status), "a convolution", __FILE__, __LINE__);
  }

  static constexpr auto kInputGradient = cudnn::InputGradientAlgorithm::kAlgorithm1;
  static constexpr auto kWeightGradient = cudnn::WeightGradientAlgorithm::kAlgorithm1;

  const Device& device_;
  cudnn::Handle handle_;
  Result result_;
  CudnnElement element_;
  cudnn::Owner<cudnn::TensorDescriptor> x_;
  cudnn::Owner<cudnn::FilterDescriptor> weight_;
  cudnn::Owner<cudnn::TensorDescriptor> y_;
  cudnn::Owner<cudnn::ConvolutionDescriptor> convolution_;
  cudnn::ForwardAlgorithm forward_ = cudnn::ForwardAlgorithm::kImplicitPrecomputedGemm;
  MemoryLayout scratch_;
  std::size_t work_bytes_ = 0, work_at_ = 0;
  std::array<std::size_t, 3> copies_at_{};
};

/// Whether all numbers are what cuDNN counts with.
bool fits(const ConvolutionSpec& spec) {
  const std::array numbers{spec.x.elements(), spec.weight.elements(), spec.y.elements(),
                           spec.stride,       spec.dilation,          spec.padding_height,
                           spec.padding_width};
  return std::ranges::max(numbers) <= std::numeric_limits<int>::max() &&
         std::min({numbers[kX], numbers[kWeight], numbers[kY]}) > 0;
}

}  // namespace

std::unique_ptr<ConvolutionPlan> CudnnConvolutions::plan(const ConvolutionSpec& spec) {
  if (!fits(spec) || !convolutions()) return nullptr;
  if (!handle_) handle_ = cudnn::make_handle(device_.stream());
  try {
    return std::make_unique<CudnnConvolution>(device_, handle_.get(), spec);
  } catch (const Unsupported&) {
    return nullptr;
  }
}

}  // namespace unroll::gpu
