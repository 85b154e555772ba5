/// A stand-in for cuDNN on the CPU: the recurrent part of its interface. It is as strict as the
/// real one is known to be, and stricter where the manual says nothing: its weight space has gaps
/// and an unexpected order, every call overwrites its work space, and the data that the forward
/// pass keeps serve one backward pass.
///
/// If UNROLL_EMULATED_CUDNN_WRONG is set in the environment, the first element of y is wrong.
#include "cuda/cudnn/cudnn.h"

#include <dlfcn.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "tests/cuda_emulation/cudnn/memory.h"
#include "tests/cuda_emulation/cudnn/passes.h"
#include "tests/cuda_emulation/hooks.h"

using namespace unroll::gpu::cudnn;  // NOLINT: its C interface follows

namespace {

constexpr Status kShapeNotSupported = Status(3002), kTypeNotSupported = Status(3003),
                 kLayoutNotSupported = Status(3004);

std::string& last_error() {
  thread_local std::string text;
  return text;
}
Status refuse(Status status, const std::string& why) {
  last_error() = why;
  return status;
}

const emulation::Hooks* hooks() {
  void* const module = dlopen("libunroll_cuda.so", RTLD_NOW | RTLD_NOLOAD);
  if (!module) return nullptr;
  const auto entry =
      reinterpret_cast<const emulation::Hooks* (*)()>(dlsym(module, "unroll_emulation_hooks"));
  return entry ? entry() : nullptr;
}

/// Persistent algorithms do not take bfloat16. The real cuDNN does not say so for an RNN descriptor
/// but later; so does this one, in both possible ways: for the static ones when sizes are
/// requested, for the dynamic one in the first pass.
Status check_type(const RnnData& rnn) {
  if (rnn.algorithm == Algorithm::kStandard || rnn.type != DataType::kBfloat16)
    return Status::kSuccess;
  return refuse(rnn.algorithm == Algorithm::kPersistDynamic ? Status::kBadParam : kTypeNotSupported,
                "persistent algorithms take no bfloat16");
}

/// The persistent algorithms can keep only limited shapes on the chip.
Status check_shape(const RnnData& rnn, ForwardMode mode, int batch) {
  const bool training = mode == ForwardMode::kTraining;
  const bool gated = rnn.cell == CellMode::kLstm || rnn.cell == CellMode::kGru;
  if (rnn.algorithm == Algorithm::kPersistStatic && (rnn.hidden % 128 != 0 || rnn.hidden > 1024))
    return refuse(kShapeNotSupported, "persist_static: hiddenSize");
  const int most = gated ? (training ? 128 : 192) : (training ? 256 : 384);
  if (rnn.algorithm == Algorithm::kPersistStaticSmallH && rnn.hidden > most)
    return refuse(kShapeNotSupported, "persist_static_small_h: hiddenSize");
  if (rnn.algorithm == Algorithm::kPersistDynamic && rnn.dynamic_batch != batch)
    return refuse(Status::kBadParam, "persist_dynamic: not built for this miniBatch");
  return Status::kSuccess;
}

Status check_data(const RnnData& rnn, const RnnDataData& data, int width) {
  if (data.type != rnn.type || data.width != width || data.steps < 1)
    return refuse(Status::kBadParam, "an RNN data descriptor does not fit the RNN descriptor");
  if ((data.layout == DataLayout::kSequenceMajorPacked) == (rnn.flags == kPaddedIoEnabled))
    return refuse(kLayoutNotSupported, "the data layout and the padding of the RNN disagree");
  // No such refusal is known, but a caller must be ready for one.
  if (rnn.algorithm == Algorithm::kPersistDynamic &&
      data.layout != DataLayout::kSequenceMajorPacked)
    return refuse(kLayoutNotSupported, "persist_dynamic: expected the packed layout");
  return Status::kSuccess;
}

/// `size`: that of h, or of c.
Status check_state(const RnnData& rnn, const TensorDescriptor states, int batch, int size) {
  const std::vector<int> extents{rnn.cells(), batch, size};
  const std::vector<int> strides{batch * size, size, 1};
  if (!states || states->type != rnn.type || states->extents != extents ||
      states->strides != strides)
    return refuse(Status::kBadParam, "a state's tensor descriptor does not fit");
  return Status::kSuccess;
}

struct Buffer {
  const void* memory;
  std::size_t bytes;
  bool optional = false;
};

struct Call {
  Handle handle;
  RnnDescriptor rnn;
  const std::int32_t* lengths;
  RnnDataDescriptor x, y;
  TensorDescriptor h, c;
  std::size_t weight_bytes, work_bytes, reserve_bytes;
  ForwardMode mode;
};

/// Runs the checks that all passes share, then queues the pass.
Status queue(const Call& call, const Pass& given, std::initializer_list<Buffer> buffers,
             void (*run)(const Pass&)) {
  if (!call.handle || !call.rnn || !call.rnn->is_set || !call.x || !call.y)
    return refuse(Status::kBadParam, "a null pointer");
  const RnnData& rnn = *call.rnn;
  const int batch = call.x->batch;
  if (call.lengths) return refuse(Status::kBadParam, "devSeqLengths: expected NULL");
  for (const Status status :
       {check_type(rnn), check_shape(rnn, call.mode, batch), check_data(rnn, *call.x, rnn.input),
        check_data(rnn, *call.y, rnn.outputs()), check_state(rnn, call.h, batch, rnn.projection),
        rnn.cell == CellMode::kLstm && call.c ? check_state(rnn, call.c, batch, rnn.hidden)
                                              : Status::kSuccess})
    if (status != Status::kSuccess) return status;
  if (call.y->batch != batch || call.y->steps != call.x->steps)
    return refuse(Status::kBadParam, "x and y differ in steps or batch");
  const bool training = call.mode == ForwardMode::kTraining;
  if (call.weight_bytes < weight_bytes_of(rnn) || call.work_bytes < work_bytes_of(rnn, *call.x) ||
      (training && call.reserve_bytes < reserve_bytes_of(rnn, *call.x)))
    return refuse(Status::kBadParam, "a memory is too small");
  const emulation::Hooks* const cuda = hooks();
  for (const Buffer& buffer : buffers)
    if (!(buffer.optional && !buffer.memory) &&
        !cuda->is_device_memory(buffer.memory, buffer.bytes))
      return refuse(Status::kBadParam, "memory that is not the device's, or null");
  Pass pass = given;
  pass.rnn = rnn;
  pass.steps = call.x->steps;
  pass.batch = batch;
  pass.work_bytes = call.work_bytes;
  pass.training = training;
  const cudaError_t error = cuda->enqueue(call.handle->stream, [pass, run] { run(pass); });
  return error == cudaSuccess ? Status::kSuccess
                              : refuse(Status::kExecutionFailed, "the stream takes no work");
}

/// The sizes in bytes of the data, of all states, and of the memories.
struct Sizes {
  std::size_t x, y, h, c, weights, work, reserve;
  explicit Sizes(const Call& call) {
    const std::size_t element = size_of(call.rnn->type);
    const auto rows = std::size_t(call.x->steps) * std::size_t(call.x->batch);
    x = rows * std::size_t(call.rnn->input) * element;
    y = rows * std::size_t(call.rnn->outputs()) * element;
    const std::size_t states = std::size_t(call.rnn->cells() * call.x->batch) * element;
    h = states * std::size_t(call.rnn->projection);
    c = states * std::size_t(call.rnn->hidden);
    weights = call.weight_bytes;
    work = call.work_bytes;
    reserve = call.reserve_bytes;
  }
};

template <typename Pointer>
Status create(Pointer* to) {
  if (!to) return refuse(Status::kBadParam, "a null pointer");
  *to = new std::remove_pointer_t<Pointer>;
  return Status::kSuccess;
}
template <typename Pointer>
Status destroy(Pointer what) {
  delete what;
  return Status::kSuccess;
}

/// Checks that a function has the type that the engine declares.
template <typename Function>
constexpr bool is_member(Function* Interface::*, Function*) {
  return true;
}

}  // namespace

