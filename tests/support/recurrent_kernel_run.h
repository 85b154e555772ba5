/// A recurrent plan of any backend with guarded buffers around it, and the comparison of its
/// results.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/backends.h"
#include "tests/support/compare.h"
#include "tests/support/random.h"
#include "tests/support/recurrent_case.h"
#include "tests/support/reference.h"
#include "tests/support/reference_recurrent.h"
#include "unroll/backend.h"

namespace unroll::test {

/// One plan, its buffers, and the calls on them.
class KernelRun {
 public:
  KernelRun(std::unique_ptr<RecurrentPlan> plan, GuardedMemory& memory, const RecurrentCase& c,
            const reference::RecurrentInputs<double>& data, std::int64_t step = 0)
      : memory_(memory), plan_(std::move(plan)), parameters_(cell_parameters(c.spec, 0, c.input)) {
    x_ = memory.in(data.x);
    if (!data.lengths.empty()) lengths_ = memory.in(data.lengths, {c.batch});
    for (const Reals& h : data.h0) h0_.push_back(memory.in(h));
    for (const Reals& c0 : data.c0) c0_.push_back(memory.in(c0));
    weights_.resize(data.weights.size());
    for (std::size_t k = 0; k < weights_.size(); ++k)
      for (const CellParameter& p : parameters_)
        p.of(weights_[k]) = memory.in(p.of(data.weights[k]));
    step_ = memory.in<std::int64_t>({step}, {1});
    y_ = memory.out({c.steps, c.batch, c.spec.output()});
    for (const View& h : h0_) h_n_.push_back(memory.out(h.shape));
    for (const View& c0 : c0_) c_n_.push_back(memory.out(c0.shape));
    reserve_ = memory.raw(plan_->reserve_bytes());
    scratch_ = memory.raw(plan_->scratch_bytes());
    prepare();
  }

  KernelRun(Backend& backend, GuardedMemory& memory, const RecurrentCase& c,
            const reference::RecurrentInputs<double>& data, bool training, std::int64_t step = 0,
            std::uint64_t dropout_key = 0)
      : KernelRun(backend.recurrent_plan({.spec = c.spec,
                                          .steps = c.steps,
                                          .batch = c.batch,
                                          .input = c.input,
                                          .has_lengths = !data.lengths.empty(),
                                          .training = training,
                                          .dropout_key = dropout_key}),
                  memory, c, data, step) {}

  RecurrentPlan& plan() { return *plan_; }
  void prepare() { plan_->prepare(weights_); }

  reference::RecurrentOutputs<float> forward() {
    plan_->forward({.x = x_,
                    .lengths = lengths_,
                    .h0 = h0_,
                    .c0 = c0_,
                    .weights = weights_,
                    .step = step_,
                    .y = y_,
                    .h_n = h_n_,
                    .c_n = c_n_,
                    .reserve = reserve_,
                    .scratch = scratch_});
    reference::RecurrentOutputs<float> out;
    out.y = download(y_);
    for (const View& h : h_n_) out.h_n.push_back(download(h));
    for (const View& c : c_n_) out.c_n.push_back(download(c));
    return out;
  }

  struct Wanted {
    bool dy = true, dh_n = true, dc_n = true, dx = true;
  };

  /// Gradients in the order of flatten(); that of x is empty if it is not wanted.
  std::vector<std::vector<float>> backward(const RecurrentLoss& loss, const Wanted& wanted) {
    std::vector<View> dh_n, dc_n, dh0, dc0;
    for (const Reals& h : loss.h_n) dh_n.push_back(wanted.dh_n ? memory_.in(h) : View{});
    for (const Reals& c : loss.c_n) dc_n.push_back(wanted.dc_n ? memory_.in(c) : View{});
    for (const View& h : h0_) dh0.push_back(memory_.out(h.shape));
    for (const View& c : c0_) dc0.push_back(memory_.out(c.shape));
    std::vector<RecurrentWeights> dweights(weights_.size());
    for (std::size_t k = 0; k < weights_.size(); ++k)
      for (const CellParameter& p : parameters_)
        p.of(dweights[k]) = memory_.out(p.of(weights_[k]).shape);
    const View dx = wanted.dx ? memory_.out(x_.shape) : View{};
    plan_->backward({.x = x_,
                     .lengths = lengths_,
                     .h0 = h0_,
                     .c0 = c0_,
                     .weights = weights_,
                     .step = step_,
                     .reserve = reserve_,
                     .dy = wanted.dy ? memory_.in(loss.y) : View{},
                     .dh_n = dh_n,
                     .dc_n = dc_n,
                     .dx = dx,
                     .dh0 = dh0,
                     .dc0 = dc0,
                     .dweights = dweights,
                     .scratch = scratch_});
    std::vector<std::vector<float>> slopes;
    slopes.push_back(wanted.dx ? memory_.get(dx) : std::vector<float>{});
    for (const View& h : dh0) slopes.push_back(memory_.get(h));
    for (const View& c : dc0) slopes.push_back(memory_.get(c));
    for (const RecurrentWeights& w : dweights)
      for (const CellParameter& p : parameters_) slopes.push_back(memory_.get(p.of(w)));
    return slopes;
  }

