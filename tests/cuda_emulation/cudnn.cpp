/// A stand-in for cuDNN on the CPU: the recurrent part of its interface, in loops as plain as the
/// equations of its manual. It is as strict as the real one is known to be, and stricter where the
/// manual says nothing: its weight space has gaps and an unexpected order, every call overwrites
/// its work space, and the data that the forward pass keeps serve one backward pass.
///
/// Values in memory are rounded to the data type: x, y, h, c, weights, and the gradients of all
/// these and of gates. Sums are in float64.
///
/// If UNROLL_EMULATED_CUDNN_WRONG is set in the environment, the first element of y is wrong.
#include <dlfcn.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "cuda/cudnn/cudnn.h"
#include "tests/cuda_emulation/hooks.h"
#include "tests/cuda_emulation/include/cuda_bf16.h"
#include "tests/cuda_emulation/include/cuda_fp16.h"

using namespace unroll::gpu::cudnn;  // NOLINT: its C interface follows

namespace unroll::gpu::cudnn {

struct HandleData {
  cudaStream_t stream = nullptr;
};
struct DropoutData {
  bool is_set = false;
};
struct TensorData {
  DataType type{};
  std::vector<int> extents, strides;
};
struct RnnDataData {
  DataType type{};
  DataLayout layout{};
  int steps = 0, batch = 0, width = 0;
};
struct RnnData {
  bool is_set = false;
  Algorithm algorithm{};
  CellMode cell{};
  DataType type{};
  MathType math{};
  int input = 0, hidden = 0, projection = 0, layers = 0, directions = 0;
  std::uint32_t flags = 0;
  int dynamic_batch = 0;

  int gates() const { return cell == CellMode::kLstm ? 4 : cell == CellMode::kGru ? 3 : 1; }
  /// A projection to the hidden size is none.
  bool projects() const { return projection != hidden; }
  /// Products of a cell that have weights: of x and of h for each gate, and the projection.
  int parts() const { return 2 * gates() + (projects() ? 1 : 0); }
  /// Kept slots: a GRU also keeps R_n h + b_n, which its reset gate multiplies, and a cell with a
  /// projection what it projects. Of the gradients of gates, the latter is that of h.
  int slots() const { return cell == CellMode::kGru || projects() ? gates() + 1 : gates(); }
  int outputs() const { return directions * projection; }
  int columns(int layer) const { return layer == 0 ? input : outputs(); }
  int cells() const { return layers * directions; }
};

}  // namespace unroll::gpu::cudnn

namespace {

constexpr Status kShapeNotSupported = Status(3002), kTypeNotSupported = Status(3003),
                 kLayoutNotSupported = Status(3004);

std::string& last_error() {
  thread_local std::string text;
  return text;
}
Status refuse(Status status, const std::string& why) {
  last_error() = why;
  return status;
}

/// For errors that only show when the stream reaches the work: a caller that breaks the rules has
/// no use for a result.
[[noreturn]] void die(const char* why) {
  std::fprintf(stderr, "emulated cuDNN: %s\n", why);
  std::abort();
}

const emulation::Hooks* hooks() {
  void* const module = dlopen("libunroll_cuda.so", RTLD_NOW | RTLD_NOLOAD);
  if (!module) return nullptr;
  const auto entry =
      reinterpret_cast<const emulation::Hooks* (*)()>(dlsym(module, "unroll_emulation_hooks"));
  return entry ? entry() : nullptr;
}

std::size_t size_of(DataType type) {
  return type == DataType::kFloat ? 4 : 2;
}

// ---- values

/// An array in memory whose elements have the data type.
class Array {
 public:
  Array(DataType type, const void* data) : type_(type), data_(const_cast<void*>(data)) {}
  explicit operator bool() const { return data_ != nullptr; }

  double get(std::int64_t k) const {
    if (type_ == DataType::kFloat) return double(static_cast<const float*>(data_)[k]);
    if (type_ == DataType::kHalf) return double(__half2float(static_cast<const __half*>(data_)[k]));
    return double(__bfloat162float(static_cast<const __nv_bfloat16*>(data_)[k]));
  }
  void set(std::int64_t k, double value) const {
    if (type_ == DataType::kFloat)
      static_cast<float*>(data_)[k] = float(value);
    else if (type_ == DataType::kHalf)
      static_cast<__half*>(data_)[k] = __float2half(float(value));
    else
      static_cast<__nv_bfloat16*>(data_)[k] = __float2bfloat16(float(value));
  }
  void set(std::int64_t k, const std::vector<double>& values) const {
    for (const double value : values) set(k++, value);
  }

 private:
  DataType type_;
  void* data_;
};

double rounded(DataType type, double value) {
  float there = 0;
  const Array one(type, &there);
  one.set(0, value);
  return one.get(0);
}

/// A factor as products use it: TF32 keeps 10 bits of the mantissa.
double factor(const RnnData& rnn, double value) {
  if (rnn.math != MathType::kDefault || rnn.type != DataType::kFloat || value != value)
    return value;
  const auto bits = std::bit_cast<std::uint32_t>(float(value));
  return double(std::bit_cast<float>((bits + 0xFFF + (bits >> 13 & 1)) & ~0x1FFFU));
}

double logistic(double x) {
  return 1 / (1 + std::exp(-x));
}

// ---- layouts

struct Place {
  std::int64_t matrix, bias;  // in elements
  std::int64_t rows, columns;
  bool has_bias;
};

/// Per cell: a gap, then its biases, then its matrices from the last to the first, with more gaps.
/// A projection has no bias.
Place place_of(const RnnData& rnn, int cell, int part) {
  const std::int64_t biased = std::int64_t{2} * rnn.gates(), bias_size = rnn.hidden + 3;
  std::int64_t at = 0;
  for (int before = 0;; ++before) {
    const auto shape_of = [&](int k) -> Place {
      if (k == biased) return {0, 0, rnn.projection, rnn.hidden, false};
      return {0, 0, rnn.hidden,
              k < rnn.gates() ? rnn.columns(before / rnn.directions) : rnn.projection, true};
    };
    const std::int64_t biases = at + 7;
    Place place = shape_of(part);
    place.bias = biases + part * bias_size;
    at = biases + biased * bias_size;
    for (int k = rnn.parts(); k-- > 0;) {
      if (k == part) place.matrix = at;
      at += shape_of(k).rows * shape_of(k).columns + 5;
    }
    if (before == cell) return place;
    if (before + 1 == rnn.cells()) return {at, at, 0, 0, false};  // the end of the space
  }
}
std::size_t weight_bytes_of(const RnnData& rnn) {
  return std::size_t(place_of(rnn, rnn.cells(), 0).matrix) * size_of(rnn.type);
}

/// What the forward pass keeps, as float32 after a mark.
struct Trace {
  enum Mark : std::uint64_t { kForward = 0xF0F0, kData = 0xDADA, kSpent = 0xDEAD };