#pragma GCC visibility push(default)
extern "C" {

std::size_t cudnnGetVersion() {
  return 91900;
}
const char* cudnnGetErrorString(Status status) {
  switch (int(status) / 1000) {
    case 0:
      return "CUDNN_STATUS_SUCCESS";
    case 1:
      return "CUDNN_STATUS_NOT_INITIALIZED";
    case 2:
      return "CUDNN_STATUS_BAD_PARAM";
    case 3:
      return "CUDNN_STATUS_NOT_SUPPORTED";
    case 4:
      return "CUDNN_STATUS_INTERNAL_ERROR";
  }
  return "CUDNN_STATUS_EXECUTION_FAILED";
}
void cudnnGetLastErrorString(char* message, std::size_t bytes) {
  std::snprintf(message, bytes, "%s", std::exchange(last_error(), {}).c_str());
}

Status cudnnCreate(Handle* handle) {
  if (!hooks()) return refuse(Status::kNotInitialized, "this stand-in needs the emulated CUDA");
  return create(handle);
}
Status cudnnDestroy(Handle handle) {
  return destroy(handle);
}
Status cudnnSetStream(Handle handle, cudaStream_t stream) {
  handle->stream = stream;
  return Status::kSuccess;
}

Status cudnnCreateTensorDescriptor(TensorDescriptor* descriptor) {
  return create(descriptor);
}
Status cudnnDestroyTensorDescriptor(TensorDescriptor descriptor) {
  return destroy(descriptor);
}
Status cudnnSetTensorNdDescriptor(TensorDescriptor descriptor, DataType type, int dims,
                                  const int* extents, const int* strides) {
  if (dims < 3 || dims > 8) return refuse(Status::kNotSupported, "nbDims");
  *descriptor = {type, {extents, extents + dims}, {strides, strides + dims}};
  return Status::kSuccess;
}
Status cudnnGetTensorNdDescriptor(TensorDescriptor descriptor, int most_dims, DataType* type,
                                  int* dims, int* extents, int* strides) {
  *type = descriptor->type;
  *dims = int(descriptor->extents.size());
  const auto count = std::size_t(std::min(most_dims, *dims));
  std::copy_n(descriptor->extents.begin(), count, extents);
  std::copy_n(descriptor->strides.begin(), count, strides);
  return Status::kSuccess;
}

Status cudnnCreateDropoutDescriptor(DropoutDescriptor* descriptor) {
  return create(descriptor);
}
Status cudnnDestroyDropoutDescriptor(DropoutDescriptor descriptor) {
  return destroy(descriptor);
}
Status cudnnSetDropoutDescriptor(DropoutDescriptor descriptor, Handle handle, float rate,
                                 void* states, std::size_t, unsigned long long) {
  if (!handle || rate != 0 || states)
    return refuse(Status::kNotSupported, "this stand-in drops nothing");
  descriptor->is_set = true;
  return Status::kSuccess;
}

Status cudnnCreateRNNDescriptor(RnnDescriptor* descriptor) {
  return create(descriptor);
}
Status cudnnDestroyRNNDescriptor(RnnDescriptor descriptor) {
  return destroy(descriptor);
}
Status cudnnSetRNNDescriptor_v8(RnnDescriptor descriptor, Algorithm algorithm, CellMode cell,
                                BiasMode bias, DirectionMode direction, InputMode input_mode,
                                DataType type, DataType math_precision, MathType math,
                                std::int32_t input, std::int32_t hidden, std::int32_t projection,
                                std::int32_t layers, DropoutDescriptor dropout,
                                std::uint32_t flags) {
  if (!descriptor || !dropout || !dropout->is_set || input < 1 || hidden < 1 || layers < 1 ||
      projection < 1 || flags > kPaddedIoEnabled)
    return refuse(Status::kBadParam, "a size, or a descriptor that is not set");
  const bool has_projections = cell == CellMode::kLstm && algorithm == Algorithm::kStandard;
  if (projection > hidden || (projection < hidden && !has_projections))
    return refuse(Status::kNotSupported,
                  "projSize: at most hiddenSize, and less only for "
                  "CUDNN_LSTM with the standard algorithm");
  if (bias != BiasMode::kDouble || input_mode != InputMode::kLinear)
    return refuse(Status::kNotSupported, "this stand-in has two biases and a linear input");
  const bool is_float = type == DataType::kFloat;
  if (math_precision != DataType::kFloat || (math == MathType::kTensorOp) == is_float)
    return refuse(kTypeNotSupported, "dataType, mathPrec and mathType");
  *descriptor = {.is_set = true,
                 .algorithm = algorithm,
                 .cell = cell,
                 .type = type,
                 .math = math,
                 .input = input,
                 .hidden = hidden,
                 .projection = projection,
                 .layers = layers,
                 .directions = direction == DirectionMode::kBidirectional ? 2 : 1,
                 .flags = flags};
  return Status::kSuccess;
}
Status cudnnBuildRNNDynamic(Handle handle, RnnDescriptor descriptor, int batch) {
  if (!handle || !descriptor->is_set || descriptor->algorithm != Algorithm::kPersistDynamic)
    return refuse(Status::kBadParam, "an RNN descriptor that is not set, or of another algorithm");
  descriptor->dynamic_batch = batch;
  return Status::kSuccess;
}
Status cudnnGetRNNTempSpaceSizes(Handle handle, RnnDescriptor descriptor, ForwardMode mode,
                                 RnnDataDescriptor x, std::size_t* work_bytes,
                                 std::size_t* reserve_bytes) {
  if (!handle || !descriptor->is_set || !x) return refuse(Status::kBadParam, "a null pointer");
  const bool is_dynamic = descriptor->algorithm == Algorithm::kPersistDynamic;
  for (const Status status :
       {is_dynamic ? Status::kSuccess : check_type(*descriptor),
        check_data(*descriptor, *x, descriptor->input), check_shape(*descriptor, mode, x->batch)})
    if (status != Status::kSuccess) return status;
  *work_bytes = work_bytes_of(*descriptor, *x);
  *reserve_bytes = mode == ForwardMode::kTraining ? reserve_bytes_of(*descriptor, *x) : 0;
  return Status::kSuccess;
}
Status cudnnGetRNNWeightSpaceSize(Handle handle, RnnDescriptor descriptor, std::size_t* bytes) {
  if (!handle || !descriptor->is_set) return refuse(Status::kBadParam, "a null pointer");
  *bytes = weight_bytes_of(*descriptor);
  return Status::kSuccess;
}
Status cudnnGetRNNWeightParams(Handle handle, RnnDescriptor descriptor, std::int32_t pseudo_layer,
                               std::size_t weight_bytes, const void* weights,
                               std::int32_t linear_layer, TensorDescriptor matrix_descriptor,
                               void** matrix, TensorDescriptor bias_descriptor, void** bias) {
  const RnnData& rnn = *descriptor;
  if (!handle || !weights || !matrix_descriptor || !bias_descriptor || pseudo_layer < 0 ||
      pseudo_layer >= rnn.cells() || linear_layer < 0 || linear_layer > 2 * rnn.gates() ||
      weight_bytes < weight_bytes_of(rnn))
    return refuse(Status::kBadParam, "a null pointer, or a weight that is none");
  *matrix_descriptor = *bias_descriptor = {rnn.type, {}, {}};
  *matrix = *bias = nullptr;
  if (linear_layer >= rnn.parts()) return Status::kSuccess;  // a projection that there is not
  const Place place = place_of(rnn, pseudo_layer, linear_layer);
  const int rows = int(place.rows), columns = int(place.columns);
  auto* const bytes = static_cast<std::byte*>(const_cast<void*>(weights));
  *matrix_descriptor = {rnn.type, {1, rows, columns}, {rows * columns, columns, 1}};
  *matrix = bytes + std::size_t(place.matrix) * size_of(rnn.type);
  if (!place.has_bias) return Status::kSuccess;
  *bias_descriptor = {rnn.type, {1, rows, 1}, {rows, 1, 1}};
  *bias = bytes + std::size_t(place.bias) * size_of(rnn.type);
  return Status::kSuccess;
}
Status cudnnCreateRNNDataDescriptor(RnnDataDescriptor* descriptor) {
  return create(descriptor);
}
Status cudnnDestroyRNNDataDescriptor(RnnDataDescriptor descriptor) {
  return destroy(descriptor);
}
Status cudnnSetRNNDataDescriptor(RnnDataDescriptor descriptor, DataType type, DataLayout layout,
                                 int steps, int batch, int width, const int* lengths, void*) {
  if (steps < 1 || batch < 1 || width < 1 || !lengths) return refuse(Status::kBadParam, "a size");
  if (std::any_of(lengths, lengths + batch, [&](int length) { return length != steps; }))
    return refuse(Status::kNotSupported, "this stand-in has sequences of equal length");
  *descriptor = {type, layout, steps, batch, width};
  return Status::kSuccess;
}

Status cudnnRNNForward(Handle handle, RnnDescriptor rnn, ForwardMode mode,
                       const std::int32_t* lengths, RnnDataDescriptor x_descriptor, const void* x,
                       RnnDataDescriptor y_descriptor, void* y, TensorDescriptor h_descriptor,
                       const void* hx, void* hy, TensorDescriptor c_descriptor, const void* cx,
                       void* cy, std::size_t weight_bytes, const void* weights,
                       std::size_t work_bytes, void* work, std::size_t reserve_bytes,
                       void* reserve) {
  const Call call{handle,       rnn,          lengths,    x_descriptor,  y_descriptor, h_descriptor,
                  c_descriptor, weight_bytes, work_bytes, reserve_bytes, mode};
  const Sizes size(call);
  Pass pass{};
  pass.x = x;
  pass.y = pass.y_out = y;
  pass.hx = hx, pass.cx = cx, pass.hy = hy, pass.cy = cy;
  pass.weights = weights;
  pass.work = work, pass.reserve = reserve;
  return queue(call, pass,
               {{x, size.x},
                {y, size.y},
                {hx, size.h, true},
                {hy, size.h, true},
                {cx, size.c, true},
                {cy, size.c, true},
                {weights, size.weights},
                {work, size.work},
                {reserve, size.reserve, mode == ForwardMode::kInference}},
               run_forward);
}

Status cudnnRNNBackwardData_v8(Handle handle, RnnDescriptor rnn, const std::int32_t* lengths,
                               RnnDataDescriptor y_descriptor, const void* y, const void* dy,
                               RnnDataDescriptor x_descriptor, void* dx,
                               TensorDescriptor h_descriptor, const void* hx, const void* dhy,
                               void* dhx, TensorDescriptor c_descriptor, const void* cx,
                               const void* dcy, void* dcx, std::size_t weight_bytes,
                               const void* weights, std::size_t work_bytes, void* work,
                               std::size_t reserve_bytes, void* reserve) {
  const Call call{
      handle,       rnn,          lengths,    x_descriptor,  y_descriptor,          h_descriptor,
      c_descriptor, weight_bytes, work_bytes, reserve_bytes, ForwardMode::kTraining};
  const Sizes size(call);
  Pass pass{};
  pass.y = y, pass.dy = dy, pass.dx = dx;
  pass.hx = hx, pass.dhy = dhy, pass.dhx = dhx;
  pass.cx = cx, pass.dcy = dcy, pass.dcx = dcx;
  pass.weights = weights;
  pass.work = work, pass.reserve = reserve;
  return queue(call, pass,
               {{y, size.y},
                {dy, size.y},
                {dx, size.x},
                {hx, size.h, true},
                {dhy, size.h, true},
                {dhx, size.h, true},
                {cx, size.c, true},
                {dcy, size.c, true},
                {dcx, size.c, true},
                {weights, size.weights},
                {work, size.work},
                {reserve, size.reserve}},
               run_backward_data);
}

Status cudnnRNNBackwardWeights_v8(Handle handle, RnnDescriptor rnn, GradientMode mode,
                                  const std::int32_t* lengths, RnnDataDescriptor x_descriptor,
                                  const void* x, TensorDescriptor h_descriptor, const void* hx,
                                  RnnDataDescriptor y_descriptor, const void* y,
                                  std::size_t weight_bytes, void* dweights, std::size_t work_bytes,
                                  void* work, std::size_t reserve_bytes, void* reserve) {
  if (mode != GradientMode::kAdd)
    return refuse(Status::kNotSupported, "addGrad: expected CUDNN_WGRAD_MODE_ADD");
  const Call call{
      handle,  rnn,          lengths,    x_descriptor,  y_descriptor,          h_descriptor,
      nullptr, weight_bytes, work_bytes, reserve_bytes, ForwardMode::kTraining};
  const Sizes size(call);
  Pass pass{};
  pass.x = x, pass.hx = hx, pass.y = y;
  pass.dweights = dweights;
  pass.work = work, pass.reserve = reserve;
  return queue(call, pass,
               {{x, size.x},
                {hx, size.h, true},
                {y, size.y},
                {dweights, size.weights},
                {work, size.work},
                {reserve, size.reserve}},
               run_backward_weights);
}

}  // extern "C"
#pragma GCC visibility pop

