/// The part of cuDNN 9 that recurrent nodes and convolutions need. It is declared here and loaded
/// at run time, so neither the build nor the program requires cuDNN. Names and values are those of
/// its C interface without their prefixes; cudnn_interface_check.cpp compares them with <cudnn.h>.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

namespace unroll::gpu::cudnn {

/// A status is a category. The numbers up to the next category are its more exact cases.
enum class Status : int {
  kSuccess = 0,
  kNotInitialized = 1001,
  kBadParam = 2000,
  kNotSupported = 3000,
  kInternalError = 4000,
  kExecutionFailed = 5000,
};
enum class DataType : int { kFloat = 0, kHalf = 2, kBfloat16 = 9 };
enum class MathType : int { kDefault = 0, kTensorOp = 1, kFma = 3 };
enum class Algorithm : int {
  kStandard = 0,
  kPersistStatic = 1,
  kPersistDynamic = 2,
  kPersistStaticSmallH = 3,
};
enum class ForwardMode : int { kInference = 0, kTraining = 1 };
enum class CellMode : int { kRelu = 0, kTanh = 1, kLstm = 2, kGru = 3 };
enum class BiasMode : int { kDouble = 2 };
enum class DirectionMode : int { kUnidirectional = 0, kBidirectional = 1 };
enum class InputMode : int { kLinear = 0 };
enum class DataLayout : int { kSequenceMajorUnpacked = 0, kSequenceMajorPacked = 1 };
enum class GradientMode : int { kAdd = 0 };
enum class FilterFormat : int { kNchw = 0 };
enum class ConvolutionMode : int { kCrossCorrelation = 1 };
enum class ForwardAlgorithm : int { kImplicitGemm = 0, kImplicitPrecomputedGemm = 1 };
enum class InputGradientAlgorithm : int { kAlgorithm1 = 1 };
enum class WeightGradientAlgorithm : int { kAlgorithm1 = 1 };
enum : std::uint32_t { kPaddedIoDisabled = 0, kPaddedIoEnabled = 1 };

using Handle = struct HandleData*;
using DropoutDescriptor = struct DropoutData*;
using RnnDescriptor = struct RnnData*;
using RnnDataDescriptor = struct RnnDataData*;
using TensorDescriptor = struct TensorData*;
using FilterDescriptor = struct FilterData*;
using ConvolutionDescriptor = struct ConvolutionData*;

/// cuDNN's functions, in the order of its headers. Convolutions have an interface of their own.
struct Interface {
  std::size_t (*get_version)();
  const char* (*get_error_string)(Status status);
  void (*get_last_error_string)(char* message, std::size_t bytes);
  Status (*create)(Handle* handle);
  Status (*destroy)(Handle handle);
  Status (*set_stream)(Handle handle, cudaStream_t stream);

  Status (*create_tensor_descriptor)(TensorDescriptor* descriptor);
  Status (*destroy_tensor_descriptor)(TensorDescriptor descriptor);
  Status (*set_tensor_nd_descriptor)(TensorDescriptor descriptor, DataType type, int dims,
                                     const int* extents, const int* strides);
  Status (*get_tensor_nd_descriptor)(TensorDescriptor descriptor, int most_dims, DataType* type,
                                     int* dims, int* extents, int* strides);

  Status (*create_dropout_descriptor)(DropoutDescriptor* descriptor);
  Status (*destroy_dropout_descriptor)(DropoutDescriptor descriptor);
  Status (*set_dropout_descriptor)(DropoutDescriptor descriptor, Handle handle, float rate,
                                   void* states, std::size_t state_bytes, unsigned long long seed);

