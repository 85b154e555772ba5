/// Decoder, softmax and cross-entropy, one chunk of rows at a time. One product computes the
/// logits. Then a kernel computes, row by row, the loss and the gradient of the logits, in their
/// place or as bfloat16 beside them. Two products turn it into the gradients of h and of the
/// weight.
#include "cuda/ops/softmax_cross_entropy.h"

#include <algorithm>
#include <cstddef>

#include "cuda/device/memory_layout.h"
#include "cuda/device/packed_matrix.h"
#include "cuda/ops/softmax_rows.h"

namespace unroll::gpu {
namespace {

/// A matrix in the form that products read.
struct Operand {
  const void* data;
  std::int64_t stride;
};

/// Unless it is given: as many rows as fit 64 MiB of logits, but at least 256, and all chunks
/// equal. Small chunks are slow: each has a dozen kernels and fills the last wave of its products'
/// tiles badly.
std::int64_t chunk_rows(const SoftmaxCrossEntropyArgs& args) {
  if (args.chunk_rows > 0) return std::min(args.chunk_rows, args.rows);
  const std::int64_t most = std::max<std::int64_t>(256, (std::int64_t{16} << 20) / args.classes);
  const std::int64_t chunks = (args.rows + most - 1) / most;
  return chunks > 0 ? (args.rows + chunks - 1) / chunks : 0;
}

class CudaSoftmaxCrossEntropyPlan final : public SoftmaxCrossEntropyPlan {
 public:
  CudaSoftmaxCrossEntropyPlan(Device& device, const SoftmaxCrossEntropyArgs& args)
      : device_(device),
        args_(args),
        chunk_(chunk_rows(args)),
        stride_(padded(args.classes)),
        packed_h_{chunk_, args.hidden, device.element()} {
    // Allocate now: a weight that is no variable is packed inside a captured graph.
    if (packs()) weight_ = make_packed_copy(device, {args.classes, args.hidden, device.element()});
  }

  std::size_t scratch_bytes() const override { return layout(nullptr).bytes; }

  void prepare(const View& weight) override {
    if (!packs()) return;
    device_.variable_copies().share(weight, weight_);
    weight_->update(device_.stream(), weight);
  }

  void run(const SoftmaxCrossEntropy& a) override {
    const Scratch scratch = layout(a.scratch.as<std::byte>());
    LossScale scale{.value = a.scale};
    if (a.mean) {
      mean_scale(device_, {args_.rows, args_.ignored_id, a.targets.as<std::int32_t>(),
                           row_weights(a, 0), scratch.scale});
      scale.on_device = scratch.scale;
    }
    for (std::int64_t first = 0; first < args_.rows; first += chunk_)
      run_chunk(a, scratch, scale, first, std::min(chunk_, args_.rows - first));
    if (a.loss) total_loss(device_, args_.rows, scratch.losses, scale, a.loss.as<float>());
  }

 private:
  struct Scratch {
    float* scale;   // [1]
    float* losses;  // [M]
    float* logits;  // [chunk, Vp], and at float32 their gradient
    void* dlogits;  // [chunk, Vp]
    void* h;        // [chunk, Hp], if h is packed
    std::size_t bytes;
  };

  Scratch layout(std::byte* memory) const {
    Scratch s{};
    MemoryLayout buffers;
    const auto place = [&](std::int64_t elements, std::size_t size) {
      const std::size_t at = buffers.take(elements, size);
      return memory ? memory + at : nullptr;
    };
    s.scale = reinterpret_cast<float*>(place(1, sizeof(float)));
    s.losses = reinterpret_cast<float*>(place(args_.rows, sizeof(float)));
    s.logits = reinterpret_cast<float*>(place(chunk_ * stride_, sizeof(float)));
    s.dlogits = s.logits;
    if (args_.gradient && device_.element() == Element::kBfloat16)
      s.dlogits = place(chunk_ * stride_, size_of(Element::kBfloat16));
    if (packs()) s.h = place(std::int64_t(packed_h_.bytes()), 1);
    s.bytes = buffers.bytes();
    return s;
  }

  bool packs() const { return packed_h_.differs(); }

  const float* row_weights(const SoftmaxCrossEntropy& a, std::int64_t first) const {
    return a.row_weights ? a.row_weights.as<float>() + first : nullptr;
  }

