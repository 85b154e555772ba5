/// Compares the declarations of cuda/cudnn/cudnn.h with <cudnn.h>. It is compiled only where that
/// header is installed, and contains no code that runs.
#include <cudnn.h>

#include <type_traits>

#include "cuda/cudnn/cudnn.h"

namespace unroll::gpu::cudnn {
namespace {

template <typename T>
constexpr bool kIsNumber = std::is_arithmetic_v<T> || std::is_enum_v<T>;

/// Whether two types are passed in the same way: numbers of the same size and kind, or pointers to
/// such numbers, to pointers or to types that both sides leave incomplete.
template <typename A, typename B>
constexpr bool passed_alike() {
  if constexpr (std::is_pointer_v<A> && std::is_pointer_v<B>) {
    using To = std::remove_pointer_t<A>;
    using ToReal = std::remove_pointer_t<B>;
    if constexpr (kIsNumber<To> || kIsNumber<ToReal> || std::is_pointer_v<To>)
      return passed_alike<std::remove_cv_t<To>, std::remove_cv_t<ToReal>>();
    else
      return std::is_void_v<To> == std::is_void_v<ToReal> && !std::is_pointer_v<ToReal>;
  } else if constexpr (kIsNumber<A> && kIsNumber<B>) {
    return sizeof(A) == sizeof(B) && std::is_floating_point_v<A> == std::is_floating_point_v<B>;
  } else {
    return false;
  }
}

template <typename A, typename B>
struct Alike : std::false_type {};
template <typename R, typename... A, typename S, typename... B>
struct Alike<R (*)(A...), S (*)(B...)> {
  static constexpr bool same() {
    if constexpr (sizeof...(A) != sizeof...(B))
      return false;
    else
      return passed_alike<R, S>() && (passed_alike<A, B>() && ...);
  }
  static constexpr bool value = same();
};
template <typename S, typename... B, typename... A>
struct Alike<void (*)(A...), S (*)(B...)> {
  static constexpr bool value = std::is_void_v<S> && (passed_alike<A, B>() && ...);
};

template <typename Holder, typename Ours, typename Real>
constexpr bool alike(Ours Holder::*, Real*) {
  return Alike<Ours, Real*>::value;
}

static_assert(alike(&Interface::get_version, &cudnnGetVersion));
static_assert(alike(&Interface::get_error_string, &cudnnGetErrorString));
static_assert(alike(&Interface::get_last_error_string, &cudnnGetLastErrorString));
static_assert(alike(&Interface::create, &cudnnCreate));
static_assert(alike(&Interface::destroy, &cudnnDestroy));
static_assert(alike(&Interface::set_stream, &cudnnSetStream));
static_assert(alike(&Interface::create_tensor_descriptor, &cudnnCreateTensorDescriptor));
static_assert(alike(&Interface::destroy_tensor_descriptor, &cudnnDestroyTensorDescriptor));
static_assert(alike(&Interface::set_tensor_nd_descriptor, &cudnnSetTensorNdDescriptor));
static_assert(alike(&Interface::get_tensor_nd_descriptor, &cudnnGetTensorNdDescriptor));
static_assert(alike(&Interface::create_dropout_descriptor, &cudnnCreateDropoutDescriptor));
static_assert(alike(&Interface::destroy_dropout_descriptor, &cudnnDestroyDropoutDescriptor));
static_assert(alike(&Interface::set_dropout_descriptor, &cudnnSetDropoutDescriptor));
static_assert(alike(&Interface::create_rnn_descriptor, &cudnnCreateRNNDescriptor));
static_assert(alike(&Interface::destroy_rnn_descriptor, &cudnnDestroyRNNDescriptor));
static_assert(alike(&Interface::set_rnn_descriptor, &cudnnSetRNNDescriptor_v8));
static_assert(alike(&Interface::build_rnn_dynamic, &cudnnBuildRNNDynamic));
static_assert(alike(&Interface::get_rnn_temp_space_sizes, &cudnnGetRNNTempSpaceSizes));
static_assert(alike(&Interface::get_rnn_weight_space_size, &cudnnGetRNNWeightSpaceSize));
static_assert(alike(&Interface::get_rnn_weight_params, &cudnnGetRNNWeightParams));
static_assert(alike(&Interface::create_rnn_data_descriptor, &cudnnCreateRNNDataDescriptor));
static_assert(alike(&Interface::destroy_rnn_data_descriptor, &cudnnDestroyRNNDataDescriptor));
static_assert(alike(&Interface::set_rnn_data_descriptor, &cudnnSetRNNDataDescriptor));
static_assert(alike(&Interface::rnn_forward, &cudnnRNNForward));
static_assert(alike(&Interface::rnn_backward_data, &cudnnRNNBackwardData_v8));
static_assert(alike(&Interface::rnn_backward_weights, &cudnnRNNBackwardWeights_v8));

static_assert(alike(&ConvolutionInterface::create_filter_descriptor, &cudnnCreateFilterDescriptor));
static_assert(alike(&ConvolutionInterface::destroy_filter_descriptor,
                    &cudnnDestroyFilterDescriptor));
static_assert(alike(&ConvolutionInterface::set_filter_nd_descriptor, &cudnnSetFilterNdDescriptor));
static_assert(alike(&ConvolutionInterface::create_convolution_descriptor,
                    &cudnnCreateConvolutionDescriptor));
static_assert(alike(&ConvolutionInterface::destroy_convolution_descriptor,
                    &cudnnDestroyConvolutionDescriptor));
static_assert(alike(&ConvolutionInterface::set_convolution_math_type,
                    &cudnnSetConvolutionMathType));
static_assert(alike(&ConvolutionInterface::set_convolution_2d_descriptor,
                    &cudnnSetConvolution2dDescriptor));
static_assert(alike(&ConvolutionInterface::forward_workspace_size,
                    &cudnnGetConvolutionForwardWorkspaceSize));
static_assert(alike(&ConvolutionInterface::forward, &cudnnConvolutionForward));
static_assert(alike(&ConvolutionInterface::input_gradient_workspace_size,
                    &cudnnGetConvolutionBackwardDataWorkspaceSize));
static_assert(alike(&ConvolutionInterface::input_gradient, &cudnnConvolutionBackwardData));
static_assert(alike(&ConvolutionInterface::weight_gradient_workspace_size,
                    &cudnnGetConvolutionBackwardFilterWorkspaceSize));
static_assert(alike(&ConvolutionInterface::weight_gradient, &cudnnConvolutionBackwardFilter));

template <typename Ours, typename Real>
constexpr bool equal(Ours ours, Real real) {
  return sizeof(Ours) == sizeof(Real) && int(ours) == int(real);
}

static_assert(equal(Status::kSuccess, CUDNN_STATUS_SUCCESS));
static_assert(equal(Status::kNotInitialized, CUDNN_STATUS_NOT_INITIALIZED));
static_assert(equal(Status::kBadParam, CUDNN_STATUS_BAD_PARAM));
static_assert(equal(Status::kNotSupported, CUDNN_STATUS_NOT_SUPPORTED));
static_assert(equal(Status::kInternalError, CUDNN_STATUS_INTERNAL_ERROR));
static_assert(equal(Status::kExecutionFailed, CUDNN_STATUS_EXECUTION_FAILED));
static_assert(equal(DataType::kFloat, CUDNN_DATA_FLOAT));
static_assert(equal(DataType::kHalf, CUDNN_DATA_HALF));
static_assert(equal(DataType::kBfloat16, CUDNN_DATA_BFLOAT16));
static_assert(equal(MathType::kDefault, CUDNN_DEFAULT_MATH));
static_assert(equal(MathType::kTensorOp, CUDNN_TENSOR_OP_MATH));
static_assert(equal(MathType::kFma, CUDNN_FMA_MATH));
static_assert(equal(Algorithm::kStandard, CUDNN_RNN_ALGO_STANDARD));
static_assert(equal(Algorithm::kPersistStatic, CUDNN_RNN_ALGO_PERSIST_STATIC));
static_assert(equal(Algorithm::kPersistDynamic, CUDNN_RNN_ALGO_PERSIST_DYNAMIC));
static_assert(equal(Algorithm::kPersistStaticSmallH, CUDNN_RNN_ALGO_PERSIST_STATIC_SMALL_H));
static_assert(equal(ForwardMode::kInference, CUDNN_FWD_MODE_INFERENCE));
static_assert(equal(ForwardMode::kTraining, CUDNN_FWD_MODE_TRAINING));
static_assert(equal(CellMode::kRelu, CUDNN_RNN_RELU));
static_assert(equal(CellMode::kTanh, CUDNN_RNN_TANH));
static_assert(equal(CellMode::kLstm, CUDNN_LSTM));
static_assert(equal(CellMode::kGru, CUDNN_GRU));
static_assert(equal(BiasMode::kDouble, CUDNN_RNN_DOUBLE_BIAS));
static_assert(equal(DirectionMode::kUnidirectional, CUDNN_UNIDIRECTIONAL));
static_assert(equal(DirectionMode::kBidirectional, CUDNN_BIDIRECTIONAL));
static_assert(equal(InputMode::kLinear, CUDNN_LINEAR_INPUT));
static_assert(equal(DataLayout::kSequenceMajorUnpacked, CUDNN_RNN_DATA_LAYOUT_SEQ_MAJOR_UNPACKED));
static_assert(equal(DataLayout::kSequenceMajorPacked, CUDNN_RNN_DATA_LAYOUT_SEQ_MAJOR_PACKED));
static_assert(equal(GradientMode::kAdd, CUDNN_WGRAD_MODE_ADD));
static_assert(equal(FilterFormat::kNchw, CUDNN_TENSOR_NCHW));
static_assert(equal(ConvolutionMode::kCrossCorrelation, CUDNN_CROSS_CORRELATION));
static_assert(equal(ForwardAlgorithm::kImplicitGemm, CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM) &&
              equal(ForwardAlgorithm::kImplicitPrecomputedGemm,
                    CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM));
static_assert(equal(InputGradientAlgorithm::kAlgorithm1, CUDNN_CONVOLUTION_BWD_DATA_ALGO_1));
static_assert(equal(WeightGradientAlgorithm::kAlgorithm1, CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1));
static_assert(kPaddedIoDisabled == CUDNN_RNN_PADDED_IO_DISABLED);
static_assert(kPaddedIoEnabled == CUDNN_RNN_PADDED_IO_ENABLED);

}  // namespace
}  // namespace unroll::gpu::cudnn
