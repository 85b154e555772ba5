#include "cuda/cudnn/cudnn_stack.h"

#include <limits>
#include <stdexcept>
#include <string>

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

int cudnn_int(std::int64_t n) {
  if (n > std::numeric_limits<std::int32_t>::max())
    throw Unsupported("cuDNN: got a dimension of " + std::to_string(n) + ", expected at most " +
                      std::to_string(std::numeric_limits<std::int32_t>::max()) +
                      "; use the algorithm stepwise");
  return int(n);
}

/// Finds the weights of an RNN in its weight space.
struct WeightFinder {
  const CudnnContext& context;
  cudnn::RnnDescriptor rnn;
  std::size_t space_bytes;

  struct Elements {
    std::int64_t matrix, bias;  // bias: 0 if the product has none
  };
  struct Offsets {
    std::size_t matrix, bias;  // in bytes; bias: 0 if there is none
  };
  /// One of the products of a cell: that of x or of h with the weights of a gate, or the
  /// projection. Throws Unsupported if cuDNN's weights have other sizes.
  Offsets find(int cell, int product, const Elements& expected) const;
};

WeightFinder::Offsets WeightFinder::find(int cell, int product, const Elements& expected) const {
  const auto matrix_descriptor = cudnn::make_tensor_descriptor(),
             bias_descriptor = cudnn::make_tensor_descriptor();
  const auto* const base = static_cast<const std::byte*>(context.base.get());
  void *matrix = nullptr, *bias = nullptr;
  UNROLL_CUDNN_CHECK(functions().get_rnn_weight_params(context.handle.get(), rnn, cell, space_bytes,
                                                       base, product, matrix_descriptor.get(),
                                                       &matrix, bias_descriptor.get(), &bias));
  const auto offset = [&](const void* address, cudnn::TensorDescriptor descriptor,
                          std::int64_t elements) {
    cudnn::DataType type{};
    int dims = 0, extents[3]{}, strides[3]{};
    UNROLL_CUDNN_CHECK(
        functions().get_tensor_nd_descriptor(descriptor, 3, &type, &dims, extents, strides));
    if (!address || type != context.type || dims != 3 ||
        std::int64_t(extents[0]) * extents[1] * extents[2] != elements)
      throw Unsupported("cuDNN: weight " + std::to_string(product) + " of cell " +
                        std::to_string(cell) + ": got " + std::to_string(extents[0]) + " x " +
                        std::to_string(extents[1]) + " x " + std::to_string(extents[2]) +
                        ", expected " + std::to_string(elements) +
                        " elements; use the algorithm stepwise");
    return std::size_t(static_cast<const std::byte*>(address) - base);
  };
  return {
      .matrix = offset(matrix, matrix_descriptor.get(), expected.matrix),
      .bias = expected.bias > 0 ? offset(bias, bias_descriptor.get(), expected.bias) : 0,
  };
}

}  // namespace

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

cudnn::MathType math_of(CudnnElement element, Precision precision) {
  if (element != CudnnElement::kFloat32) return cudnn::MathType::kTensorOp;
  return precision == Precision::kTf32 ? cudnn::MathType::kDefault : cudnn::MathType::kFma;
}

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
      hidden_(args.spec.units(first)),
      width_(args.spec.width(first)),
      input_(args.spec.layer_input(first, args.input)),
      output_(args.spec.output(first)) {
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
  find_weights(context, args.spec);
}

void CudnnStack::describe(const CudnnContext& context, const RecurrentArgs& args, bool packed) {
  packed_ = packed;
  const cudnn::DataLayout layout =
      packed ? cudnn::DataLayout::kSequenceMajorPacked : cudnn::DataLayout::kSequenceMajorUnpacked;
  const RecurrentSpec& spec = args.spec;
  const int steps = cudnn_int(args.steps), batch = cudnn_int(args.batch),
            hidden = cudnn_int(hidden_), width = cudnn_int(width_), cells = int(this->cells());
  rnn_ = cudnn::make_rnn_descriptor();
  UNROLL_CUDNN_CHECK(functions().set_rnn_descriptor(
      rnn_.get(), algorithm_of(context.form), cell_mode(spec.cell), cudnn::BiasMode::kDouble,
      spec.directions == 2 ? cudnn::DirectionMode::kBidirectional
                           : cudnn::DirectionMode::kUnidirectional,
      cudnn::InputMode::kLinear, context.type, cudnn::DataType::kFloat, context.math,
      cudnn_int(input_), hidden, width, count_, context.no_dropout.get(),
      packed ? cudnn::kPaddedIoDisabled : cudnn::kPaddedIoEnabled));
  x_ = cudnn::make_rnn_data_descriptor({context.type, layout, steps, batch, cudnn_int(input_)});
  y_ = cudnn::make_rnn_data_descriptor({context.type, layout, steps, batch, cudnn_int(output_)});
  h_ = cudnn::make_tensor_descriptor(context.type, {cells, batch, width});
  c_ = cudnn::make_tensor_descriptor(context.type, {cells, batch, hidden});
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

void CudnnStack::find_weights(const CudnnContext& context, const RecurrentSpec& spec) {
  const WeightFinder finder{context, rnn_.get(), weight_bytes_};
  const int gates = spec.gates();
  for (int cell = 0; cell < int(cells()); ++cell) {
    const auto add = [&](View RecurrentWeights::*parameter, std::int64_t first,
                         std::int64_t elements, std::size_t offset) {
      weight_parts_.push_back({std::size_t(cell), parameter, first, elements, offset});
    };
    const std::int64_t columns = cell < spec.directions ? input_ : output_;
    for (int gate = 0; gate < gates; ++gate) {
      const auto of_x = finder.find(cell, gate, {hidden_ * columns, hidden_});
      const auto of_h = finder.find(cell, gates + gate, {hidden_ * width_, hidden_});
      add(&RecurrentWeights::weight_ih, gate * hidden_ * columns, hidden_ * columns, of_x.matrix);
      add(&RecurrentWeights::bias_ih, gate * hidden_, hidden_, of_x.bias);
      add(&RecurrentWeights::weight_hh, gate * hidden_ * width_, hidden_ * width_, of_h.matrix);
      add(&RecurrentWeights::bias_hh, gate * hidden_, hidden_, of_h.bias);
    }
    if (spec.projection > 0) {
      const auto found = finder.find(cell, 2 * gates, {width_ * hidden_, 0});
      add(&RecurrentWeights::weight_hr, 0, width_ * hidden_, found.matrix);
    }
  }
}

std::vector<CudnnStack> cudnn_stacks(const CudnnContext& context, const RecurrentArgs& args) {
  const RecurrentSpec& spec = args.spec;
  std::vector<CudnnStack> stacks;
  for (int first = 0; first < spec.layers();) {
    int end = first + 1;
    while (spec.dropout == 0 && end < spec.layers() && spec.units(end) == spec.units(first)) ++end;
    stacks.emplace_back(context, args, first, end - first);
    first = end;
  }
  return stacks;
}

}  // namespace unroll::gpu
