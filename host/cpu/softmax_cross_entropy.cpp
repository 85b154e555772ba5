/// Decoder, softmax and cross-entropy, one chunk of rows at a time. One product computes the
/// logits. Then each row gives its loss and, in place of its logits, their gradient. Two products
/// turn that into the gradients of h and of the weight. In bfloat16 the gradients of the logits are
/// rounded, so that the bias sums see what the products see.
#include "host/cpu/softmax_cross_entropy.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "host/cpu/kernels.h"
#include "host/cpu/row_sum.h"
#include "host/cpu/subnormals.h"

namespace unroll::host {
namespace {

constexpr std::int64_t kChunkRows = 256;  // default

class CpuSoftmaxCrossEntropyPlan final : public SoftmaxCrossEntropyPlan {
 public:
  CpuSoftmaxCrossEntropyPlan(Device& device, const SoftmaxCrossEntropyArgs& args)
      : device_(device),
        args_(args),
        chunk_(std::min(args.chunk_rows > 0 ? args.chunk_rows : kChunkRows, args.rows)) {}

  std::size_t scratch_bytes() const override {
    // The losses of all rows, then the logits of a chunk.
    return std::size_t(losses_size() + chunk_ * args_.classes) * sizeof(float);
  }

  void prepare(const View& weight) override {
    device_.packed(weight, {args_.hidden, args_.classes, 1, 1, true}, packed_);
  }

  void run(const SoftmaxCrossEntropy& a) override {
    const FlushSubnormals flush;
    auto* losses = reinterpret_cast<float*>(a.scratch.as<std::byte>());
    float* logits = losses + losses_size();
    const float scale = a.mean ? float(1 / sum_of_weights(a)) : a.scale;
    if (a.dweight) clear(a.dweight);
    if (a.dbias) clear(a.dbias);
    for (std::int64_t first = 0; first < args_.rows; first += chunk_) {
      const std::int64_t rows = std::min(chunk_, args_.rows - first);
      const float* h = a.h.as<float>() + first * args_.hidden;
      device_.multiply(PackedGemm{rows, args_.classes, args_.hidden, h, args_.hidden,
                                  packed_->data(), logits, args_.classes, false});
      device_.pool.parallel_for(rows, 1, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t row = begin; row < end; ++row)
          process_row(a, first + row, scale, logits + row * args_.classes, losses[first + row]);
      });
      if (args_.gradient) accumulate_gradients(a, first, rows, logits);
    }
    double total = 0;
    for (std::int64_t row = 0; row < args_.rows; ++row) total += double(losses[row]);
    if (a.loss) *a.loss.as<float>() = float(total * double(scale));
  }

 private:
  std::int64_t losses_size() const { return round_up(args_.rows, 64); }

  static void clear(const View& view) { std::memset(view.data, 0, view.bytes()); }

  float weight_of(const SoftmaxCrossEntropy& a, std::int64_t row) const {
    return a.row_weights ? a.row_weights.as<float>()[row] : 1.0F;
  }

  double sum_of_weights(const SoftmaxCrossEntropy& a) const {
    double sum = 0;
    for (std::int64_t row = 0; row < args_.rows; ++row)
      if (a.targets.as<std::int32_t>()[row] != args_.ignored_id) sum += double(weight_of(a, row));
    return sum;
  }

  /// `x`: the row's logits without bias; on return d loss / d logits, if gradients are wanted.
  /// `loss` receives the weighted loss before scaling.
  void process_row(const SoftmaxCrossEntropy& a, std::int64_t row, float scale, float* x,
                   float& loss) const {
    const std::int64_t n = args_.classes;
    const std::int64_t target = a.targets.as<std::int32_t>()[row];
    float log_prob = 0, hit = 0, weighted = 0;
    if (target == args_.ignored_id) {
      if (args_.gradient) std::memset(x, 0, std::size_t(n) * sizeof(float));
    } else if (target < 0 || target >= n) {
      log_prob = weighted = std::numeric_limits<float>::quiet_NaN();
      if (args_.gradient) std::fill(x, x + n, log_prob);
    } else {
      const RowKernels& kernels = row_kernels();
      const float weight = weight_of(a, row);
      const float max = kernels.add_bias_and_max(x, a.bias.as<float>(), n);
      const float at_target = x[target];
      hit = at_target == max && std::find(x, x + target, max) == x + target ? 1.0F : 0.0F;
      const float sum = kernels.exp_sum(x, max, args_.gradient ? x : nullptr, n);
      log_prob = at_target - max - std::log(sum);
      weighted = -log_prob * weight;
      if (args_.gradient) {
        kernels.scale(x, weight * scale / sum, n);
        x[target] -= weight * scale;
        if (device_.is_bf16()) kernels.round_to_bf16(x, n);
      }
    }
    loss = weighted;
    if (a.log_prob) a.log_prob.as<float>()[row] = log_prob;
    if (a.hit) a.hit.as<float>()[row] = hit;
  }

  void accumulate_gradients(const SoftmaxCrossEntropy& a, std::int64_t first, std::int64_t rows,
                            const float* dlogits) {
    const std::int64_t hidden = args_.hidden, classes = args_.classes;
    if (a.dh)
      device_.multiply(Gemm{rows, hidden, classes, dlogits, classes, false, a.weight.as<float>(),
                            hidden, false, a.dh.as<float>() + first * hidden, hidden, false});
    if (a.dweight)
      device_.multiply(Gemm{classes, hidden, rows, dlogits, classes, true,
                            a.h.as<float>() + first * hidden, hidden, false, a.dweight.as<float>(),
                            hidden, true});
    if (a.dbias)
      device_.pool.parallel_for(classes, 64, [&](std::int64_t begin, std::int64_t end) {
        add_rows({dlogits + begin, rows, end - begin, classes, a.dbias.as<float>() + begin});
      });
  }

  Device& device_;
  SoftmaxCrossEntropyArgs args_;
  std::int64_t chunk_;
  std::shared_ptr<PackedWeight> packed_;
};

}  // namespace

std::unique_ptr<SoftmaxCrossEntropyPlan> make_softmax_cross_entropy_plan(
    Device& device, const SoftmaxCrossEntropyArgs& args) {
  return std::make_unique<CpuSoftmaxCrossEntropyPlan>(device, args);
}

}  // namespace unroll::host