  const RnnData& rnn;
  int steps, batch;
  float* memory;

  std::int64_t rows() const { return std::int64_t(steps) * batch; }
  std::int64_t cell_size() const { return rows() * rnn.hidden * (2 * rnn.slots() + 1); }
  std::int64_t floats() const {
    return 16 + rnn.cells() * cell_size() + rnn.layers * rows() * rnn.outputs();
  }
  float* cell(int index) const { return memory + 16 + index * cell_size(); }
  float* gates(int index, std::int64_t row) const {
    return cell(index) + row * rnn.slots() * rnn.hidden;
  }
  float* dgates(int index, std::int64_t row) const { return gates(index, rows() + row); }
  float* c(int index, std::int64_t row) const {
    return gates(index, 2 * rows()) + row * rnn.hidden;
  }
  float* output(int layer, std::int64_t row) const {
    return memory + 16 + rnn.cells() * cell_size() + (layer * rows() + row) * rnn.outputs();
  }

  void expect(Mark mark, const char* why) const {
    std::uint64_t found = 0;
    std::memcpy(&found, memory, sizeof found);
    if (found != mark) die(why);
  }
  void set(Mark mark) const {
    const std::uint64_t value = mark;
    std::memcpy(memory, &value, sizeof value);
  }
};

constexpr std::size_t kWorkPerValue = 8;
std::size_t work_bytes_of(const RnnData& rnn, const RnnDataData& x) {
  return 256 +
         kWorkPerValue * std::size_t(x.steps) * std::size_t(x.batch) * std::size_t(rnn.outputs());
}
std::size_t reserve_bytes_of(const RnnData& rnn, const RnnDataData& x) {
  return std::size_t(Trace{rnn, x.steps, x.batch, nullptr}.floats()) * sizeof(float);
}

// ---- passes

/// The arguments of all three passes; each pass leaves some null.
struct Pass {
  RnnData rnn;
  int steps, batch;
  const void *x, *y, *hx, *cx, *weights;
  void *y_out, *hy, *cy;       // forward
  const void *dy, *dhy, *dcy;  // backward
  void *dx, *dhx, *dcx, *dweights;
  void *work, *reserve;
  std::size_t work_bytes;
  bool training;
};

/// The weights of one cell, as products use them.
struct CellWeights {
  std::vector<double> w, r;  // [G, H, I], [G, H, P]
  std::vector<double> b, c;  // [G, H]: biases of W and of R
  std::vector<double> p;     // [P, H], if there is a projection

  CellWeights(const RnnData& rnn, const void* space, int cell) {
    const Array values(rnn.type, space);
    for (int part = 0; part < rnn.parts(); ++part) {
      const Place place = place_of(rnn, cell, part);
      std::vector<double>& matrix = !place.has_bias ? p : part < rnn.gates() ? w : r;
      std::vector<double>& bias = part < rnn.gates() ? b : c;
      for (std::int64_t k = 0; k < place.rows * place.columns; ++k)
        matrix.push_back(factor(rnn, values.get(place.matrix + k)));
      for (std::int64_t k = 0; place.has_bias && k < rnn.hidden; ++k)
        bias.push_back(values.get(place.bias + k));
    }
  }
};

double dot(const double* a, const double* b, std::int64_t n) {
  double sum = 0;
  for (std::int64_t k = 0; k < n; ++k) sum += a[k] * b[k];
  return sum;
}

/// One direction of one layer, and the order of its steps.
struct Cell {
  const Pass& pass;
  const RnnData& rnn;
  Trace trace;
  int layer, direction, index;

  Cell(const Pass& p, const Trace& t, int l, int d)
      : pass(p), rnn(p.rnn), trace(t), layer(l), direction(d), index(l * p.rnn.directions + d) {}

