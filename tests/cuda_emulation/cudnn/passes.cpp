#include "tests/cuda_emulation/cudnn/passes.h"

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <utility>
#include <vector>

#include "tests/cuda_emulation/cudnn/memory.h"

namespace unroll::gpu::cudnn {
namespace {

double logistic(double x) {
  return 1 / (1 + std::exp(-x));
}

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

}  // namespace

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

}  // namespace unroll::gpu::cudnn
