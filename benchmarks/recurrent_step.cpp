/// Times the recurrent node forward (as in training) and backward, per timestep, for the stacks of
/// shapes.h, beside the same cuBLAS products alone in a CUDA graph and a floor. A CSV on stdout,
/// one row per shape and pass, with the floor's constants in lines that begin with #.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <optional>
#include <vector>

#include "benchmarks/measure.h"
#include "benchmarks/shapes.h"
#include "unroll/cells/philox.h"
#if UNROLL_HAS_CUDA
#include "benchmarks/cublas_products.h"
#endif

namespace unroll::benchmark {
namespace {

constexpr const char* kHeader =
    "shape,cell,T,B,I,hidden,precision,algorithm,pass,us_per_step,min,max,products_us,products_min,"
    "products_max,ratio,floor_us,prepare_us";

struct Options {
  DeviceChoice device;
  std::vector<std::string> shapes;
  int samples = 20;
};

/// What the floor of a timestep is made of. Rates in 1/s.
struct Rates {
  double flops;
  double kernel = 0;  // s from the start of one kernel to that of the next that depends on it
  double l2 = std::numeric_limits<double>::infinity();      // bytes into the multiprocessors
  double memory = std::numeric_limits<double>::infinity();  // bytes
  double element = 4;                                       // bytes of an operand
};

/// A GPU's are what was published of an H200 and its kind; a CPU's floor is of multiply-adds alone.
Rates rates_of(const std::shared_ptr<Backend>& backend) {
  if (backend->kind() == DeviceKind::kCpu) return {.flops = product_rate(backend)};
  return {.flops = product_rate(backend),
          .kernel = 1.3e-6,
          .l2 = 6e12,
          .memory = 4.3e12,
          .element = backend->precision() == Precision::kBf16 ? 2.0 : 4.0};
}

enum class Pass : std::uint8_t { kForward, kBackward };

/// Microseconds per timestep: each layer's recurrent product and gate kernel one after the other,
/// its other products at the full rate, and what is saved for backward through memory.
double floor_us(const StackShape& shape, Pass pass, const Rates& rates) {
  const double batch = double(shape.batch), gates = gates_of(shape.cell);
  double input = double(shape.input), seconds = 0;
  for (const std::int64_t units : shape.hidden) {
    const double hidden = double(units), weights = gates * hidden * hidden;
    const double inputs =
        pass == Pass::kForward ? gates * hidden * input : 2 * gates * hidden * input + weights;
    seconds += 2 * rates.kernel +
               std::max(2 * batch * weights / rates.flops, weights * rates.element / rates.l2) +
               2 * batch * inputs / rates.flops +
               batch * hidden * (2 * gates + 2) * rates.element / rates.memory;
    input = hidden;
  }
  return seconds * 1e6;
}

/// A recurrent node with its memory, ready to run either pass.
class Node {
 public:
  Node(const StackShape& shape, std::shared_ptr<Backend> backend) : backend_(std::move(backend)) {
    RecurrentSpec spec;
    spec.cell = shape.cell;
    spec.hidden = shape.hidden;
    plan_ = backend_->recurrent_plan({.spec = spec,
                                      .steps = shape.steps,
                                      .batch = shape.batch,
                                      .input = shape.input,
                                      .training = true});
    x_ = tensor({shape.steps, shape.batch, shape.input}, 1);
    dx_ = tensor(x_.shape, 0);
    std::int64_t input = shape.input;
    for (const std::int64_t units : shape.hidden) {
      const std::int64_t rows = gates_of(shape.cell) * units;
      const double limit = 1 / std::sqrt(double(units));
      const Shape state{1, shape.batch, units};
      for (std::vector<View>* list : {&h0_, &h_n_, &dh0_}) list->push_back(tensor(state, 0));
      if (shape.cell == CellKind::kLstm)
        for (std::vector<View>* list : {&c0_, &c_n_, &dc0_}) list->push_back(tensor(state, 0));
      weights_.push_back({tensor({rows, input}, limit), tensor({rows, units}, limit),
                          tensor({rows}, limit), tensor({rows}, limit)});
      dweights_.push_back({tensor({rows, input}, 0), tensor({rows, units}, 0), tensor({rows}, 0),
                           tensor({rows}, 0)});
      input = units;
    }
    y_ = tensor({shape.steps, shape.batch, input}, 0);
    dy_ = tensor(y_.shape, 0.01);
    dh_n_.resize(shape.hidden.size());
    dc_n_.resize(c0_.size());
    reserve_ = memory(Shape{std::int64_t(plan_->reserve_bytes())}, DType::kByte);
    scratch_ = memory(Shape{std::int64_t(plan_->scratch_bytes())}, DType::kByte);
    step_ = memory(Shape{1}, DType::kInt64);
    for (RecurrentWeights& w : weights_)
      for (View* view : {&w.weight_ih, &w.weight_hh, &w.bias_ih, &w.bias_hh})
        view->version = &version_;
    prepare();
    forward_ = backend_->capture([this] {
      plan_->forward({.x = x_,
                      .lengths = {},
                      .h0 = h0_,
                      .c0 = c0_,
                      .weights = weights_,
                      .step = step_,
                      .y = y_,
                      .h_n = h_n_,
                      .c_n = c_n_,
                      .reserve = reserve_,
                      .scratch = scratch_});
    });
    backward_ = backend_->capture([this] {
      plan_->backward({.x = x_,
                       .lengths = {},
                       .h0 = h0_,
                       .c0 = c0_,
                       .weights = weights_,
                       .step = step_,
                       .reserve = reserve_,
                       .dy = dy_,
                       .dh_n = dh_n_,
                       .dc_n = dc_n_,
                       .dx = dx_,
                       .dh0 = dh0_,
                       .dc0 = dc0_,
                       .dweights = dweights_,
                       .scratch = scratch_});
    });
  }

