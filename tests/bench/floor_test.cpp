#include "host/bench/floor.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "tests/support/backends.h"
#include "unroll/cuda_report.h"

namespace unroll::benchmark {
namespace {

StackShape shape(const std::string& numbers, const std::string& cell = "lstm") {
  return choose_shapes({numbers}, {cell})[0];
}

double floor_us(const StackShape& of, Pass pass, const Rates& rates) {
  return floor_of(of, pass, rates).us;
}

TEST(Floor, OnACpuIsTheProductsAtTheRateOfRegisters) {
  const Rates rates{.products = 50e9, .peak = 100e9};
  const StackShape two = shape("7,5,3,9,2");
  EXPECT_DOUBLE_EQ(floor_us(two, Pass::kForward, rates), forward_flop(two) / 100e9 * 1e6);
  EXPECT_DOUBLE_EQ(floor_us(two, Pass::kBackward, rates), backward_flop(two) / 100e9 * 1e6);
}

const Rates kGpu{.products = 60e12,
                 .peak = 60e12,
                 .memory = 4e12,
                 .cache = 6e12,
                 .kernel = 1.25e-6,
                 .exchange = 0.5e-6,
                 .processors = 132,
                 .element = 4};

TEST(Floor, OfWeightsThatFitOnAGpuIsAnExchangeOfStates) {
  const StackShape one = shape("100,8,256,256,1");
  const double compute = 2.0 * 8 * 4 * 256 * 256 / 60e12;
  const double states = 8 * 256 * 4 / (6e12 / 132);
  EXPECT_NEAR(floor_us(one, Pass::kForward, kGpu), (0.5e-6 + states + compute) * 1e6, 1e-9);
  // The other layer advances at the same time, one timestep behind.
  EXPECT_NEAR(floor_us(shape("100,8,256,256,2"), Pass::kForward, kGpu),
              (0.5e-6 + states + compute) * 1e6 * 101 / 100, 1e-9);
  // Two products one after the other.
  EXPECT_NEAR(floor_us(shape("100,8,256,256,1", "gru_before"), Pass::kForward, kGpu),
              (2 * (0.5e-6 + states) + compute * 3 / 4) * 1e6, 1e-9);
  EXPECT_NE(describe(kGpu)[1].find("exchange of states 0.5 us, 328 KB"), std::string::npos);
  Rates unmeasured = kGpu;
  unmeasured.exchange = 0;
  EXPECT_NEAR(floor_us(one, Pass::kForward, unmeasured), (0.4e-6 + states + compute) * 1e6, 1e-9);
  EXPECT_NE(describe(unmeasured)[1].find("0.4 us as published"), std::string::npos);
}

TEST(Floor, OfWeightsThatDoNotIsTwoKernelsAndL2) {
  const double weights = 4.0 * 2048 * 2048 * 4;
  EXPECT_GT(weights, 132 * 328 * 1024);
  EXPECT_NEAR(floor_us(shape("100,8,64,2048,1"), Pass::kForward, kGpu),
              (2 * 1.25e-6 + weights / 6e12) * 1e6, 1e-9);
}

TEST(Floor, OfALargeBatchIsItsProducts) {
  const StackShape large = shape("100,4096,1024,1024,1");
  EXPECT_DOUBLE_EQ(floor_us(large, Pass::kBackward, kGpu), backward_flop(large) / 60e12 * 1e6);
}

TEST(Floor, SaysWhatBinds) {
  const auto bound = [](const char* numbers, const Rates& rates) {
    return floor_of(shape(numbers), Pass::kForward, rates).bound;
  };
  EXPECT_EQ(bound("100,8,256,256,1", kGpu), Bound::kExchange);
  EXPECT_EQ(bound("100,8,64,2048,1", kGpu), Bound::kKernels);
  EXPECT_EQ(bound("100,4096,1024,1024,1", kGpu), Bound::kProducts);
  Rates slow_memory = kGpu;
  slow_memory.memory = 1e9;
  EXPECT_EQ(bound("100,8,256,256,1", slow_memory), Bound::kMemory);
  EXPECT_EQ(bound("7,5,3,9,2", {.products = 50e9, .peak = 100e9}), Bound::kProducts);
}

TEST(Floor, OfNamedShapesIsATable) {
  const std::string text = floors_text(named_shapes());
  for (const StackShape& named : named_shapes())
    EXPECT_NE(text.find(named.name), text.npos) << named.name;
  EXPECT_EQ(text.find("nan"), text.npos);
  // flashrnn768 in bf16 forward: states of 16 x 768 through L2 in two groups, and the exchange.
  const StackShape one = choose_shapes({"flashrnn768"}, {})[0];
  const Floor floor = floor_of(one, Pass::kForward, h100_rates(Precision::kBf16));
  EXPECT_EQ(floor.bound, Bound::kExchange);
  EXPECT_NEAR(floor.us, 0.4 + 8 * 768 * 2 / (5.7e6 / 132) + 2 * 16 * 4 * 768 * 768 / 798e6, 1e-3);
}

void expect_sound(const Rates& rates) {
  EXPECT_GT(rates.products, 1e6);
  EXPECT_GE(rates.peak, rates.products * 0.5);  // the machine may have been busy for one of both
  for (const std::string& line : describe(rates)) EXPECT_EQ(line.find("nan"), line.npos) << line;
}

TEST(Rates, OfTheCpuAreMeasured) {
  const Rates rates = measure_rates(cpu(1), 0, 1);
  expect_sound(rates);
  EXPECT_EQ(rates.processors, 0);
}

class RatesOfDevice : public test::OnEachBackend {};

TEST_P(RatesOfDevice, AreMeasured) {
  const Rates rates = measure_rates(backend_, 0, 0);
  expect_sound(rates);
  EXPECT_EQ(rates.exchange, 0) << "what may hang is measured only when it is asked for";
  EXPECT_GT(cuda_exchange_seconds(0), 0);
  EXPECT_GT(rates.memory, 0);
  EXPECT_GT(rates.cache, 0);
  EXPECT_GT(rates.kernel, 0);
  EXPECT_GT(rates.processors, 0);
  EXPECT_EQ(rates.element, backend_->precision() == Precision::kBf16 ? 2 : 4);
}

INSTANTIATE_TEST_SUITE_P(On, RatesOfDevice, testing::Values("Cuda", "CudaTf32", "CudaBf16"),
                         test::backend_name);

TEST(Rates, OfADeviceThatIsNotThereSayWhy) {
  EXPECT_THROW(cuda_rates(99, Precision::kFp32), std::runtime_error);
  EXPECT_THROW(cuda_exchange_seconds(99), std::runtime_error);
}

}  // namespace
}  // namespace unroll::benchmark