  Status (*create_rnn_descriptor)(RnnDescriptor* descriptor);
  Status (*destroy_rnn_descriptor)(RnnDescriptor descriptor);
  Status (*set_rnn_descriptor)(RnnDescriptor descriptor, Algorithm algorithm, CellMode cell,
                               BiasMode bias, DirectionMode direction, InputMode input_mode,
                               DataType type, DataType math_precision, MathType math,
                               std::int32_t input, std::int32_t hidden, std::int32_t projection,
                               std::int32_t layers, DropoutDescriptor dropout, std::uint32_t flags);
  Status (*build_rnn_dynamic)(Handle handle, RnnDescriptor descriptor, int batch);
  Status (*get_rnn_temp_space_sizes)(Handle handle, RnnDescriptor descriptor, ForwardMode mode,
                                     RnnDataDescriptor x, std::size_t* work_bytes,
                                     std::size_t* reserve_bytes);
  Status (*get_rnn_weight_space_size)(Handle handle, RnnDescriptor descriptor, std::size_t* bytes);
  Status (*get_rnn_weight_params)(Handle handle, RnnDescriptor descriptor,
                                  std::int32_t pseudo_layer, std::size_t weight_bytes,
                                  const void* weights, std::int32_t linear_layer,
                                  TensorDescriptor matrix_descriptor, void** matrix,
                                  TensorDescriptor bias_descriptor, void** bias);
  Status (*create_rnn_data_descriptor)(RnnDataDescriptor* descriptor);
  Status (*destroy_rnn_data_descriptor)(RnnDataDescriptor descriptor);
  Status (*set_rnn_data_descriptor)(RnnDataDescriptor descriptor, DataType type, DataLayout layout,
                                    int steps, int batch, int width, const int* lengths,
                                    void* padding);
  Status (*rnn_forward)(Handle handle, RnnDescriptor descriptor, ForwardMode mode,
                        const std::int32_t* device_lengths, RnnDataDescriptor x_descriptor,
                        const void* x, RnnDataDescriptor y_descriptor, void* y,
                        TensorDescriptor h_descriptor, const void* hx, void* hy,
                        TensorDescriptor c_descriptor, const void* cx, void* cy,
                        std::size_t weight_bytes, const void* weights, std::size_t work_bytes,
                        void* work, std::size_t reserve_bytes, void* reserve);
  Status (*rnn_backward_data)(Handle handle, RnnDescriptor descriptor,
                              const std::int32_t* device_lengths, RnnDataDescriptor y_descriptor,
                              const void* y, const void* dy, RnnDataDescriptor x_descriptor,
                              void* dx, TensorDescriptor h_descriptor, const void* hx,
                              const void* dhy, void* dhx, TensorDescriptor c_descriptor,
                              const void* cx, const void* dcy, void* dcx, std::size_t weight_bytes,
                              const void* weights, std::size_t work_bytes, void* work,
                              std::size_t reserve_bytes, void* reserve);
  Status (*rnn_backward_weights)(Handle handle, RnnDescriptor descriptor, GradientMode mode,
                                 const std::int32_t* device_lengths, RnnDataDescriptor x_descriptor,
                                 const void* x, TensorDescriptor h_descriptor, const void* hx,
                                 RnnDataDescriptor y_descriptor, const void* y,
                                 std::size_t weight_bytes, void* dweights, std::size_t work_bytes,
                                 void* work, std::size_t reserve_bytes, void* reserve);
};

struct ConvolutionInterface {
  Status (*create_filter_descriptor)(FilterDescriptor* descriptor);
  Status (*destroy_filter_descriptor)(FilterDescriptor descriptor);
  Status (*set_filter_nd_descriptor)(FilterDescriptor descriptor, DataType type,
                                     FilterFormat format, int dims, const int* extents);
  Status (*create_convolution_descriptor)(ConvolutionDescriptor* descriptor);
  Status (*destroy_convolution_descriptor)(ConvolutionDescriptor descriptor);
  Status (*set_convolution_math_type)(ConvolutionDescriptor descriptor, MathType math);
  Status (*set_convolution_2d_descriptor)(ConvolutionDescriptor descriptor, int padding_height,
                                          int padding_width, int stride_height, int stride_width,
                                          int dilation_height, int dilation_width,
                                          ConvolutionMode mode, DataType sum);
  Status (*forward_workspace_size)(Handle handle, TensorDescriptor x, FilterDescriptor weight,
                                   ConvolutionDescriptor convolution, TensorDescriptor y,
                                   ForwardAlgorithm algorithm, std::size_t* bytes);
  Status (*forward)(Handle handle, const void* alpha, TensorDescriptor x_descriptor, const void* x,
                    FilterDescriptor weight_descriptor, const void* weight,
                    ConvolutionDescriptor convolution, ForwardAlgorithm algorithm, void* work,
                    std::size_t work_bytes, const void* beta, TensorDescriptor y_descriptor,
                    void* y);
  Status (*input_gradient_workspace_size)(Handle handle, FilterDescriptor weight,
                                          TensorDescriptor dy, ConvolutionDescriptor convolution,
                                          TensorDescriptor dx, InputGradientAlgorithm algorithm,
                                          std::size_t* bytes);
  Status (*input_gradient)(Handle handle, const void* alpha, FilterDescriptor weight_descriptor,
                           const void* weight, TensorDescriptor dy_descriptor, const void* dy,
                           ConvolutionDescriptor convolution, InputGradientAlgorithm algorithm,
                           void* work, std::size_t work_bytes, const void* beta,
                           TensorDescriptor dx_descriptor, void* dx);
  Status (*weight_gradient_workspace_size)(Handle handle, TensorDescriptor x, TensorDescriptor dy,
                                           ConvolutionDescriptor convolution,
                                           FilterDescriptor dweight,
                                           WeightGradientAlgorithm algorithm, std::size_t* bytes);
  Status (*weight_gradient)(Handle handle, const void* alpha, TensorDescriptor x_descriptor,
                            const void* x, TensorDescriptor dy_descriptor, const void* dy,
                            ConvolutionDescriptor convolution, WeightGradientAlgorithm algorithm,
                            void* work, std::size_t work_bytes, const void* beta,
                            FilterDescriptor dweight_descriptor, void* dweight);
};

struct Library {
  Interface functions{};
  ConvolutionInterface convolutions{};
  bool has_convolutions = false;
  std::string version;  // "9.19.0"; empty if it cannot be used
  std::string why_not;  // on one line; empty if it can
};
/// Looks for libcudnn.so.9 as the dynamic linker does.
Library load();

/// The interface of the process, loaded on first use. Throws Unsupported if there is none.
const Interface& functions();
/// Null if there is no cuDNN, or none with convolutions.
const ConvolutionInterface* convolutions();

/// Throws if the status is an error. Unsupported, in cuDNN's words: cuDNN does not support the
/// model or rejects its parameters; it says so before it computes anything, for a descriptor or
/// only for the first pass. DeviceError: everything else.
void check(Status status, const char* call, const char* file, int line);
/// The name of the status and cuDNN's further explanation, on one line.
std::string words(Status status);

struct Deleter {
  void operator()(Handle handle) const noexcept;
  void operator()(DropoutDescriptor descriptor) const noexcept;
  void operator()(RnnDescriptor descriptor) const noexcept;
  void operator()(RnnDataDescriptor descriptor) const noexcept;
  void operator()(TensorDescriptor descriptor) const noexcept;
  void operator()(FilterDescriptor descriptor) const noexcept;
  void operator()(ConvolutionDescriptor descriptor) const noexcept;
};
/// Deletes a handle or descriptor.
template <typename Pointer>
using Owner = std::unique_ptr<std::remove_pointer_t<Pointer>, Deleter>;

Owner<Handle> make_handle(cudaStream_t stream);
/// Dropout of rate 0, which needs no memory.
Owner<DropoutDescriptor> make_no_dropout(Handle handle);
Owner<RnnDescriptor> make_rnn_descriptor();
/// Sequences of equal length.
struct RnnDataShape {
  DataType type;
  DataLayout layout;
  int steps, batch, width;
};
Owner<RnnDataDescriptor> make_rnn_data_descriptor(const RnnDataShape& shape);
/// A descriptor that has no shape yet.
Owner<TensorDescriptor> make_tensor_descriptor();
/// Dense, row-major.
Owner<TensorDescriptor> make_tensor_descriptor(DataType type, const std::vector<int>& extents);
// Only where there are convolutions.
Owner<FilterDescriptor> make_filter_descriptor(DataType type, const std::vector<int>& extents);
Owner<ConvolutionDescriptor> make_convolution_descriptor();

}  // namespace unroll::gpu::cudnn

#define UNROLL_CUDNN_CHECK(call) ::unroll::gpu::cudnn::check((call), #call, __FILE__, __LINE__)
