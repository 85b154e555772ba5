/// A backend that forwards every call to another one and counts the calls that a training step must
/// not make: allocations, downloads and waits.
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

class RecordingBackend : public Backend {
 public:
  explicit RecordingBackend(std::shared_ptr<Backend> inner) : inner_(std::move(inner)) {}

  int allocations = 0, downloads = 0, waits = 0, plans = 0;
  std::size_t allocated_bytes = 0;

  DeviceKind kind() const override { return inner_->kind(); }
  std::string name() const override { return inner_->name(); }
  Precision precision() const override { return inner_->precision(); }
  DeviceMemoryUse memory() const override { return inner_->memory(); }
  RecurrentAlgorithm recurrent_algorithm() const override { return inner_->recurrent_algorithm(); }
  std::shared_ptr<void> allocate(std::size_t bytes) override {
    ++allocations;
    allocated_bytes += bytes;
    return inner_->allocate(bytes);
  }
  void upload(void* device, const void* host, std::size_t bytes) override {
    inner_->upload(device, host, bytes);
  }
  void download(void* host, const void* device, std::size_t bytes) override {
    ++downloads;
    inner_->download(host, device, bytes);
  }
  void copy(void* to, const void* from, std::size_t bytes) override {
    inner_->copy(to, from, bytes);
  }
  void clear(void* device, std::size_t bytes) override { inner_->clear(device, bytes); }
  void synchronize() override {
    ++waits;
    inner_->synchronize();
  }
  double elapsed(const std::function<void()>& work) override { return inner_->elapsed(work); }
  std::unique_ptr<Replay> capture(std::function<void()> work) override {
    return inner_->capture(std::move(work));
  }

  void elementwise(const Elementwise& args) override { inner_->elementwise(args); }
  void reduce(const Reduce& args) override { inner_->reduce(args); }
  void copy_region(const CopyRegion& args) override { inner_->copy_region(args); }
  void matmul(const Matmul& args) override { inner_->matmul(args); }
  void softmax(const Softmax& args) override { inner_->softmax(args); }
  void softmax_gradient(const SoftmaxGradient& args) override { inner_->softmax_gradient(args); }
  void gather_rows(const GatherRows& args) override { inner_->gather_rows(args); }
  void scatter_add_rows(const ScatterAddRows& args) override { inner_->scatter_add_rows(args); }
  std::size_t coalesce_scratch_bytes(std::int64_t rows) const override {
    return inner_->coalesce_scratch_bytes(rows);
  }
  void coalesce_rows(const CoalesceRows& args) override { inner_->coalesce_rows(args); }
  void one_hot(const OneHot& args) override { inner_->one_hot(args); }
  void dropout(const Dropout& args) override { inner_->dropout(args); }
  std::size_t sample_scratch_bytes(std::int64_t ids) const override {
    return inner_->sample_scratch_bytes(ids);
  }
  void sample(const Sample& args) override { inner_->sample(args); }
  std::unique_ptr<RecurrentPlan> recurrent_plan(const RecurrentArgs& args) override {
    ++plans;
    return inner_->recurrent_plan(args);
  }
  std::unique_ptr<SoftmaxCrossEntropyPlan> softmax_cross_entropy_plan(
      const SoftmaxCrossEntropyArgs& args) override {
    ++plans;
    return inner_->softmax_cross_entropy_plan(args);
  }
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

/// A machine with this much memory left.
class SmallBackend final : public RecordingBackend {
 public:
  explicit SmallBackend(std::size_t available) : RecordingBackend(cpu(1)), available_(available) {}
  DeviceMemoryUse memory() const override { return {.available = available_}; }

 private:
  std::size_t available_;
};

}  // namespace unroll::test