  int time(int k) const { return direction == 0 ? k : pass.steps - 1 - k; }
  std::int64_t row(int t, int n) const { return std::int64_t(t) * pass.batch + n; }
  /// Where the states h and c of a sequence begin.
  std::int64_t h_at(int n) const { return (std::int64_t(index) * pass.batch + n) * rnn.projection; }
  std::int64_t c_at(int n) const { return (std::int64_t(index) * pass.batch + n) * rnn.hidden; }
  double initial(const void* states, std::int64_t at) const {
    return states ? Array(rnn.type, states).get(at) : 0;
  }
  std::vector<double> initial(const void* states, std::int64_t at, int size) const {
    std::vector<double> values(std::size_t(size), 0);
    for (int k = 0; states && k < size; ++k) values[std::size_t(k)] = initial(states, at + k);
    return values;
  }
  /// The input of the layer.
  double input(std::int64_t at, int column) const {
    if (layer > 0) return double(trace.output(layer - 1, at)[column]);
    return Array(rnn.type, pass.x).get(at * rnn.input + column);
  }
  std::vector<double> input_row(std::int64_t at) const {
    std::vector<double> values;
    for (int k = 0; k < rnn.columns(layer); ++k) values.push_back(factor(rnn, input(at, k)));
    return values;
  }
  /// h before the k-th step: for the top layer read from y, as the real cuDNN does.
  double h_before(int k, int n, int unit) const {
    if (k == 0) return initial(pass.hx, h_at(n) + unit);
    const std::int64_t at = row(time(k - 1), n);
    const int column = direction * rnn.projection + unit;
    if (layer + 1 == rnn.layers) return Array(rnn.type, pass.y).get(at * rnn.outputs() + column);
    return double(trace.output(layer, at)[column]);
  }
  double c_before(int k, int n, int unit) const {
    return k == 0 ? initial(pass.cx, c_at(n) + unit)
                  : double(trace.c(index, row(time(k - 1), n))[unit]);
  }
};

/// h = P m, where m is what an LSTM without a projection would put out.
std::vector<double> projected(const RnnData& rnn, const CellWeights& weights,
                              std::vector<double> m) {
  std::vector<double> h;
  for (double& value : m) value = factor(rnn, value);
  for (std::int64_t row = 0; row < rnn.projection; ++row)
    h.push_back(
        rounded(rnn.type, dot(&weights.p[std::size_t(row * rnn.hidden)], m.data(), rnn.hidden)));
  return h;
}

void forward_cell(const Cell& cell) {
  const RnnData& rnn = cell.rnn;
  const int hidden = rnn.hidden, width = rnn.projection, gates = rnn.gates(),
            columns = rnn.columns(cell.layer);
  const CellWeights weights(rnn, cell.pass.weights, cell.index);
  const Array y(rnn.type, cell.pass.y_out), hy(rnn.type, cell.pass.hy), cy(rnn.type, cell.pass.cy);
  for (int n = 0; n < cell.pass.batch; ++n) {
    std::vector<double> h = cell.initial(cell.pass.hx, cell.h_at(n), width),
                        c = cell.initial(cell.pass.cx, cell.c_at(n), hidden);
    for (int k = 0; k < cell.pass.steps; ++k) {
      const std::int64_t at = cell.row(cell.time(k), n);
      const std::vector<double> x = cell.input_row(at);
      std::vector<double> read = h;
      for (double& value : read) value = factor(rnn, value);
      float* const kept = cell.trace.gates(cell.index, at);
      std::vector<double> next(std::size_t(hidden), 0);
      for (int u = 0; u < hidden; ++u) {
        double in[4]{}, re[4]{};
        for (int g = 0; g < gates; ++g) {
          const std::int64_t unit = std::int64_t(g) * hidden + u;
          in[g] = weights.b[std::size_t(unit)] +
                  dot(&weights.w[std::size_t(unit * columns)], x.data(), columns);
          re[g] = weights.c[std::size_t(unit)] +
                  dot(&weights.r[std::size_t(unit * width)], read.data(), width);
        }
        const auto keep = [&](int slot, double value) { kept[slot * hidden + u] = float(value); };
        double& h_u = next[std::size_t(u)];
        if (rnn.cell == CellMode::kLstm) {
          const double i = logistic(in[0] + re[0]), f = logistic(in[1] + re[1]),
                       g = std::tanh(in[2] + re[2]), o = logistic(in[3] + re[3]);
          double& c_u = c[std::size_t(u)];
          c_u = rounded(rnn.type, f * c_u + i * g);
          h_u = o * std::tanh(c_u);
          keep(0, i), keep(1, f), keep(2, g), keep(3, o);
          cell.trace.c(cell.index, at)[u] = float(c_u);
        } else if (rnn.cell == CellMode::kGru) {
          const double r = logistic(in[0] + re[0]), z = logistic(in[1] + re[1]),
                       candidate = std::tanh(in[2] + r * re[2]);
          h_u = (1 - z) * candidate + z * h[std::size_t(u)];
          keep(0, r), keep(1, z), keep(2, candidate), keep(3, re[2]);
        } else {
          const double sum = in[0] + re[0];
          h_u = rnn.cell == CellMode::kTanh ? std::tanh(sum) : std::max(sum, 0.0);
          if (sum != sum) h_u = sum;
          keep(0, h_u);
        }
        h_u = rounded(rnn.type, h_u);
        if (rnn.projects()) keep(gates, h_u);
      }
      h = rnn.projects() ? projected(rnn, weights, next) : next;
      for (int u = 0; u < width; ++u) {
        const int column = cell.direction * width + u;
        cell.trace.output(cell.layer, at)[column] = float(h[std::size_t(u)]);
        if (cell.layer + 1 == rnn.layers) y.set(at * rnn.outputs() + column, h[std::size_t(u)]);
      }
    }
    if (hy) hy.set(cell.h_at(n), h);
    if (cy && rnn.cell == CellMode::kLstm) cy.set(cell.c_at(n), c);
  }
}

/// From the gradient of h that of what the cell projects, or of h again. Keeps the former.
std::vector<double> before_projection(const RnnData& rnn, const CellWeights& weights,
                                      const std::vector<double>& dh, float* kept) {
  if (!rnn.projects()) return dh;
  std::vector<double> dm(std::size_t(rnn.hidden), 0);
  for (int row = 0; row < rnn.projection; ++row) {
    kept[row] = float(rounded(rnn.type, dh[std::size_t(row)]));
    const double* const weights_of_row = &weights.p[std::size_t(std::int64_t(row) * rnn.hidden)];
    for (int u = 0; u < rnn.hidden; ++u)
      dm[std::size_t(u)] += factor(rnn, double(kept[row])) * weights_of_row[u];
  }
  return dm;
}

/// Adds to the gradients of h before a step and of its input those that come from its gates.
struct PassedOn {
  double *h, *x;
};
void pass_on(const Cell& cell, const CellWeights& weights, const float* slopes, PassedOn to) {
  const RnnData& rnn = cell.rnn;
  const int hidden = rnn.hidden, width = rnn.projection, columns = rnn.columns(cell.layer);
  for (int g = 0; g < rnn.gates(); ++g)
    for (int u = 0; u < hidden; ++u) {
      const bool apart = rnn.cell == CellMode::kGru && g == 2;
      const double to_x = factor(rnn, double(slopes[g * hidden + u]));
      const double to_h = apart ? factor(rnn, double(slopes[3 * hidden + u])) : to_x;
      const std::int64_t unit = std::int64_t(g) * hidden + u;
      for (int j = 0; j < width; ++j) to.h[j] += to_h * weights.r[std::size_t(unit * width + j)];
      for (int j = 0; j < columns; ++j)
        to.x[j] += to_x * weights.w[std::size_t(unit * columns + j)];
    }
}

/// Adds to dx [T N, columns].
void backward_cell(const Cell& cell, const std::vector<double>& dy, std::vector<double>& dx) {
  const RnnData& rnn = cell.rnn;
  const int hidden = rnn.hidden, width = rnn.projection, gates = rnn.gates(),
            columns = rnn.columns(cell.layer);
  const CellWeights weights(rnn, cell.pass.weights, cell.index);
  const Array dhx(rnn.type, cell.pass.dhx), dcx(rnn.type, cell.pass.dcx);
  for (int n = 0; n < cell.pass.batch; ++n) {
    std::vector<double> dh = cell.initial(cell.pass.dhy, cell.h_at(n), width),
                        dc = cell.initial(cell.pass.dcy, cell.c_at(n), hidden);
    for (int k = cell.pass.steps; k-- > 0;) {
      const std::int64_t at = cell.row(cell.time(k), n);
      const float* const kept = cell.trace.gates(cell.index, at);
      float* const slopes = cell.trace.dgates(cell.index, at);
      for (int u = 0; u < width; ++u)
        dh[std::size_t(u)] +=
            dy[std::size_t(at * rnn.outputs() + std::int64_t(cell.direction) * width + u)];
      const std::vector<double> dm =
          before_projection(rnn, weights, dh, slopes + std::int64_t(gates) * hidden);
      std::vector<double> carried(std::size_t(width), 0);
      for (int u = 0; u < hidden; ++u) {
        const auto gate = [&](int slot) { return double(kept[slot * hidden + u]); };
        const auto keep = [&](int slot, double value) {
          slopes[slot * hidden + u] = float(rounded(rnn.type, value));
        };
        const double slope = dm[std::size_t(u)];
        if (rnn.cell == CellMode::kLstm) {
          const double i = gate(0), f = gate(1), g = gate(2), o = gate(3);
          const double tanh_c = std::tanh(double(cell.trace.c(cell.index, at)[u]));
          double& dc_u = dc[std::size_t(u)];
          dc_u += slope * o * (1 - tanh_c * tanh_c);
          keep(0, dc_u * g * i * (1 - i));
          keep(1, dc_u * cell.c_before(k, n, u) * f * (1 - f));
          keep(2, dc_u * i * (1 - g * g));
          keep(3, slope * tanh_c * o * (1 - o));
          dc_u *= f;
        } else if (rnn.cell == CellMode::kGru) {
          const double r = gate(0), z = gate(1), candidate = gate(2), q = gate(3);
          const double dsum = slope * (1 - z) * (1 - candidate * candidate);
          keep(0, dsum * q * r * (1 - r));
          keep(1, slope * (cell.h_before(k, n, u) - candidate) * z * (1 - z));
          keep(2, dsum);
          keep(3, dsum * r);
          carried[std::size_t(u)] = slope * z;
        } else {
          const double h = gate(0);
          keep(0, rnn.cell == CellMode::kTanh ? slope * (1 - h * h) : h > 0 ? slope : 0);
        }
      }
      pass_on(cell, weights, slopes, {carried.data(), &dx[std::size_t(at * columns)]});
      dh = carried;
    }
    if (dhx) dhx.set(cell.h_at(n), dh);
    if (dcx && rnn.cell == CellMode::kLstm) dcx.set(cell.c_at(n), dc);
  }
}

void add_weight_gradients(const Cell& cell) {
  const RnnData& rnn = cell.rnn;
  const int hidden = rnn.hidden, gates = rnn.gates();
  const Array space(rnn.type, cell.pass.dweights);
  for (int part = 0; part < rnn.parts(); ++part) {
    const bool projection = part == 2 * gates, recurrent = part >= gates && !projection;
    const int gate = part % gates;
    const int slot =
        projection || (recurrent && rnn.cell == CellMode::kGru && gate == 2) ? gates : gate;
    const Place place = place_of(rnn, cell.index, part);
    std::vector<double> matrix(std::size_t(place.rows * place.columns)),
        bias(std::size_t(place.has_bias ? hidden : 0), 0);
    for (int n = 0; n < cell.pass.batch; ++n)
      for (int k = 0; k < cell.pass.steps; ++k) {
        const std::int64_t at = cell.row(cell.time(k), n);
        std::vector<double> read;
        if (projection)
          for (int j = 0; j < hidden; ++j)
            read.push_back(
                factor(rnn, double(cell.trace.gates(cell.index, at)[slot * hidden + j])));
        else if (recurrent)
          for (int j = 0; j < rnn.projection; ++j)
            read.push_back(factor(rnn, cell.h_before(k, n, j)));
        else
          read = cell.input_row(at);
        for (int u = 0; u < place.rows; ++u) {
          const double slope = double(cell.trace.dgates(cell.index, at)[slot * hidden + u]);
          if (place.has_bias) bias[std::size_t(u)] += slope;
          double* const to = &matrix[std::size_t(u * place.columns)];
          const double left = factor(rnn, slope);
          for (std::int64_t j = 0; j < place.columns; ++j) to[j] += left * read[std::size_t(j)];
        }
      }
    for (std::size_t k = 0; k < matrix.size(); ++k)
      space.set(place.matrix + std::int64_t(k),
                space.get(place.matrix + std::int64_t(k)) + matrix[k]);
    for (std::size_t k = 0; k < bias.size(); ++k)
      space.set(place.bias + std::int64_t(k), space.get(place.bias + std::int64_t(k)) + bias[k]);
  }
}

void spoil(void* memory, std::size_t bytes) {
  std::memset(memory, 0xFF, bytes);  // NaN in every format
}

void run_forward(const Pass& pass) {
  spoil(pass.work, pass.work_bytes);
  Trace trace{pass.rnn, pass.steps, pass.batch, static_cast<float*>(pass.reserve)};
  std::vector<float> local;
  if (!pass.training) {
    local.resize(std::size_t(trace.floats()));
    trace.memory = local.data();
  }
  trace.set(Trace::kForward);
  for (int layer = 0; layer < pass.rnn.layers; ++layer)
    for (int direction = 0; direction < pass.rnn.directions; ++direction)
      forward_cell({pass, trace, layer, direction});
  if (std::getenv("UNROLL_EMULATED_CUDNN_WRONG")) Array(pass.rnn.type, pass.y_out).set(0, 2);
}

void run_backward_data(const Pass& pass) {
  const Trace trace{pass.rnn, pass.steps, pass.batch, static_cast<float*>(pass.reserve)};
  trace.expect(Trace::kForward, "cudnnRNNBackwardData_v8: no forward pass has filled the reserve");
  spoil(pass.work, pass.work_bytes);
  const RnnData& rnn = pass.rnn;
  const Array given(rnn.type, pass.dy), wanted(rnn.type, pass.dx);
  std::vector<double> dy;
  for (std::int64_t k = 0; k < trace.rows() * rnn.outputs(); ++k) dy.push_back(given.get(k));
  for (int layer = rnn.layers; layer-- > 0;) {
    std::vector<double> dx(std::size_t(trace.rows() * rnn.columns(layer)), 0);
    for (int direction = 0; direction < rnn.directions; ++direction)
      backward_cell({pass, trace, layer, direction}, dy, dx);
    for (double& value : dx) value = rounded(rnn.type, value);
    dy = std::move(dx);
  }
  for (std::size_t k = 0; k < dy.size(); ++k) wanted.set(std::int64_t(k), dy[k]);
  trace.set(Trace::kData);
}

void run_backward_weights(const Pass& pass) {
  const Trace trace{pass.rnn, pass.steps, pass.batch, static_cast<float*>(pass.reserve)};
  trace.expect(Trace::kData, "cudnnRNNBackwardWeights_v8: cudnnRNNBackwardData_v8 comes first");
  spoil(pass.work, pass.work_bytes);
  for (int layer = 0; layer < pass.rnn.layers; ++layer)
    for (int direction = 0; direction < pass.rnn.directions; ++direction)
      add_weight_gradients({pass, trace, layer, direction});
  spoil(pass.reserve, std::size_t(trace.floats()) * sizeof(float));
  trace.set(Trace::kSpent);
}

// ---- checks

/// Persistent algorithms do not take bfloat16. The real cuDNN does not say so for an RNN descriptor
/// but later; so does this one, in both possible ways: for the static ones when sizes are
/// requested, for the dynamic one in the first pass.
Status check_type(const RnnData& rnn) {
  if (rnn.algorithm == Algorithm::kStandard || rnn.type != DataType::kBfloat16)
    return Status::kSuccess;
  return refuse(rnn.algorithm == Algorithm::kPersistDynamic ? Status::kBadParam : kTypeNotSupported,
                "persistent algorithms take no bfloat16");
}

/// The persistent algorithms can keep only limited shapes on the chip.
Status check_shape(const RnnData& rnn, ForwardMode mode, int batch) {
  const bool training = mode == ForwardMode::kTraining;
  const bool gated = rnn.cell == CellMode::kLstm || rnn.cell == CellMode::kGru;
  if (rnn.algorithm == Algorithm::kPersistStatic && (rnn.hidden % 128 != 0 || rnn.hidden > 1024))
    return refuse(kShapeNotSupported, "persist_static: hiddenSize");
  const int most = gated ? (training ? 128 : 192) : (training ? 256 : 384);
  if (rnn.algorithm == Algorithm::kPersistStaticSmallH && rnn.hidden > most)
    return refuse(kShapeNotSupported, "persist_static_small_h: hiddenSize");
  if (rnn.algorithm == Algorithm::kPersistDynamic && rnn.dynamic_batch != batch)
    return refuse(Status::kBadParam, "persist_dynamic: not built for this miniBatch");
  return Status::kSuccess;
}

Status check_data(const RnnData& rnn, const RnnDataData& data, int width) {
  if (data.type != rnn.type || data.width != width || data.steps < 1)
    return refuse(Status::kBadParam, "an RNN data descriptor does not fit the RNN descriptor");
  if ((data.layout == DataLayout::kSequenceMajorPacked) == (rnn.flags == kPaddedIoEnabled))
    return refuse(kLayoutNotSupported, "the data layout and the padding of the RNN disagree");
  // No such refusal is known, but a caller must be ready for one.
  if (rnn.algorithm == Algorithm::kPersistDynamic &&
      data.layout != DataLayout::kSequenceMajorPacked)
    return refuse(kLayoutNotSupported, "persist_dynamic: expected the packed layout");
  return Status::kSuccess;
}

/// `size`: that of h, or of c.
Status check_state(const RnnData& rnn, const TensorDescriptor states, int batch, int size) {
  const std::vector<int> extents{rnn.cells(), batch, size};
  const std::vector<int> strides{batch * size, size, 1};
  if (!states || states->type != rnn.type || states->extents != extents ||
      states->strides != strides)
    return refuse(Status::kBadParam, "a state's tensor descriptor does not fit");
  return Status::kSuccess;
}

struct Buffer {
  const void* memory;
  std::size_t bytes;
  bool optional = false;
};

struct Call {
  Handle handle;
  RnnDescriptor rnn;
  const std::int32_t* lengths;
  RnnDataDescriptor x, y;
  TensorDescriptor h, c;
  std::size_t weight_bytes, work_bytes, reserve_bytes;
  ForwardMode mode;
};

/// Runs the checks that all passes share, then queues the pass.
Status queue(const Call& call, const Pass& given, std::initializer_list<Buffer> buffers,
             void (*run)(const Pass&)) {
  if (!call.handle || !call.rnn || !call.rnn->is_set || !call.x || !call.y)
    return refuse(Status::kBadParam, "a null pointer");
  const RnnData& rnn = *call.rnn;
  const int batch = call.x->batch;
  if (call.lengths) return refuse(Status::kBadParam, "devSeqLengths: expected NULL");
  for (const Status status :
       {check_type(rnn), check_shape(rnn, call.mode, batch), check_data(rnn, *call.x, rnn.input),
        check_data(rnn, *call.y, rnn.outputs()), check_state(rnn, call.h, batch, rnn.projection),
        rnn.cell == CellMode::kLstm && call.c ? check_state(rnn, call.c, batch, rnn.hidden)
                                              : Status::kSuccess})
    if (status != Status::kSuccess) return status;
  if (call.y->batch != batch || call.y->steps != call.x->steps)
    return refuse(Status::kBadParam, "x and y differ in steps or batch");
  const bool training = call.mode == ForwardMode::kTraining;
  if (call.weight_bytes < weight_bytes_of(rnn) || call.work_bytes < work_bytes_of(rnn, *call.x) ||
      (training && call.reserve_bytes < reserve_bytes_of(rnn, *call.x)))
    return refuse(Status::kBadParam, "a memory is too small");
  const emulation::Hooks* const cuda = hooks();
  for (const Buffer& buffer : buffers)
    if (!(buffer.optional && !buffer.memory) &&
        !cuda->is_device_memory(buffer.memory, buffer.bytes))
      return refuse(Status::kBadParam, "memory that is not the device's, or null");
  Pass pass = given;
  pass.rnn = rnn;
  pass.steps = call.x->steps;
  pass.batch = batch;
  pass.work_bytes = call.work_bytes;
  pass.training = training;
  const cudaError_t error = cuda->enqueue(call.handle->stream, [pass, run] { run(pass); });
  return error == cudaSuccess ? Status::kSuccess
                              : refuse(Status::kExecutionFailed, "the stream takes no work");
}

/// The sizes in bytes of the data, of all states, and of the memories.
struct Sizes {
  std::size_t x, y, h, c, weights, work, reserve;
  explicit Sizes(const Call& call) {
    const std::size_t element = size_of(call.rnn->type);
    const auto rows = std::size_t(call.x->steps) * std::size_t(call.x->batch);
    x = rows * std::size_t(call.rnn->input) * element;
    y = rows * std::size_t(call.rnn->outputs()) * element;
    const std::size_t states = std::size_t(call.rnn->cells() * call.x->batch) * element;
    h = states * std::size_t(call.rnn->projection);
    c = states * std::size_t(call.rnn->hidden);
    weights = call.weight_bytes;
    work = call.work_bytes;
    reserve = call.reserve_bytes;
  }
};

template <typename Pointer>
Status create(Pointer* to) {
  if (!to) return refuse(Status::kBadParam, "a null pointer");
  *to = new std::remove_pointer_t<Pointer>;
  return Status::kSuccess;
}
template <typename Pointer>
Status destroy(Pointer what) {
  delete what;
  return Status::kSuccess;
}

/// Checks that a function has the type that the engine declares.
template <typename Function>
constexpr bool is_member(Function* Interface::*, Function*) {
  return true;
}

}  // namespace