  static float* row(const View& view, std::int64_t first, std::int64_t columns = 1) {
    return view ? view.as<float>() + first * columns : nullptr;
  }

  void run_chunk(const SoftmaxCrossEntropy& a, const Scratch& scratch, LossScale scale,
                 std::int64_t first, std::int64_t rows) {
    const Operand h = chunk_of_h(a, scratch, first, rows);
    const Operand weight =
        packs() ? Operand{weight_->out, packed_h_.stride()} : Operand{a.weight.data, args_.hidden};
    device_.multiply({.m = rows,
                      .n = args_.classes,
                      .k = args_.hidden,
                      .a = h.data,
                      .lda = h.stride,
                      .transpose_a = false,
                      .b = weight.data,
                      .ldb = weight.stride,
                      .transpose_b = true,
                      .c = scratch.logits,
                      .ldc = stride_,
                      .element = device_.element()});
    softmax_rows(device_, {.rows = rows,
                           .classes = args_.classes,
                           .stride = stride_,
                           .ignored_id = args_.ignored_id,
                           .bias = a.bias.as<float>(),
                           .targets = a.targets.as<std::int32_t>() + first,
                           .row_weights = row_weights(a, first),
                           .scale = scale,
                           .logits = scratch.logits,
                           .dlogits = args_.gradient ? scratch.dlogits : nullptr,
                           .element = device_.element(),
                           .losses = scratch.losses + first,
                           .log_prob = row(a.log_prob, first),
                           .hit = row(a.hit, first)});
    if (args_.gradient) gradients(a, {scratch.dlogits, stride_}, h, weight, first, rows);
  }

  Operand chunk_of_h(const SoftmaxCrossEntropy& a, const Scratch& scratch, std::int64_t first,
                     std::int64_t rows) {
    const float* h = row(a.h, first, args_.hidden);
    if (!packs()) return {h, args_.hidden};
    PackedForm form = packed_h_;
    form.rows = rows;
    pack_matrix(device_, form, h, scratch.h);
    return {scratch.h, form.stride()};
  }

  /// dh of the chunk's rows. dweight and dbias are set by the first chunk and added to by the
  /// others.
  void gradients(const SoftmaxCrossEntropy& a, Operand dlogits, Operand h, Operand weight,
                 std::int64_t first, std::int64_t rows) {
    if (a.dh)
      device_.multiply({.m = rows,
                        .n = args_.hidden,
                        .k = args_.classes,
                        .a = dlogits.data,
                        .lda = dlogits.stride,
                        .transpose_a = false,
                        .b = weight.data,
                        .ldb = weight.stride,
                        .transpose_b = false,
                        .c = row(a.dh, first, args_.hidden),
                        .ldc = args_.hidden,
                        .element = device_.element()});
    if (a.dweight)
      device_.multiply({.m = args_.classes,
                        .n = args_.hidden,
                        .k = rows,
                        .a = dlogits.data,
                        .lda = dlogits.stride,
                        .transpose_a = true,
                        .b = h.data,
                        .ldb = h.stride,
                        .transpose_b = false,
                        .c = a.dweight.as<float>(),
                        .ldc = args_.hidden,
                        .beta = first == 0 ? 0.0F : 1.0F,
                        .element = device_.element()});
    if (a.dbias)
      column_sums(device_, {.rows = rows,
                            .columns = args_.classes,
                            .stride = dlogits.stride,
                            .x = dlogits.data,
                            .element = device_.element(),
                            .sums = a.dbias.as<float>(),
                            .add = first > 0});
  }

  Device& device_;
  SoftmaxCrossEntropyArgs args_;
  std::int64_t chunk_;
  std::int64_t stride_;  // Vp: row stride of the logits
  PackedForm packed_h_;  // for a chunk of h
  std::shared_ptr<MatrixCopy> weight_;
};

}  // namespace

std::unique_ptr<SoftmaxCrossEntropyPlan> make_softmax_cross_entropy_plan(
    Device& device, const SoftmaxCrossEntropyArgs& args) {
  return std::make_unique<CudaSoftmaxCrossEntropyPlan>(device, args);
}

}  // namespace unroll::gpu
