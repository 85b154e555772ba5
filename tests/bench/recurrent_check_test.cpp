/// The check before a measurement: its float64 results are right, correct implementations pass, and
/// wrong ones do not.
#include "host/bench/recurrent_check.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "host/bench/recurrent_reference.h"
#include "tests/support/compare.h"
#include "tests/support/recurrent_case.h"

namespace unroll::benchmark {
namespace {

using test::close_where;
using test::Reals;

// Both are float64 with sums in other orders: 1e-12 is thousands of roundings of values of size 1.
constexpr double kSame = 1e-12;

testing::AssertionResult same(const std::vector<double>& actual,
                              const std::vector<double>& expected) {
  return close_where(actual, expected,
                     [&](std::size_t k) { return kSame * std::max(1.0, std::abs(expected[k])); });
}

std::vector<float> floats_of(const Reals& array) {
  return {array.values.begin(), array.values.end()};
}

TEST(RecurrentReference, AgreesWithTheEquationsAndTheirComplexStep) {
  for (test::RecurrentCase c : test::plain_recurrent_cases({
           test::recurrent_shape({1}, 1, 1, 1, 1, false),
           test::recurrent_shape({3, 4}, 1, 5, 2, 3, false),
       })) {
    SCOPED_TRACE(describe(c));
    auto data = test::recurrent_data(c, 91);
    for (auto& w : data.weights)  // the reference reads float32 weights
      for (Reals* array : {&w.weight_ih, &w.weight_hh, &w.bias_ih, &w.bias_hh})
        for (double& value : array->values) value = double(float(value));
    const auto expected = reference::recurrent(c.spec, data);
    test::RecurrentLoss loss = test::recurrent_loss(expected, 92);
    for (auto* states : {&loss.h_n, &loss.c_n})
      for (Reals& w : *states) std::fill(w.values.begin(), w.values.end(), 0);

    ReferenceInputs in{c.spec, c.steps, c.batch, c.input, data.x.values, {}, {}, {}, loss.y.values};
    for (const Reals& h : data.h0) in.h0.push_back(h.values);
    for (const Reals& h : data.c0) in.c0.push_back(h.values);
    for (const auto& w : data.weights)
      in.weights.push_back({floats_of(w.weight_ih), floats_of(w.weight_hh), floats_of(w.bias_ih),
                            floats_of(w.bias_hh)});
    const ReferenceOutputs out = recurrent_reference(in);
    EXPECT_TRUE(same(out.y, expected.y.values));
    const auto slopes =
        reference::complex_step(test::flatten(data), test::complex_loss(c, loss, data));
    auto slope = slopes.begin();
    EXPECT_TRUE(same(out.dx, (slope++)->values));
    for (const auto& dh : out.dh0) EXPECT_TRUE(same(dh, (slope++)->values));
    for (const auto& dc : out.dc0)
      if (!dc.empty()) {
        EXPECT_TRUE(same(dc, (slope++)->values));
      }
    for (const auto& d : out.dweights)
      for (const auto* gradient : {&d.weight_ih, &d.weight_hh, &d.bias_ih, &d.bias_hh})
        EXPECT_TRUE(same(*gradient, (slope++)->values));
  }
}

/// Another plan whose results are changed after each pass.
class Spoilt final : public RecurrentPlan {
 public:
  std::function<void(const RecurrentForward&)> after_forward = [](const auto&) {};
  std::function<void(const RecurrentBackward&)> after_backward = [](const auto&) {};

  explicit Spoilt(std::unique_ptr<RecurrentPlan> plan) : plan_(std::move(plan)) {}
  std::string algorithm() const override { return "spoilt"; }
  std::size_t reserve_bytes() const override { return plan_->reserve_bytes(); }
  std::size_t scratch_bytes() const override { return plan_->scratch_bytes(); }
  void prepare(std::span<const RecurrentWeights> weights) override { plan_->prepare(weights); }
  void forward(const RecurrentForward& args) override {
    plan_->forward(args);
    after_forward(args);
  }
  void backward(const RecurrentBackward& args) override {
    plan_->backward(args);
    after_backward(args);
  }

 private:
  std::unique_ptr<RecurrentPlan> plan_;
};

class RecurrentCheck : public testing::TestWithParam<std::string> {
 protected:
  RecurrentCheck() { fill_inputs(*backend_, shape_, inputs_); }

  std::unique_ptr<RecurrentPlan> plan() const {
    return backend_->recurrent_plan({.spec = shape_.spec,
                                     .steps = shape_.steps,
                                     .batch = shape_.batch,
                                     .input = shape_.input,
                                     .training = true});
  }
  ErrorLimits limits() const { return error_limits(shape_, 0x1p-24); }