  /// Weights as an update has just left them.
  void prepare() {
    ++version_;
    plan_->prepare(weights_);
  }
  void forward() { forward_->run(); }
  void backward() { backward_->run(); }
  void wait() { backend_->synchronize(); }
  std::string algorithm() const { return plan_->algorithm(); }

 private:
  View memory(const Shape& shape, DType dtype) {
    View view;
    view.shape = shape;
    view.dtype = dtype;
    const std::shared_ptr<void> bytes = backend_->allocate(view.bytes());
    backend_->clear(bytes.get(), view.bytes());
    view.data = bytes.get();
    owned_.push_back(bytes);
    return view;
  }
  /// Uniform in +-limit.
  View tensor(const Shape& shape, double limit) {
    const View view = memory(shape, DType::kFloat32);
    if (limit == 0) return view;
    std::vector<float> values(std::size_t(shape.elements()));
    for (std::size_t k = 0; k < values.size(); ++k)
      values[k] =
          float(limit * (2 * cells::uniform01(cells::philox_word(owned_.size(), 0, k)) - 1));
    backend_->upload(view.data, values.data(), view.bytes());
    return view;
  }

  std::shared_ptr<Backend> backend_;
  std::vector<std::shared_ptr<void>> owned_;
  std::uint64_t version_ = 0;
  View x_, dx_, y_, dy_, reserve_, scratch_, step_;
  std::vector<View> h0_, c0_, h_n_, c_n_, dh0_, dc0_, dh_n_, dc_n_;
  std::vector<RecurrentWeights> weights_, dweights_;
  std::unique_ptr<RecurrentPlan> plan_;
  std::unique_ptr<Replay> forward_, backward_;
};

/// Microseconds of one call of `work`, sample by sample. A sample is as many calls as take about
/// two milliseconds, and one wait.
class Timer {
 public:
  Timer(std::function<void()> work, std::function<void()> wait)
      : work_(std::move(work)), wait_(std::move(wait)) {
    calls_ = 3;  // the first of a replay runs the calls themselves, the second records them
    sample();
    calls_ = 1;
    calls_ = int(std::clamp(2000 / sample(), 1.0, 1000.0));
    times_.clear();
  }

  double sample() {
    const double us = 1000 / double(calls_) * milliseconds([&] {
                        for (int k = 0; k < calls_; ++k) work_();
                        wait_();
                      });
    times_.push_back(us);
    return us;
  }
  const std::vector<double>& times() const { return times_; }

