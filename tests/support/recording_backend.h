/// Backends that stand before another one. ForwardingBackend passes on every call; those derived
/// from it change the few that they are about.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "unroll/backend.h"

namespace unroll::test {

/// Kernels are in the order of their families.
class ForwardingBackend : public Backend {
 public:
  explicit ForwardingBackend(std::shared_ptr<Backend> inner) : inner_(std::move(inner)) {}

  DeviceKind kind() const override { return inner_->kind(); }
  std::string name() const override { return inner_->name(); }
  Precision precision() const override { return inner_->precision(); }
  void synchronize() override { inner_->synchronize(); }
  std::unique_ptr<Replay> capture(std::function<void()> work) override {
    return inner_->capture(std::move(work));
  }
  DeviceClock* clock() override { return inner_->clock(); }
  void* stream() override { return inner_->stream(); }
  LinearAlgebraKernels* linear_algebra() override { return inner_->linear_algebra(); }
  std::unique_ptr<ConvolutionPlan> convolution_plan(const ConvolutionSpec& spec) override {
    return inner_->convolution_plan(spec);
  }

  DeviceMemoryUse memory() const override { return inner_->memory(); }
  std::shared_ptr<void> allocate(std::size_t bytes) override { return inner_->allocate(bytes); }
  void upload(void* device, const void* host, std::size_t bytes) override {
    inner_->upload(device, host, bytes);
  }
  void download(void* host, const void* device, std::size_t bytes) override {
    inner_->download(host, device, bytes);
  }
  void copy(void* to, const void* from, std::size_t bytes) override {
    inner_->copy(to, from, bytes);
  }
  void clear(void* device, std::size_t bytes) override { inner_->clear(device, bytes); }

  void elementwise(const Elementwise& args) override { inner_->elementwise(args); }
  void cast(const Cast& args) override { inner_->cast(args); }
  void where(const Where& args) override { inner_->where(args); }
  void reduce(const Reduce& args) override { inner_->reduce(args); }
  void copy_region(const CopyRegion& args) override { inner_->copy_region(args); }
  void matmul(const Matmul& args) override { inner_->matmul(args); }
  void softmax(const Softmax& args) override { inner_->softmax(args); }
  void softmax_gradient(const SoftmaxGradient& args) override { inner_->softmax_gradient(args); }

  void fill(const Fill& args) override { inner_->fill(args); }
  void cumulative_sum(const CumulativeSum& args) override { inner_->cumulative_sum(args); }
  void fold(const Fold& args) override { inner_->fold(args); }

  void gather_rows(const GatherRows& args) override { inner_->gather_rows(args); }
  void scatter_add_rows(const ScatterAddRows& args) override { inner_->scatter_add_rows(args); }
  std::size_t coalesce_scratch_bytes(std::int64_t rows) const override {
    return inner_->coalesce_scratch_bytes(rows);
  }
  void coalesce_rows(const CoalesceRows& args) override { inner_->coalesce_rows(args); }
  void one_hot(const OneHot& args) override { inner_->one_hot(args); }
  void narrow_ids(const NarrowIds& args) override { inner_->narrow_ids(args); }

  void dropout(const Dropout& args) override { inner_->dropout(args); }
  std::size_t sample_scratch_bytes(std::int64_t rows, std::int64_t ids) const override {
    return inner_->sample_scratch_bytes(rows, ids);
  }
  void sample(const Sample& args) override { inner_->sample(args); }
  std::size_t permutation_scratch_bytes(std::int64_t ids) const override {
    return inner_->permutation_scratch_bytes(ids);
  }
  void permutation(const Permutation& args) override { inner_->permutation(args); }

  RecurrentAlgorithm recurrent_algorithm() const override { return inner_->recurrent_algorithm(); }
  std::unique_ptr<RecurrentPlan> recurrent_plan(const RecurrentArgs& args) override {
    return inner_->recurrent_plan(args);
  }

  std::unique_ptr<SoftmaxCrossEntropyPlan> softmax_cross_entropy_plan(
      const SoftmaxCrossEntropyArgs& args) override {
    return inner_->softmax_cross_entropy_plan(args);
  }

  std::size_t crf_scratch_bytes(CrfPass pass, const CrfSize& size) const override {
    return inner_->crf_scratch_bytes(pass, size);
  }
  void crf_loss(const CrfLoss& args) override { inner_->crf_loss(args); }
  void crf_loss_gradient(const CrfLossGradient& args) override { inner_->crf_loss_gradient(args); }
  void crf_decode(const CrfDecode& args) override { inner_->crf_decode(args); }

  std::size_t apply_gradients_scratch_bytes(
      std::span<const ParameterUpdate> parameters) const override {
    return inner_->apply_gradients_scratch_bytes(parameters);
  }
  std::unique_ptr<ParameterCopies> parameter_copies(
      std::span<const ParameterUpdate> parameters) override {
    return inner_->parameter_copies(parameters);
  }
  void apply_gradients(const ApplyGradients& args) override { inner_->apply_gradients(args); }

 private:
  std::shared_ptr<Backend> inner_;
};

/// Counts the calls that a training step must not make: allocations, downloads, waits and plans.
class RecordingBackend : public ForwardingBackend {
 public:
  using ForwardingBackend::ForwardingBackend;

  int allocations = 0, downloads = 0, waits = 0, plans = 0;
  std::size_t allocated_bytes = 0;

  void synchronize() override {
    ++waits;
    ForwardingBackend::synchronize();
  }
  std::shared_ptr<void> allocate(std::size_t bytes) override {
    ++allocations;
    allocated_bytes += bytes;
    return ForwardingBackend::allocate(bytes);
  }
  void download(void* host, const void* device, std::size_t bytes) override {
    ++downloads;
    ForwardingBackend::download(host, device, bytes);
  }
  std::unique_ptr<RecurrentPlan> recurrent_plan(const RecurrentArgs& args) override {
    ++plans;
    return ForwardingBackend::recurrent_plan(args);
  }
  std::unique_ptr<SoftmaxCrossEntropyPlan> softmax_cross_entropy_plan(
      const SoftmaxCrossEntropyArgs& args) override {
    ++plans;
    return ForwardingBackend::softmax_cross_entropy_plan(args);
  }
};

/// A machine with this much memory left.
class SmallBackend final : public ForwardingBackend {
 public:
  explicit SmallBackend(std::size_t available) : ForwardingBackend(cpu(1)), available_(available) {}
  DeviceMemoryUse memory() const override { return {.available = available_}; }

 private:
  std::size_t available_;
};

}  // namespace unroll::test