#pragma GCC visibility push(default)
extern "C" {

std::size_t cudnnGetVersion() {
  return 91900;
}
const char* cudnnGetErrorString(Status status) {
  switch (int(status) / 1000) {
    case 0:
      return "CUDNN_STATUS_SUCCESS";
    case 1:
      return "CUDNN_STATUS_NOT_INITIALIZED";
    case 2:
      return "CUDNN_STATUS_BAD_PARAM";
    case 3:
      return "CUDNN_STATUS_NOT_SUPPORTED";
    case 4:
      return "CUDNN_STATUS_INTERNAL_ERROR";
  }
  return "CUDNN_STATUS_EXECUTION_FAILED";
}
void cudnnGetLastErrorString(char* message, std::size_t bytes) {
  std::snprintf(message, bytes, "%s", std::exchange(last_error(), {}).c_str());
}

Status cudnnCreate(Handle* handle) {
  if (!hooks()) return refuse(Status::kNotInitialized, "this stand-in needs the emulated CUDA");
  return create(handle);
}
Status cudnnDestroy(Handle handle) {
  return destroy(handle);
}
Status cudnnSetStream(Handle handle, cudaStream_t stream) {
  handle->stream = stream;
  return Status::kSuccess;
}

Status cudnnCreateTensorDescriptor(TensorDescriptor* descriptor) {
  return create(descriptor);
}
Status cudnnDestroyTensorDescriptor(TensorDescriptor descriptor) {
  return destroy(descriptor);
}
Status cudnnSetTensorNdDescriptor(TensorDescriptor descriptor, DataType type, int dims,
                                  const int* extents, const int* strides) {
  if (dims < 3 || dims > 8) return refuse(Status::kNotSupported, "nbDims");
  *descriptor = {type, {extents, extents + dims}, {strides, strides + dims}};
  return Status::kSuccess;
}
Status cudnnGetTensorNdDescriptor(TensorDescriptor descriptor, int most_dims, DataType* type,
                                  int* dims, int* extents, int* strides) {
  *type = descriptor->type;
  *dims = int(descriptor->extents.size());
  const auto count = std::size_t(std::min(most_dims, *dims));
  std::copy_n(descriptor->extents.begin(), count, extents);
  std::copy_n(descriptor->strides.begin(), count, strides);
  return Status::kSuccess;
}

Status cudnnCreateDropoutDescriptor(DropoutDescriptor* descriptor) {
  return create(descriptor);
}
Status cudnnDestroyDropoutDescriptor(DropoutDescriptor descriptor) {
  return destroy(descriptor);
}
Status cudnnSetDropoutDescriptor(DropoutDescriptor descriptor, Handle handle, float rate,
                                 void* states, std::size_t, unsigned long long) {
  if (!handle || rate != 0 || states)
    return refuse(Status::kNotSupported, "this stand-in drops nothing");
  descriptor->is_set = true;
  return Status::kSuccess;
}

Status cudnnCreateRNNDescriptor(RnnDescriptor* descriptor) {
  return create(descriptor);
}
Status cudnnDestroyRNNDescriptor(RnnDescriptor descriptor) {
  return destroy(descriptor);
}
Status cudnnSetRNNDescriptor_v8(RnnDescriptor descriptor, Algorithm algorithm, CellMode cell,
                                BiasMode bias, DirectionMode direction, InputMode input_mode,
                                DataType type, DataType math_precision, MathType math,
                                std::int32_t input, std::int32_t hidden, std::int32_t projection,
                                std::int32_t layers, DropoutDescriptor dropout,
                                std::uint32_t flags) {
  if (!descriptor || !dropout || !dropout->is_set || input < 1 || hidden < 1 || layers < 1 ||
      projection < 1 || flags > kPaddedIoEnabled)
    return refuse(Status::kBadParam, "a size, or a descriptor that is not set");
  const bool has_projections = cell == CellMode::kLstm && algorithm == Algorithm::kStandard;
  if (projection > hidden || (projection < hidden && !has_projections))
    return refuse(Status::kNotSupported,
                  "projSize: at most hiddenSize, and less only for "
                  "CUDNN_LSTM with the standard algorithm");
  if (bias != BiasMode::kDouble || input_mode != InputMode::kLinear)
    return refuse(Status::kNotSupported, "this stand-in has two biases and a linear input");
  const bool is_float = type == DataType::kFloat;
  if (math_precision != DataType::kFloat || (math == MathType::kTensorOp) == is_float)
    return refuse(kTypeNotSupported, "dataType, mathPrec and mathType");
  *descriptor = {.is_set = true,
                 .algorithm = algorithm,
                 .cell = cell,
                 .type = type,
                 .math = math,
                 .input = input,
                 .hidden = hidden,
                 .projection = projection,
                 .layers = layers,
                 .directions = direction == DirectionMode::kBidirectional ? 2 : 1,
                 .flags = flags};
  return Status::kSuccess;
}
Status cudnnBuildRNNDynamic(Handle handle, RnnDescriptor descriptor, int batch) {
  if (!handle || !descriptor->is_set || descriptor->algorithm != Algorithm::kPersistDynamic)
    return refuse(Status::kBadParam, "an RNN descriptor that is not set, or of another algorithm");
  descriptor->dynamic_batch = batch;
  return Status::kSuccess;
}
Status cudnnGetRNNTempSpaceSizes(Handle handle, RnnDescriptor descriptor, ForwardMode mode,
                                 RnnDataDescriptor x, std::size_t* work_bytes,
                                 std::size_t* reserve_bytes) {
  if (!handle || !descriptor->is_set || !x) return refuse(Status::kBadParam, "a null pointer");
  const bool is_dynamic = descriptor->algorithm == Algorithm::kPersistDynamic;
  for (const Status status :
       {is_dynamic ? Status::kSuccess : check_type(*descriptor),
        check_data(*descriptor, *x, descriptor->input), check_shape(*descriptor, mode, x->batch)})
    if (status != Status::kSuccess) return status;
  *work_bytes = work_bytes_of(*descriptor, *x);
  *reserve_bytes = mode == ForwardMode::kTraining ? reserve_bytes_of(*descriptor, *x) : 0;
  return Status::kSuccess;
}
Status cudnnGetRNNWeightSpaceSize(Handle handle, RnnDescriptor descriptor, std::size_t* bytes) {
  if (!handle || !descriptor->is_set) return refuse(Status::kBadParam, "a null pointer");
  *bytes = weight_bytes_of(*descriptor);
  return Status::kSuccess;
}
Status cudnnGetRNNWeightParams(Handle handle, RnnDescriptor descriptor, std::int32_t pseudo_layer,
                               std::size_t weight_bytes, const void* weights,
                               std::int32_t linear_layer, TensorDescriptor matrix_descriptor,
                               void** matrix, TensorDescriptor bias_descriptor, void** bias) {
  const RnnData& rnn = *descriptor;
  if (!handle || !weights || !matrix_descriptor || !bias_descriptor || pseudo_layer < 0 ||
      pseudo_layer >= rnn.cells() || linear_layer < 0 || linear_layer > 2 * rnn.gates() ||
      weight_bytes < weight_bytes_of(rnn))
    return refuse(Status::kBadParam, "a null pointer, or a weight that is none");
  *matrix_descriptor = *bias_descriptor = {rnn.type, {}, {}};
  *matrix = *bias = nullptr;
  if (linear_layer >= rnn.parts()) return Status::kSuccess;  // a projection that there is not
  const Place place = place_of(rnn, pseudo_layer, linear_layer);
  const int rows = int(place.rows), columns = int(place.columns);
  auto* const bytes = static_cast<std::byte*>(const_cast<void*>(weights));
  *matrix_descriptor = {rnn.type, {1, rows, columns}, {rows * columns, columns, 1}};
  *matrix = bytes + std::size_t(place.matrix) * size_of(rnn.type);
  if (!place.has_bias) return Status::kSuccess;
  *bias_descriptor = {rnn.type, {1, rows, 1}, {rows, 1, 1}};
  *bias = bytes + std::size_t(place.bias) * size_of(rnn.type);
  return Status::kSuccess;
}
Status cudnnCreateRNNDataDescriptor(RnnDataDescriptor* descriptor) {
  return create(descriptor);
}
Status cudnnDestroyRNNDataDescriptor(RnnDataDescriptor descriptor) {
  return destroy(descriptor);
}
Status cudnnSetRNNDataDescriptor(RnnDataDescriptor descriptor, DataType type, DataLayout layout,
                                 int steps, int batch, int width, const int* lengths, void*) {
  if (steps < 1 || batch < 1 || width < 1 || !lengths) return refuse(Status::kBadParam, "a size");
  if (std::any_of(lengths, lengths + batch, [&](int length) { return length != steps; }))
    return refuse(Status::kNotSupported, "this stand-in has sequences of equal length");
  *descriptor = {type, layout, steps, batch, width};
  return Status::kSuccess;
}

Status cudnnRNNForward(Handle handle, RnnDescriptor rnn, ForwardMode mode,
                       const std::int32_t* lengths, RnnDataDescriptor x_descriptor, const void* x,
                       RnnDataDescriptor y_descriptor, void* y, TensorDescriptor h_descriptor,
                       const void* hx, void* hy, TensorDescriptor c_descriptor, const void* cx,
                       void* cy, std::size_t weight_bytes, const void* weights,
                       std::size_t work_bytes, void* work, std::size_t reserve_bytes,
                       void* reserve) {
  const Call call{handle,       rnn,          lengths,    x_descriptor,  y_descriptor, h_descriptor,
                  c_descriptor, weight_bytes, work_bytes, reserve_bytes, mode};
  const Sizes size(call);
  Pass pass{};
  pass.x = x;
  pass.y = pass.y_out = y;
  pass.hx = hx, pass.cx = cx, pass.hy = hy, pass.cy = cy;
  pass.weights = weights;
  pass.work = work, pass.reserve = reserve;
  return queue(call, pass,
               {{x, size.x},
                {y, size.y},
                {hx, size.h, true},
                {hy, size.h, true},
                {cx, size.c, true},
                {cy, size.c, true},
                {weights, size.weights},
                {work, size.work},
                {reserve, size.reserve, mode == ForwardMode::kInference}},
               run_forward);
}

Status cudnnRNNBackwardData_v8(Handle handle, RnnDescriptor rnn, const std::int32_t* lengths,
                               RnnDataDescriptor y_descriptor, const void* y, const void* dy,
                               RnnDataDescriptor x_descriptor, void* dx,
                               TensorDescriptor h_descriptor, const void* hx, const void* dhy,
                               void* dhx, TensorDescriptor c_descriptor, const void* cx,
                               const void* dcy, void* dcx, std::size_t weight_bytes,
                               const void* weights, std::size_t work_bytes, void* work,
                               std::size_t reserve_bytes, void* reserve) {
  const Call call{
      handle,       rnn,          lengths,    x_descriptor,  y_descriptor,          h_descriptor,
      c_descriptor, weight_bytes, work_bytes, reserve_bytes, ForwardMode::kTraining};
  const Sizes size(call);
  Pass pass{};
  pass.y = y, pass.dy = dy, pass.dx = dx;
  pass.hx = hx, pass.dhy = dhy, pass.dhx = dhx;
  pass.cx = cx, pass.dcy = dcy, pass.dcx = dcx;
  pass.weights = weights;
  pass.work = work, pass.reserve = reserve;
  return queue(call, pass,
               {{y, size.y},
                {dy, size.y},
                {dx, size.x},
                {hx, size.h, true},
                {dhy, size.h, true},
                {dhx, size.h, true},
                {cx, size.c, true},
                {dcy, size.c, true},
                {dcx, size.c, true},
                {weights, size.weights},
                {work, size.work},
                {reserve, size.reserve}},
               run_backward_data);
}

Status cudnnRNNBackwardWeights_v8(Handle handle, RnnDescriptor rnn, GradientMode mode,
                                  const std::int32_t* lengths, RnnDataDescriptor x_descriptor,
                                  const void* x, TensorDescriptor h_descriptor, const void* hx,
                                  RnnDataDescriptor y_descriptor, const void* y,
                                  std::size_t weight_bytes, void* dweights, std::size_t work_bytes,
                                  void* work, std::size_t reserve_bytes, void* reserve) {
  if (mode != GradientMode::kAdd)
    return refuse(Status::kNotSupported, "addGrad: expected CUDNN_WGRAD_MODE_ADD");
  const Call call{
      handle,  rnn,          lengths,    x_descriptor,  y_descriptor,          h_descriptor,
      nullptr, weight_bytes, work_bytes, reserve_bytes, ForwardMode::kTraining};
  const Sizes size(call);
  Pass pass{};
  pass.x = x, pass.hx = hx, pass.y = y;
  pass.dweights = dweights;
  pass.work = work, pass.reserve = reserve;
  return queue(call, pass,
               {{x, size.x},
                {hx, size.h, true},
                {y, size.y},
                {dweights, size.weights},
                {work, size.work},
                {reserve, size.reserve}},
               run_backward_weights);
}

}  // extern "C"
#pragma GCC visibility pop

