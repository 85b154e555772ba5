/// The CUDA backend: it queues all work in order on one stream.
#include "cuda/backend.h"

#include "cuda/cudnn/convolution.h"
#include "cuda/device/device.h"
#include "cuda/device/graph.h"
#include "cuda/device/staging.h"
#include "cuda/ops/crf.h"
#include "cuda/ops/cumulative_sum.h"
#include "cuda/ops/dropout.h"
#include "cuda/ops/elementwise.h"
#include "cuda/ops/layout.h"
#include "cuda/ops/linear_algebra.h"
#include "cuda/ops/matmul.h"
#include "cuda/ops/optimizer.h"
#include "cuda/ops/reduce.h"
#include "cuda/ops/rows.h"
#include "cuda/ops/sample.h"
#include "cuda/ops/shuffle.h"
#include "cuda/ops/softmax.h"
#include "cuda/ops/softmax_cross_entropy.h"
#include "cuda/ops/windows.h"
#include "cuda/recurrent_planner.h"

namespace unroll::gpu {
namespace {

std::string device_name(const Device& device) {
  cudaDeviceProp properties;
  UNROLL_CUDA_CHECK(cudaGetDeviceProperties(&properties, device.ordinal()));
  std::string name = "cuda:" + std::to_string(device.ordinal()) + " (" + properties.name;
  if (device.precision() != Precision::kFp32) name += ", " + to_string(device.precision());
  return name + ")";
}

class CudaBackend final : public Backend, private DeviceClock {
 public:
  CudaBackend(int ordinal, const CudaOptions& options)
      : device_(ordinal, options),
        recurrent_(device_, options.recurrent_algorithm),
        staging_(device_.stream()),
        linear_algebra_(make_linear_algebra(device_)),
        convolutions_(device_),
        name_(device_name(device_)) {}

  DeviceKind kind() const override { return DeviceKind::kCuda; }
  std::string name() const override { return name_; }
  Precision precision() const override { return device_.precision(); }
  DeviceMemoryUse memory() const override { return device_.memory(); }
  RecurrentAlgorithm recurrent_algorithm() const override { return recurrent_.algorithm(); }

  std::shared_ptr<void> allocate(std::size_t bytes) override { return device_.allocate(bytes); }
  void upload(void* device, const void* host, std::size_t bytes) override {
    staging_.upload(device, host, bytes);
  }
  void download(void* host, const void* device, std::size_t bytes) override {
    UNROLL_CUDA_CHECK(
        cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, device_.stream()));
    synchronize();
  }
  void copy(void* to, const void* from, std::size_t bytes) override {
    UNROLL_CUDA_CHECK(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, device_.stream()));
  }
  void clear(void* device, std::size_t bytes) override {
    UNROLL_CUDA_CHECK(cudaMemsetAsync(device, 0, bytes, device_.stream()));
  }
  void synchronize() override {
    UNROLL_CUDA_CHECK(cudaStreamSynchronize(device_.stream()));
    device_.grid_watcher().check();
  }
  std::unique_ptr<Replay> capture(std::function<void()> work) override {
    return std::make_unique<GraphReplay>(device_.stream(), std::move(work));
  }
  DeviceClock* clock() override { return this; }
  void* stream() override { return device_.stream(); }
  LinearAlgebraKernels* linear_algebra() override { return linear_algebra_.get(); }
  std::unique_ptr<ConvolutionPlan> convolution_plan(const ConvolutionSpec& spec) override {
    return convolutions_.plan(spec);
  }
  double elapsed(const std::function<void()>& work) override {
    const double time = seconds(device_.stream(), work);
    device_.grid_watcher().check();
    return time;
  }

  void elementwise(const Elementwise& args) override { gpu::elementwise(device_, args); }
  void cast(const Cast& args) override { gpu::cast(device_, args); }
  void where(const Where& args) override { gpu::where(device_, args); }
  void reduce(const Reduce& args) override { gpu::reduce(device_, args); }
  void copy_region(const CopyRegion& args) override { gpu::copy_region(device_, args); }
  void matmul(const Matmul& args) override { gpu::matmul(device_, args); }
  void softmax(const Softmax& args) override { gpu::softmax(device_, args); }
  void softmax_gradient(const SoftmaxGradient& args) override {
    gpu::softmax_gradient(device_, args);
  }
  void fill(const Fill& args) override { gpu::fill(device_, args); }
  void cumulative_sum(const CumulativeSum& args) override { gpu::cumulative_sum(device_, args); }
  void fold(const Fold& args) override { gpu::fold(device_, args); }
  void gather_rows(const GatherRows& args) override { gpu::gather_rows(device_, args); }
  void scatter_add_rows(const ScatterAddRows& args) override {
    gpu::scatter_add_rows(device_, args);
  }
  std::size_t coalesce_scratch_bytes(std::int64_t rows) const override {
    return gpu::coalesce_scratch_bytes(rows);
  }
  void coalesce_rows(const CoalesceRows& args) override { gpu::coalesce_rows(device_, args); }
  void one_hot(const OneHot& args) override { gpu::one_hot(device_, args); }
  void narrow_ids(const NarrowIds& args) override { gpu::narrow_ids(device_, args); }
  void dropout(const Dropout& args) override { gpu::dropout(device_, args); }
  std::size_t sample_scratch_bytes(std::int64_t, std::int64_t ids) const override {
    return gpu::sample_scratch_bytes(ids);
  }
  void sample(const Sample& args) override { gpu::sample(device_, args); }
  std::size_t permutation_scratch_bytes(std::int64_t ids) const override {
    return gpu::permutation_scratch_bytes(ids);
  }
  void permutation(const Permutation& args) override { gpu::permutation(device_, args); }
  std::unique_ptr<RecurrentPlan> recurrent_plan(const RecurrentArgs& args) override {
    return recurrent_.plan(args);
  }
  std::unique_ptr<SoftmaxCrossEntropyPlan> softmax_cross_entropy_plan(
      const SoftmaxCrossEntropyArgs& args) override {
    return make_softmax_cross_entropy_plan(device_, args);
  }
  std::size_t crf_scratch_bytes(CrfPass pass, const CrfSize& size) const override {
    return gpu::crf_scratch_bytes(device_, pass, size);
  }
  void crf_loss(const CrfLoss& args) override { gpu::crf_loss(device_, args); }
  void crf_loss_gradient(const CrfLossGradient& args) override {
    gpu::crf_loss_gradient(device_, args);
  }
  void crf_decode(const CrfDecode& args) override { gpu::crf_decode(device_, args); }
  std::size_t apply_gradients_scratch_bytes(
      std::span<const ParameterUpdate> parameters) const override {
    return gpu::apply_gradients_scratch_bytes(device_, parameters);
  }
  std::unique_ptr<ParameterCopies> parameter_copies(
      std::span<const ParameterUpdate> parameters) override {
    return std::make_unique<WrittenCopies>(device_.variable_copies(), parameters);
  }
  void apply_gradients(const ApplyGradients& args) override { gpu::apply_gradients(device_, args); }

 private:
  Device device_;
  RecurrentPlanner recurrent_;
  Staging staging_;
  std::unique_ptr<LinearAlgebraKernels> linear_algebra_;
  CudnnConvolutions convolutions_;
  std::string name_;
};

}  // namespace

std::shared_ptr<Backend> make_backend(int ordinal, const CudaOptions& options) {
  return std::make_shared<CudaBackend>(ordinal, options);
}

}  // namespace unroll::gpu
