#include "cuda/cudnn/cudnn_stack.h"

#include <limits>
#include <stdexcept>
#include <string>

#include "cuda/recurrent/recurrent_weights.h"

namespace unroll::gpu {
namespace {

using cudnn::functions;

cudnn::CellMode cell_mode(CellKind cell) {
  switch (cell) {
    case CellKind::kRnnTanh:
      return cudnn::CellMode::kTanh;
    case CellKind::kRnnRelu:
      return cudnn::CellMode::kRelu;
    case CellKind::kLstm:
      return cudnn::CellMode::kLstm;
    case CellKind::kGru:
      return cudnn::CellMode::kGru;
    case CellKind::kRnnLogistic:
      break;
  }
  throw std::invalid_argument("cuDNN has no rnn_logistic");
}

cudnn::Algorithm algorithm_of(const CudnnForm& form) {
  switch (form.algorithm) {
    case CudnnAlgorithm::kStandard:
      return cudnn::Algorithm::kStandard;
    case CudnnAlgorithm::kPersistStatic:
      return cudnn::Algorithm::kPersistStatic;
    case CudnnAlgorithm::kPersistDynamic:
      return cudnn::Algorithm::kPersistDynamic;
    case CudnnAlgorithm::kPersistStaticSmallH:
      return cudnn::Algorithm::kPersistStaticSmallH;
  }
  throw std::invalid_argument("unknown algorithm of cuDNN");
}

CudnnElement element_of(const CudnnForm& form, Precision precision) {
  if (form.half) return CudnnElement::kFloat16;
  return precision == Precision::kBf16 ? CudnnElement::kBfloat16 : CudnnElement::kFloat32;
}

cudnn::DataType type_of(CudnnElement element) {
  switch (element) {
    case CudnnElement::kFloat32:
      return cudnn::DataType::kFloat;
    case CudnnElement::kBfloat16:
      return cudnn::DataType::kBfloat16;
    case CudnnElement::kFloat16:
      return cudnn::DataType::kHalf;
  }
  throw std::invalid_argument("unknown element");
}

/// For float32 the default is TF32 on devices that have it.
cudnn::MathType math_of(CudnnElement element, Precision precision) {
  if (element != CudnnElement::kFloat32) return cudnn::MathType::kTensorOp;
  return precision == Precision::kTf32 ? cudnn::MathType::kDefault : cudnn::MathType::kFma;
}

int cudnn_int(std::int64_t n) {
  if (n > std::numeric_limits<std::int32_t>::max())
    throw Unsupported("cuDNN: got a dimension of " + std::to_string(n) + ", expected at most " +
                      std::to_string(std::numeric_limits<std::int32_t>::max()) +
                      "; use the algorithm stepwise");
  return int(n);
}

}  // namespace

CudnnContext::CudnnContext(Device& device, const CudnnForm& wanted)
    : form(wanted),
      name(to_string(wanted)),
      element(element_of(wanted, device.precision())),
      type(type_of(element)),
      math(math_of(element, device.precision())),
      handle(cudnn::make_handle(device.stream())),
      no_dropout(cudnn::make_no_dropout(handle.get())),
      base(device.allocate(256)) {}

CudnnStack::CudnnStack(const CudnnContext& context, const RecurrentArgs& args, int first, int count)
    : first_(first),
      count_(count),
      hidden_(args.spec.hidden[std::size_t(first)]),
      input_(gpu::layer_input(args.spec, args.input, first).columns()),
      output_(args.spec.directions * hidden_) {
  // Sequences of equal length have the same bytes in both layouts. PyTorch takes the unpacked one
  // for them, also in CUDA graphs.
  try {
    describe(context, args, context.form.packed);
  } catch (const Unsupported& refusal) {
    if (context.form.packed) throw;
    try {
      describe(context, args, true);
    } catch (const Unsupported&) {
      throw refusal;
    }
  }
  find_weight_offsets(context, args.spec);
}

void CudnnStack::describe(const CudnnContext& context, const RecurrentArgs& args, bool packed) {
  packed_ = packed;
  const cudnn::DataLayout layout =
      packed ? cudnn::DataLayout::kSequenceMajorPacked : cudnn::DataLayout::kSequenceMajorUnpacked;
  const RecurrentSpec& spec = args.spec;
  const int steps = cudnn_int(args.steps), batch = cudnn_int(args.batch),
            hidden = cudnn_int(hidden_);
  rnn_ = cudnn::make_rnn_descriptor();
  UNROLL_CUDNN_CHECK(functions().set_rnn_descriptor(
      rnn_.get(), algorithm_of(context.form), cell_mode(spec.cell), cudnn::BiasMode::kDouble,
      spec.directions == 2 ? cudnn::DirectionMode::kBidirectional
                           : cudnn::DirectionMode::kUnidirectional,
      cudnn::InputMode::kLinear, context.type, cudnn::DataType::kFloat, context.math,
      cudnn_int(input_), hidden, hidden, count_, context.no_dropout.get(),
      packed ? cudnn::kPaddedIoDisabled : cudnn::kPaddedIoEnabled));
  x_ = cudnn::make_rnn_data_descriptor({context.type, layout, steps, batch, cudnn_int(input_)});
  y_ = cudnn::make_rnn_data_descriptor({context.type, layout, steps, batch, cudnn_int(output_)});
  state_ = cudnn::make_tensor_descriptor(context.type, {count_ * spec.directions, batch, hidden});
  const cudnn::Handle handle = context.handle.get();
  if (context.form.algorithm == CudnnAlgorithm::kPersistDynamic)
    UNROLL_CUDNN_CHECK(functions().build_rnn_dynamic(handle, rnn_.get(), batch));
  UNROLL_CUDNN_CHECK(functions().get_rnn_temp_space_sizes(
      handle, rnn_.get(),
      args.training ? cudnn::ForwardMode::kTraining : cudnn::ForwardMode::kInference, x_.get(),
      &work_bytes_, &reserve_bytes_));
  if (!args.training) reserve_bytes_ = 0;
  UNROLL_CUDNN_CHECK(functions().get_rnn_weight_space_size(handle, rnn_.get(), &weight_bytes_));
}

void CudnnStack::find_weight_offsets(const CudnnContext& context, const RecurrentSpec& spec) {
  const auto matrix_descriptor = cudnn::make_tensor_descriptor(),
             bias_descriptor = cudnn::make_tensor_descriptor();
  const auto* const base = static_cast<const std::byte*>(context.base.get());
  const int gates = spec.gates();
  for (int cell = 0; cell < count_ * spec.directions; ++cell)
    for (int part = 0; part < 2 * gates; ++part) {
      void *matrix = nullptr, *bias = nullptr;
      UNROLL_CUDNN_CHECK(functions().get_rnn_weight_params(
          context.handle.get(), rnn_.get(), cell, weight_bytes_, base, part,
          matrix_descriptor.get(), &matrix, bias_descriptor.get(), &bias));
      const std::int64_t columns =
          part < gates ? layer_input(first_ + cell / spec.directions) : hidden_;
      const auto offset = [&](const void* address, cudnn::TensorDescriptor descriptor,
                              std::int64_t elements) {
        cudnn::DataType type{};
        int dims = 0, extents[3]{}, strides[3]{};
        UNROLL_CUDNN_CHECK(
            functions().get_tensor_nd_descriptor(descriptor, 3, &type, &dims, extents, strides));
        if (!address || type != context.type || dims != 3 ||
            std::int64_t(extents[0]) * extents[1] * extents[2] != elements)
          throw Unsupported("cuDNN: weight " + std::to_string(part) + " of cell " +
                            std::to_string(cell) + ": got " + std::to_string(extents[0]) + " x " +
                            std::to_string(extents[1]) + " x " + std::to_string(extents[2]) +
                            ", expected " + std::to_string(elements) +
                            " elements; use the algorithm stepwise");
        return std::size_t(static_cast<const std::byte*>(address) - base);
      };
      weight_offsets_.push_back({offset(matrix, matrix_descriptor.get(), hidden_ * columns),
                                 offset(bias, bias_descriptor.get(), hidden_)});
    }
}

std::vector<CudnnStack> cudnn_stacks(const CudnnContext& context, const RecurrentArgs& args) {
  const RecurrentSpec& spec = args.spec;
  std::vector<CudnnStack> stacks;
  for (int first = 0; first < spec.layers();) {
    int end = first + 1;
    while (spec.dropout == 0 && end < spec.layers() &&
           spec.hidden[std::size_t(end)] == spec.hidden[std::size_t(first)])
      ++end;
    stacks.emplace_back(context, args, first, end - first);
    first = end;
  }
  return stacks;
}

}  // namespace unroll::gpu
