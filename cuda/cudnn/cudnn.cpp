#include "cuda/cudnn/cudnn.h"

#include <dlfcn.h>

#include <algorithm>
#include <vector>

#include "cuda/device/runtime.h"
#include "unroll/device.h"

namespace unroll::gpu::cudnn {
namespace {

constexpr const char* kName = "libcudnn.so.9";
constexpr std::size_t kMajor = 9;

/// Fills in functions and remembers the first one that is missing.
class Loader {
 public:
  explicit Loader(void* library) : library_(library) {}

  template <typename Function>
  void find(Function*& function, const char* name) {
    function = reinterpret_cast<Function*>(dlsym(library_, name));
    if (!function && missing_.empty()) missing_ = name;
  }
  const std::string& missing() const { return missing_; }

 private:
  void* library_;
  std::string missing_;
};

void find_all(Loader& loader, Interface& f) {
  loader.find(f.get_version, "cudnnGetVersion");
  loader.find(f.get_error_string, "cudnnGetErrorString");
  loader.find(f.get_last_error_string, "cudnnGetLastErrorString");
  loader.find(f.create, "cudnnCreate");
  loader.find(f.destroy, "cudnnDestroy");
  loader.find(f.set_stream, "cudnnSetStream");
  loader.find(f.create_tensor_descriptor, "cudnnCreateTensorDescriptor");
  loader.find(f.destroy_tensor_descriptor, "cudnnDestroyTensorDescriptor");
  loader.find(f.set_tensor_nd_descriptor, "cudnnSetTensorNdDescriptor");
  loader.find(f.get_tensor_nd_descriptor, "cudnnGetTensorNdDescriptor");
  loader.find(f.create_dropout_descriptor, "cudnnCreateDropoutDescriptor");
  loader.find(f.destroy_dropout_descriptor, "cudnnDestroyDropoutDescriptor");
  loader.find(f.set_dropout_descriptor, "cudnnSetDropoutDescriptor");
  loader.find(f.create_rnn_descriptor, "cudnnCreateRNNDescriptor");
  loader.find(f.destroy_rnn_descriptor, "cudnnDestroyRNNDescriptor");
  loader.find(f.set_rnn_descriptor, "cudnnSetRNNDescriptor_v8");
  loader.find(f.build_rnn_dynamic, "cudnnBuildRNNDynamic");
  loader.find(f.get_rnn_temp_space_sizes, "cudnnGetRNNTempSpaceSizes");
  loader.find(f.get_rnn_weight_space_size, "cudnnGetRNNWeightSpaceSize");
  loader.find(f.get_rnn_weight_params, "cudnnGetRNNWeightParams");
  loader.find(f.create_rnn_data_descriptor, "cudnnCreateRNNDataDescriptor");
  loader.find(f.destroy_rnn_data_descriptor, "cudnnDestroyRNNDataDescriptor");
  loader.find(f.set_rnn_data_descriptor, "cudnnSetRNNDataDescriptor");
  loader.find(f.rnn_forward, "cudnnRNNForward");
  loader.find(f.rnn_backward_data, "cudnnRNNBackwardData_v8");
  loader.find(f.rnn_backward_weights, "cudnnRNNBackwardWeights_v8");
}

void find_all(Loader& loader, ConvolutionInterface& f) {
  loader.find(f.create_filter_descriptor, "cudnnCreateFilterDescriptor");
  loader.find(f.destroy_filter_descriptor, "cudnnDestroyFilterDescriptor");
  loader.find(f.set_filter_nd_descriptor, "cudnnSetFilterNdDescriptor");
  loader.find(f.create_convolution_descriptor, "cudnnCreateConvolutionDescriptor");
  loader.find(f.destroy_convolution_descriptor, "cudnnDestroyConvolutionDescriptor");
  loader.find(f.set_convolution_math_type, "cudnnSetConvolutionMathType");
  loader.find(f.set_convolution_2d_descriptor, "cudnnSetConvolution2dDescriptor");
  loader.find(f.forward_workspace_size, "cudnnGetConvolutionForwardWorkspaceSize");
  loader.find(f.forward, "cudnnConvolutionForward");
  loader.find(f.input_gradient_workspace_size, "cudnnGetConvolutionBackwardDataWorkspaceSize");
  loader.find(f.input_gradient, "cudnnConvolutionBackwardData");
  loader.find(f.weight_gradient_workspace_size, "cudnnGetConvolutionBackwardFilterWorkspaceSize");
  loader.find(f.weight_gradient, "cudnnConvolutionBackwardFilter");
}

Interface require() {
  const Library library = load();
  if (!library.why_not.empty())
    throw Unsupported("RNN algorithm cudnn: " + library.why_not +
                      ", expected cuDNN 9: install it, or use the algorithm stepwise");
  return library.functions;
}

std::string one_line(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

/// For destructors, like gpu::report().
void report(Status status, const char* call) noexcept {
  if (status != Status::kSuccess) tell(call, functions().get_error_string(status));
}

template <typename Pointer>
Owner<Pointer> make(Status (*create)(Pointer*), const char* call) {
  Pointer created = nullptr;
  check(create(&created), call, __FILE__, __LINE__);
  return Owner<Pointer>(created);
}

}  // namespace

Library load() {
  Library library;
  void* const opened =
      dlopen(kName, RTLD_NOW | RTLD_LOCAL);  // never closed: handles may outlive us
  if (!opened) {
    const char* const error = dlerror();
    const std::string why = error ? error : "";
    library.why_not = why.find("cannot open shared object file: No such file") != why.npos
                          ? std::string(kName) + " was not found"
                          : one_line(why);
    return library;
  }
  Loader loader(opened);
  find_all(loader, library.functions);
  if (!library.functions.get_version) {
    library.why_not = std::string(kName) + " is not cuDNN";
    return library;
  }
  const std::size_t number = library.functions.get_version();  // 10000 major + 100 minor + patch
  const std::string version = std::to_string(number / 10000) + "." +
                              std::to_string(number / 100 % 100) + "." +
                              std::to_string(number % 100);
  if (number / 10000 != kMajor)
    library.why_not = std::string(kName) + " is cuDNN " + version;
  else if (!loader.missing().empty())
    library.why_not = "cuDNN " + version + " has no " + loader.missing();
  else
    library.version = version;
  Loader convolutions(opened);
  find_all(convolutions, library.convolutions);
  library.has_convolutions = library.why_not.empty() && convolutions.missing().empty();
  return library;
}

const Interface& functions() {
  static const Interface loaded = require();  // tried again if it throws
  return loaded;
}

const ConvolutionInterface* convolutions() {
  static const Library library = load();
  return library.has_convolutions ? &library.convolutions : nullptr;
}

std::string words(Status status) {
  std::string text = functions().get_error_string(status);
  std::vector<char> more(512);
  functions().get_last_error_string(more.data(), more.size());
  more.back() = '\0';
  if (more.front() != '\0') text += std::string(", ") + more.data();
  return one_line(text);
}

void check(Status status, const char* call, const char* file, int line) {
  if (status == Status::kSuccess) return;
  std::string name = call;  // without the arguments, which are many
  if (name.starts_with("functions().")) name.erase(0, name.find('.') + 1);
  name.resize(std::min(name.size(), name.find('(')));
  const int category = int(status) / 1000 * 1000;
  if (category == int(Status::kNotSupported) || category == int(Status::kBadParam)) {
    forget_error();
    throw Unsupported("cuDNN refuses: " + words(status) + " (in " + name +
                      "), expected what it supports; use the algorithm stepwise");
  }
  fail("cuDNN: " + words(status), name.c_str(), file, line);
}

void Deleter::operator()(Handle handle) const noexcept {
  report(functions().destroy(handle), "cudnnDestroy");
}
void Deleter::operator()(DropoutDescriptor descriptor) const noexcept {
  report(functions().destroy_dropout_descriptor(descriptor), "cudnnDestroyDropoutDescriptor");
}
void Deleter::operator()(RnnDescriptor descriptor) const noexcept {
  report(functions().destroy_rnn_descriptor(descriptor), "cudnnDestroyRNNDescriptor");
}
void Deleter::operator()(RnnDataDescriptor descriptor) const noexcept {
  report(functions().destroy_rnn_data_descriptor(descriptor), "cudnnDestroyRNNDataDescriptor");
}
void Deleter::operator()(TensorDescriptor descriptor) const noexcept {
  report(functions().destroy_tensor_descriptor(descriptor), "cudnnDestroyTensorDescriptor");
}
void Deleter::operator()(FilterDescriptor descriptor) const noexcept {
  report(convolutions()->destroy_filter_descriptor(descriptor), "cudnnDestroyFilterDescriptor");
}
void Deleter::operator()(ConvolutionDescriptor descriptor) const noexcept {
  report(convolutions()->destroy_convolution_descriptor(descriptor),
         "cudnnDestroyConvolutionDescriptor");
}

Owner<Handle> make_handle(cudaStream_t stream) {
  auto handle = make(functions().create, "cudnnCreate");
  UNROLL_CUDNN_CHECK(functions().set_stream(handle.get(), stream));
  return handle;
}

Owner<DropoutDescriptor> make_no_dropout(Handle handle) {
  auto dropout = make(functions().create_dropout_descriptor, "cudnnCreateDropoutDescriptor");
  UNROLL_CUDNN_CHECK(functions().set_dropout_descriptor(dropout.get(), handle, 0, nullptr, 0, 0));
  return dropout;
}

Owner<RnnDescriptor> make_rnn_descriptor() {
  return make(functions().create_rnn_descriptor, "cudnnCreateRNNDescriptor");
}

Owner<RnnDataDescriptor> make_rnn_data_descriptor(const RnnDataShape& shape) {
  auto data = make(functions().create_rnn_data_descriptor, "cudnnCreateRNNDataDescriptor");
  const std::vector<int> lengths(std::size_t(shape.batch), shape.steps);
  UNROLL_CUDNN_CHECK(functions().set_rnn_data_descriptor(data.get(), shape.type, shape.layout,
                                                         shape.steps, shape.batch, shape.width,
                                                         lengths.data(), nullptr));
  return data;
}

Owner<TensorDescriptor> make_tensor_descriptor() {
  return make(functions().create_tensor_descriptor, "cudnnCreateTensorDescriptor");
}

Owner<TensorDescriptor> make_tensor_descriptor(DataType type, const std::vector<int>& extents) {
  auto tensor = make_tensor_descriptor();
  std::vector<int> strides(extents.size(), 1);
  for (std::size_t k = extents.size(); k-- > 1;) strides[k - 1] = strides[k] * extents[k];
  UNROLL_CUDNN_CHECK(functions().set_tensor_nd_descriptor(tensor.get(), type, int(extents.size()),
                                                          extents.data(), strides.data()));
  return tensor;
}

Owner<FilterDescriptor> make_filter_descriptor(DataType type, const std::vector<int>& extents) {
  auto filter = make(convolutions()->create_filter_descriptor, "cudnnCreateFilterDescriptor");
  UNROLL_CUDNN_CHECK(convolutions()->set_filter_nd_descriptor(
      filter.get(), type, FilterFormat::kNchw, int(extents.size()), extents.data()));
  return filter;
}

Owner<ConvolutionDescriptor> make_convolution_descriptor() {
  return make(convolutions()->create_convolution_descriptor, "cudnnCreateConvolutionDescriptor");
}

}  // namespace unroll::gpu::cudnn
