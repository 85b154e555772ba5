/// The CPU backend: memory is host memory, nothing is queued, and a replay repeats the calls.
#include "unroll/backend.h"

#include <cstring>
#include <stdexcept>

#include "host/cpu/crf.h"
#include "host/cpu/cumulative_sum.h"
#include "host/cpu/device.h"
#include "host/cpu/dropout.h"
#include "host/cpu/elementwise.h"
#include "host/cpu/isa.h"
#include "host/cpu/layout.h"
#include "host/cpu/linear_algebra.h"
#include "host/cpu/matmul.h"
#include "host/cpu/optimizer.h"
#include "host/cpu/recurrent/plan.h"
#include "host/cpu/reduce.h"
#include "host/cpu/rows.h"
#include "host/cpu/sample.h"
#include "host/cpu/shuffle.h"
#include "host/cpu/softmax.h"
#include "host/cpu/softmax_cross_entropy.h"
#include "host/cpu/subnormals.h"
#include "host/cpu/windows.h"
#include "unroll/cpu_limits.h"

namespace unroll {
namespace {

class CpuReplay final : public Replay {
 public:
  explicit CpuReplay(std::function<void()> work) : work_(std::move(work)) {}
  void run() override { work_(); }

 private:
  std::function<void()> work_;
};

class CpuBackend final : public Backend {
 public:
  CpuBackend(int threads, Precision precision) : device_(threads, precision) {}

  DeviceKind kind() const override { return DeviceKind::kCpu; }
  Precision precision() const override { return device_.precision; }
  RecurrentAlgorithm recurrent_algorithm() const override { return PassAlgorithm{}; }
  DeviceMemoryUse memory() const override {
    DeviceMemoryUse use = host::aligned_memory_use();
    use.available = memory_limit().available;
    return use;
  }
  std::string name() const override {
    const int threads = device_.pool.size();
    const host::Isa isa = device_.is_bf16() ? host::selected_bf16_isa() : host::selected_isa();
    return std::string("cpu (") + host::isa_name(isa) + ", " + std::to_string(threads) +
           (threads == 1 ? " thread" : " threads") + (device_.is_bf16() ? ", bf16)" : ")");
  }

  std::shared_ptr<void> allocate(std::size_t bytes) override { return host::aligned_memory(bytes); }
  void upload(void* device, const void* host, std::size_t bytes) override {
    copy(device, host, bytes);
  }
  void download(void* host, const void* device, std::size_t bytes) override {
    copy(host, device, bytes);
  }
  void copy(void* to, const void* from, std::size_t bytes) override {
    if (bytes > 0) std::memcpy(to, from, bytes);  // a tensor without elements may have no memory
  }
  void clear(void* device, std::size_t bytes) override {
    if (bytes > 0) std::memset(device, 0, bytes);
  }
  void synchronize() override {}
  std::unique_ptr<Replay> capture(std::function<void()> work) override {
    return std::make_unique<CpuReplay>(std::move(work));
  }

  // Every kernel that computes starts like this; the kernels of plans do, too.
  void elementwise(const Elementwise& args) override {
    const host::FlushSubnormals flush;
    host::elementwise(device_, args);
  }
  void cast(const Cast& args) override {
    const host::FlushSubnormals flush;
    host::cast(device_, args);
  }
  void where(const Where& args) override { host::where(device_, args); }
  void reduce(const Reduce& args) override {
    const host::FlushSubnormals flush;
    host::reduce(device_, args);
  }
  void copy_region(const CopyRegion& args) override { host::copy_region(device_, args); }
  void matmul(const Matmul& args) override {
    const host::FlushSubnormals flush;
    host::matmul(device_, args);
  }
  void softmax(const Softmax& args) override {
    const host::FlushSubnormals flush;
    host::softmax(device_, args);
  }
  void softmax_gradient(const SoftmaxGradient& args) override {
    const host::FlushSubnormals flush;
    host::softmax_gradient(device_, args);
  }
  void fill(const Fill& args) override { host::fill(device_, args); }
  void cumulative_sum(const CumulativeSum& args) override {
    const host::FlushSubnormals flush;
    host::cumulative_sum(device_, args);
  }
  void fold(const Fold& args) override {
    const host::FlushSubnormals flush;
    host::fold(device_, args);
  }
  void gather_rows(const GatherRows& args) override { host::gather_rows(device_, args); }
  void scatter_add_rows(const ScatterAddRows& args) override {
    const host::FlushSubnormals flush;
    host::scatter_add_rows(device_, args);
  }
  std::size_t coalesce_scratch_bytes(std::int64_t rows) const override {
    return host::coalesce_scratch_bytes(rows);
  }
  void coalesce_rows(const CoalesceRows& args) override {
    const host::FlushSubnormals flush;
    host::coalesce_rows(device_, args);
  }
  void one_hot(const OneHot& args) override { host::one_hot(device_, args); }
  void narrow_ids(const NarrowIds& args) override { host::narrow_ids(device_, args); }
  void dropout(const Dropout& args) override {
    const host::FlushSubnormals flush;
    host::dropout(device_, args);
  }
  std::size_t sample_scratch_bytes(std::int64_t rows, std::int64_t ids) const override {
    return host::sample_scratch_bytes(device_, rows, ids);
  }
  void sample(const Sample& args) override {
    const host::FlushSubnormals flush;
    host::sample(device_, args);
  }
  std::size_t permutation_scratch_bytes(std::int64_t ids) const override {
    return host::permutation_scratch_bytes(ids);
  }
  void permutation(const Permutation& args) override { host::permutation(device_, args); }
  std::unique_ptr<RecurrentPlan> recurrent_plan(const RecurrentArgs& args) override {
    return host::make_recurrent_plan(device_, args);
  }
  std::unique_ptr<SoftmaxCrossEntropyPlan> softmax_cross_entropy_plan(
      const SoftmaxCrossEntropyArgs& args) override {
    return host::make_softmax_cross_entropy_plan(device_, args);
  }
  std::size_t crf_scratch_bytes(CrfPass pass, const CrfSize& size) const override {
    return host::crf_scratch_bytes(pass, size);
  }
  void crf_loss(const CrfLoss& args) override {
    const host::FlushSubnormals flush;
    host::crf_loss(device_, args);
  }
  void crf_loss_gradient(const CrfLossGradient& args) override {
    const host::FlushSubnormals flush;
    host::crf_loss_gradient(device_, args);
  }
  void crf_decode(const CrfDecode& args) override {
    const host::FlushSubnormals flush;
    host::crf_decode(device_, args);
  }
  std::size_t apply_gradients_scratch_bytes(
      std::span<const ParameterUpdate> parameters) const override {
    return host::apply_gradients_scratch_bytes(parameters);
  }
  std::unique_ptr<ParameterCopies> parameter_copies(std::span<const ParameterUpdate>) override {
    return nullptr;
  }
  void apply_gradients(const ApplyGradients& args) override {
    const host::FlushSubnormals flush;
    host::apply_gradients(device_, args);
  }
  LinearAlgebraKernels* linear_algebra() override { return host::linear_algebra(); }

 private:
  host::Device device_;
};

}  // namespace

std::shared_ptr<Backend> cpu(int threads, Precision precision) {
  if (threads < 0)
    throw std::invalid_argument("cpu: got " + std::to_string(threads) +
                                " threads, expected 0 (all processors) or more");
  if (precision == Precision::kTf32)
    throw std::invalid_argument("cpu: got precision tf32, expected fp32 or bf16");
  return std::make_shared<CpuBackend>(threads == 0 ? processor_limit().processors : threads,
                                      precision);
}

}  // namespace unroll