  std::shared_ptr<Backend> backend_ = cpu(2);
  StackShape shape_ = choose_shapes({"70,6,33,20,2"}, {GetParam()})[0];
  TensorMemory memory_{backend_};
  StackTensors inputs_ = memory_.tensors(shape_);
};

TEST_P(RecurrentCheck, WhatIsRightPasses) {
  const PartialReference reference(*backend_, shape_, inputs_);
  EXPECT_LT(reference.steps(), shape_.steps);  // so that it is only a part
  RecurrentNode node(shape_, backend_, plan(), inputs_), other(shape_, backend_, plan(), inputs_);
  EXPECT_NO_THROW(reference.check(node, "node", limits()));
  EXPECT_NO_THROW(check_equal(other, "other", node, "node", limits()));
}

// The effects of a wrong schedule, a wrong layout or an approximation of another precision.
TEST_P(RecurrentCheck, WhatIsWrongDoesNot) {
  const PartialReference reference(*backend_, shape_, inputs_);
  RecurrentNode good(shape_, backend_, plan(), inputs_);
  const auto scale = [](const View& view, float factor) {
    for (std::int64_t k = 0; k < view.elements(); ++k) view.as<float>()[k] *= factor;
  };
  const auto spoil_gradient = [&](auto which, float factor) {
    auto spoilt = std::make_unique<Spoilt>(plan());
    spoilt->after_backward = [=](const RecurrentBackward& args) { scale(which(args), factor); };
    return spoilt;
  };
  std::vector<std::unique_ptr<Spoilt>> faults;
  faults.push_back(std::make_unique<Spoilt>(plan()));
  faults.back()->after_forward = [&](const RecurrentForward& args) { scale(args.y, 1.001F); };
  faults.push_back(std::make_unique<Spoilt>(plan()));
  faults.back()->after_forward = [](const RecurrentForward& args) {
    *args.y.as<float>() = std::numeric_limits<float>::quiet_NaN();
  };
  faults.push_back(spoil_gradient([](const RecurrentBackward& b) { return b.dx; }, -1));
  faults.push_back(spoil_gradient([](const RecurrentBackward& b) { return b.dh0[1]; }, 0));
  faults.push_back(
      spoil_gradient([](const RecurrentBackward& b) { return b.dweights[0].weight_hh; }, 1.01F));
  faults.push_back(
      spoil_gradient([](const RecurrentBackward& b) { return b.dweights[1].bias_hh; }, 2));
  for (std::size_t k = 0; k < faults.size(); ++k) {
    RecurrentNode bad(shape_, backend_, std::move(faults[k]), inputs_);
    EXPECT_THROW(reference.check(bad, "bad", limits()), Mismatch) << "fault " << k;
    EXPECT_THROW(check_equal(bad, "bad", good, "good", limits()), Mismatch) << "fault " << k;
  }
}

// A graph that leaves something out, or does something other than the calls it was made from.
TEST_P(RecurrentCheck, WhatIsNotRepeatedIsFound) {
  RecurrentNode node(shape_, backend_, plan(), inputs_);
  int runs = 0;
  const auto check = [&](int fault) {
    runs = 0;
    check_repeats(node, "node", limits(), [&] {
      const bool second = ++runs == 2;
      node.prepare();
      if (!second || fault != 1) node.forward();
      if (!second || fault != 2) node.backward();
      if (second && fault == 3) *node.outputs().h[1].as<float>() += 0.1F;
    });
  };
  EXPECT_NO_THROW(check(0));
  EXPECT_EQ(runs, 2);
  for (const int fault : {1, 2, 3}) EXPECT_THROW(check(fault), Mismatch) << fault;
}

// Weights and x rounded to the 10 bits of TF32's mantissa.
TEST_P(RecurrentCheck, Tf32IsNotFloat32) {
  const PartialReference reference(*backend_, shape_, inputs_);
  StackTensors rounded = memory_.tensors(shape_);
  const auto from = inputs_.all(), to = rounded.all();
  for (std::size_t k = 0; k < from.size(); ++k)
    for (std::int64_t e = 0; e < from[k].second.elements(); ++e) {
      const float value = from[k].second.as<float>()[e];
      const bool operand = from[k].second.shape.rank() == 2 || from[k].first == "x";
      const float scale = std::ldexp(1.0F, 10 - std::ilogb(value));
      to[k].second.as<float>()[e] = operand ? std::round(value * scale) / scale : value;
    }
  RecurrentNode node(shape_, backend_, plan(), rounded);
  EXPECT_THROW(reference.check(node, "tf32", limits()), Mismatch);
  EXPECT_NO_THROW(reference.check(node, "tf32", error_limits(shape_, 0x1p-10)));
}

INSTANTIATE_TEST_SUITE_P(Cells, RecurrentCheck, testing::ValuesIn(cell_names()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace unroll::benchmark