 private:
  reference::Array<float> download(const View& view) {
    return {dims_of(view.shape), memory_.get(view)};
  }

  GuardedMemory& memory_;
  std::unique_ptr<RecurrentPlan> plan_;
  std::vector<CellParameter> parameters_;  // of each cell; the shapes are those of the first
  View x_, lengths_, step_, y_, reserve_, scratch_;
  std::vector<View> h0_, c0_, h_n_, c_n_;
  std::vector<RecurrentWeights> weights_;
};

inline void expect_outputs(const RecurrentCase& c, const reference::RecurrentOutputs<float>& actual,
                           const reference::RecurrentOutputs<double>& expected) {
  const double ulps = recurrent_ulps(c);
  EXPECT_TRUE(close(actual.y.values, expected.y.values, ulps)) << "y";
  for (std::size_t k = 0; k < expected.h_n.size(); ++k)
    EXPECT_TRUE(close(actual.h_n[k].values, expected.h_n[k].values, ulps)) << "h_n " << k;
  for (std::size_t k = 0; k < expected.c_n.size(); ++k)
    EXPECT_TRUE(close(actual.c_n[k].values, expected.c_n[k].values, ulps)) << "c_n " << k;
}

inline void expect_gradients(const RecurrentCase& c, const reference::RecurrentInputs<double>& data,
                             const std::vector<std::vector<float>>& actual,
                             const std::vector<Reals>& expected) {
  const std::vector<std::string> names = flat_names(data);
  for (std::size_t k = 0; k < expected.size(); ++k)
    EXPECT_TRUE(close(actual[k], expected[k].values, recurrent_gradient_ulps(c)))
        << "gradient of " << names[k];
}

inline void expect_complex_step_gradients(const RecurrentCase& c,
                                          const reference::RecurrentInputs<double>& data,
                                          KernelRun run) {
  const RecurrentLoss loss = recurrent_loss(reference::recurrent(c.spec, data), 33);
  run.forward();
  expect_gradients(c, data, run.backward(loss, {}),
                   reference::complex_step(flatten(data), complex_loss(c, loss, data)));
}

/// Calls make() for training runs over `data`, and finish() after each kind of empty argument.
template <typename Make, typename Finish>
void expect_empty_gradients_mean_zero(const reference::RecurrentInputs<double>& data,
                                      const RecurrentLoss& full, const Make& make,
                                      const Finish& finish) {
  for (const KernelRun::Wanted wanted :
       {KernelRun::Wanted{.dy = false}, KernelRun::Wanted{.dh_n = false},
        KernelRun::Wanted{.dc_n = false, .dx = false},
        KernelRun::Wanted{.dh_n = false, .dc_n = false}}) {
    RecurrentLoss loss = full;
    const auto zero = [](Reals& w) { std::fill(w.values.begin(), w.values.end(), 0); };
    if (!wanted.dy) zero(loss.y);
    for (Reals& w : loss.h_n)
      if (!wanted.dh_n) zero(w);
    for (Reals& w : loss.c_n)
      if (!wanted.dc_n) zero(w);
    KernelRun run = make();
    run.forward();
    const std::vector<std::vector<float>> actual = run.backward(loss, wanted);
    KernelRun explicit_zeros = make();
    explicit_zeros.forward();
    const std::vector<std::vector<float>> expected = explicit_zeros.backward(loss, {});
    for (std::size_t k = wanted.dx ? 0 : 1; k < expected.size(); ++k)
      EXPECT_TRUE(close(actual[k], doubles(expected[k]), 2)) << flat_names(data)[k];
    finish();
  }
}

}  // namespace unroll::test