static_assert(is_member(&Interface::get_version, &cudnnGetVersion) &&
              is_member(&Interface::get_error_string, &cudnnGetErrorString) &&
              is_member(&Interface::get_last_error_string, &cudnnGetLastErrorString) &&
              is_member(&Interface::create, &cudnnCreate) &&
              is_member(&Interface::destroy, &cudnnDestroy) &&
              is_member(&Interface::set_stream, &cudnnSetStream) &&
              is_member(&Interface::set_tensor_nd_descriptor, &cudnnSetTensorNdDescriptor) &&
              is_member(&Interface::get_tensor_nd_descriptor, &cudnnGetTensorNdDescriptor) &&
              is_member(&Interface::set_dropout_descriptor, &cudnnSetDropoutDescriptor) &&
              is_member(&Interface::set_rnn_descriptor, &cudnnSetRNNDescriptor_v8) &&
              is_member(&Interface::build_rnn_dynamic, &cudnnBuildRNNDynamic) &&
              is_member(&Interface::get_rnn_temp_space_sizes, &cudnnGetRNNTempSpaceSizes) &&
              is_member(&Interface::get_rnn_weight_space_size, &cudnnGetRNNWeightSpaceSize) &&
              is_member(&Interface::get_rnn_weight_params, &cudnnGetRNNWeightParams) &&
              is_member(&Interface::set_rnn_data_descriptor, &cudnnSetRNNDataDescriptor) &&
              is_member(&Interface::rnn_forward, &cudnnRNNForward) &&
              is_member(&Interface::rnn_backward_data, &cudnnRNNBackwardData_v8) &&
              is_member(&Interface::rnn_backward_weights, &cudnnRNNBackwardWeights_v8));