 private:
  std::function<void()> work_, wait_;
  int calls_ = 1;
  std::vector<double> times_;
};

std::string joined(const std::vector<std::int64_t>& units) {
  std::string text;
  for (const std::int64_t u : units) text += (text.empty() ? "" : "/") + std::to_string(u);
  return text;
}

Spread per_step(std::vector<double> times, const StackShape& shape) {
  for (double& us : times) us /= double(shape.steps);
  return spread_of(std::move(times));
}

void measure(const StackShape& shape, const Options& options, const Rates& rates) {
  // A backend of its own for each: the first plan for training chooses the algorithm of all others.
  const std::shared_ptr<Backend> backend = options.device.open();
  Node node(shape, backend);
  const auto wait = [&] { node.wait(); };
  Timer forward([&] { node.forward(); }, wait);
  // Backward needs what forward has saved, and is the difference.
  Timer both([&] { node.forward(), node.backward(); }, wait);
  Timer prepare([&] { node.prepare(); }, wait);
  std::optional<Timer> products[2];
#if UNROLL_HAS_CUDA
  CublasProducts alone;
  if (backend->kind() == DeviceKind::kCuda) try {
      alone = cublas_products(shape, backend->precision());
      products[0].emplace([&] { alone.forward->run(); }, alone.wait);
      products[1].emplace([&] { alone.backward->run(); }, alone.wait);
    } catch (const std::runtime_error& error) {  // the node's own times are still worth having
      fmt::print("# {}: products alone not measured: {}\n", shape.name, error.what());
      for (std::optional<Timer>& p : products) p.reset();
    }
#endif
  std::vector<double> backward;
  for (int k = 0; k < options.samples; ++k) {  // in turn, so that a change of the clock hits all
    const double f = forward.sample();
    backward.push_back(both.sample() - f);
    prepare.sample();
    for (std::optional<Timer>& p : products)
      if (p) p->sample();
  }
  for (const Pass pass : {Pass::kForward, Pass::kBackward}) {
    const bool is_forward = pass == Pass::kForward;
    const Spread own = per_step(is_forward ? forward.times() : backward, shape);
    fmt::print("{},{},{},{},{},{},{},{},{},{:.3f},{:.3f},{:.3f},", shape.name,
               to_string(shape.cell), shape.steps, shape.batch, shape.input, joined(shape.hidden),
               to_string(backend->precision()), node.algorithm(),
               is_forward ? "forward" : "backward", own.median, own.least, own.most);
    if (const std::optional<Timer>& p = products[is_forward ? 0 : 1]) {
      const Spread alone_us = per_step(p->times(), shape);
      fmt::print("{:.3f},{:.3f},{:.3f},{:.3f},", alone_us.median, alone_us.least, alone_us.most,
                 own.median / alone_us.median);
    } else {
      fmt::print(",,,,");
    }
    fmt::print("{:.3f},{}\n", floor_us(shape, pass, rates),
               is_forward ? fmt::format("{:.3f}", per_step(prepare.times(), shape).median) : "");
  }
  std::fflush(stdout);
}

void run(const Options& options) {
  const std::shared_ptr<Backend> backend = options.device.open();
  const Rates rates = rates_of(backend);
  fmt::print(
      "# {}, {}; times are microseconds per timestep of all layers; prepare: once per sequence\n"
      "# floor per layer: 2 x {:.1f} us + max(FLOP / {:.4g} TFLOP/s, R / {:.4g} TB/s) of the\n"
      "# recurrent product + FLOP of the others + saved bytes / {:.4g} TB/s; {} bytes an operand\n"
      "{}\n",
      backend->name(), to_string(backend->precision()), rates.kernel * 1e6, rates.flops / 1e12,
      rates.l2 / 1e12, rates.memory / 1e12, rates.element, kHeader);
  for (const StackShape& shape : stack_shapes())
    if (options.shapes.empty() || std::ranges::count(options.shapes, shape.name) > 0)
      measure(shape, options, rates);
}

}  // namespace
}  // namespace unroll::benchmark

int main(int argc, char** argv) {
  unroll::benchmark::Options options;
  CLI::App app("Times recurrent stacks per timestep.");
  app.add_option("--device", options.device.device, "cpu or cuda");
  app.add_option("--precision", options.device.precision, "fp32, tf32 or bf16");
  app.add_option("--threads", options.device.threads);
  std::vector<std::string> names;
  for (const auto& shape : unroll::benchmark::stack_shapes()) names.push_back(shape.name);
  app.add_option("--shapes", options.shapes, "Some of them; without: all")
      ->delimiter(',')
      ->check(CLI::IsMember(names));
  app.add_option("--samples", options.samples)->check(CLI::PositiveNumber);
  CLI11_PARSE(app, argc, argv);
  return unroll::benchmark::exit_status_of([&] { unroll::benchmark::run(options); });
}