static_assert(is_member(&Interface::get_version, &cudnnGetVersion) &&
              is_member(&Interface::get_error_string, &cudnnGetErrorString) &&
              is_member(&Interface::get_last_error_string, &cudnnGetLastErrorString) &&
              is_member(&Interface::create, &cudnnCreate) &&
              is_member(&Interface::destroy, &cudnnDestroy) &&
              is_member(&Interface::set_stream, &cudnnSetStream) &&
              is_member(&Interface::set_tensor_nd_descriptor, &cudnnSetTensorNdDescriptor) &&
              is_member(&Interface::get_tensor_nd_descriptor, &cudnnGetTensorNdDescriptor) &&
              is_member(&Interface::set_dropout_descriptor, &cudnnSetDropoutDescriptor) &&
              is_member(&Interface::set_rnn_descriptor, &cudnnSetRNNDescriptor_v8) &&
              is_member(&Interface::build_rnn_dynamic, &cudnnBuildRNNDynamic) &&
              is_member(&Interface::get_rnn_temp_space_sizes, &cudnnGetRNNTempSpaceSizes) &&
              is_member(&Interface::get_rnn_weight_space_size, &cudnnGetRNNWeightSpaceSize) &&
              is_member(&Interface::get_rnn_weight_params, &cudnnGetRNNWeightParams) &&
              is_member(&Interface::set_rnn_data_descriptor, &cudnnSetRNNDataDescriptor) &&
              is_member(&Interface::rnn_forward, &cudnnRNNForward) &&
              is_member(&Interface::rnn_backward_data, &cudnnRNNBackwardData_v8) &&
              is_member(&Interface::rnn_backward_weights, &cudnnRNNBackwardWeights_v8));
