#include "host/cpu/recurrent/stack.h"

#include <algorithm>
#include <cstring>

#include "unroll/recurrent_spec.h"

namespace unroll::host {

Stack::Stack(Device& on, const RecurrentArgs& given)
    : device(on), args(given), program(cells::program_of(given.spec)) {
  lay_out_cells();
  lay_out_scratch();
}

void Stack::lay_out_cells() {
  const auto take = [&](bool wanted, Floats size) {
    const Floats at = reserve_size;
    if (wanted) reserve_size += round_up(size, 64);
    return at;
  };
  const RecurrentSpec& spec = args.spec;
  for (int layer = 0; layer < spec.layers(); ++layer) {
    LayerPlan plan{spec.layer_input(layer, args.input), -1, {}};
    if (layer > 0 && (spec.directions == 2 || dropout() > 0))
      plan.x = take(true, rows() * plan.input);
    for (int direction = 0; direction < spec.directions; ++direction) {
      const std::int64_t units = spec.units(layer), padded = round_up(units, kUnitBlock);
      CellPlan cell{.layer = std::size_t(layer),
                    .index = std::size_t(layer * spec.directions + direction),
                    .reverse = direction == 1,
                    .input = plan.input,
                    .units = units,
                    .padded = padded,
                    .width = spec.width(layer),
                    .padded_width = round_up(spec.width(layer), kUnitBlock)};
      cell.gates = take(true, rows() * gate_row(cell));
      cell.h = take(true, (args.steps + 1) * h_size(cell));
      cell.c = take(program.has_c, (args.steps + 1) * c_size(cell));
      cell.reset_h = take(program.has_reset(), rows() * padded);
      cell.output = take(has_projection(), rows() * padded);
      cell.c_normal = take(program.is_normalised, rows() * padded);
      cell.scales = take(program.is_normalised, rows() * cells::kNormScales);
      cell.bias = aligned_memory(std::size_t(gate_row(cell)) * sizeof(float));
      if (program.is_normalised)
        cell.gains = aligned_memory(std::size_t((2 * program.gates + 2) * padded) * sizeof(float));
      plan.cells.push_back(cell);
    }
    layers.push_back(std::move(plan));
  }
}

void Stack::lay_out_scratch() {
  std::int64_t units = 0, width = 0, widest = 0;
  for (const LayerPlan& layer : layers) {
    units = std::max(units, layer.cells.front().padded);
    width = std::max(width, layer.cells.front().padded_width);
    widest = std::max({widest, layer.input, args.spec.output(int(layer.cells.front().layer))});
  }
  const auto take = [&](bool wanted, Floats size) {
    const Floats at = scratch.size;
    if (wanted) scratch.size += round_up(size, 64);
    return at;
  };
  scratch.dh = take(true, (rows() + args.batch) * width);
  scratch.dgates = take(true, rows() * program.slots * units);
  scratch.dc = take(program.has_c, args.batch * units);
  scratch.dreset = take(program.has_reset(), args.batch * units);
  scratch.doutput = take(has_projection(), args.batch * units);
  scratch.dc_scaled = take(program.is_normalised, rows() * units);
  scratch.dc_normal = take(program.is_normalised, args.batch * units);
  for (Floats& dlayer : scratch.dlayer) dlayer = take(true, rows() * widest);
}

Share Stack::share(const CellPlan& cell, int thread) const {
  const int threads = device.pool.size();
  return {thread, split_range(cell.padded, kUnitBlock, thread, threads),
          split_range(cell.padded_width, kUnitBlock, thread, threads),
          split_range(args.batch, 1, thread, threads)};
}

Region Stack::region(const CellPlan& cell, const Share& share) const {
  if (program.is_normalised) return {share.rows, {0, cell.padded}};
  return {{0, args.batch}, share.units};
}

Matrix Stack::layer_input(std::size_t layer, const View& x, const float* memory) const {
  const LayerPlan& plan = layers[layer];
  if (layer == 0) return {x.as<float>(), plan.input};
  if (plan.x >= 0) return {memory + plan.x, plan.input};
  const CellPlan& below = layers[layer - 1].cells.front();
  return {memory + below.h + h_size(below), below.padded_width};
}

GateArgs Stack::gate_args(const CellPlan& cell, std::int64_t t, const Region& region,
                          float* memory) const {
  const std::int64_t first = region.rows.begin, unit = region.units.begin;
  // In a buffer [places, N, Hp].
  const auto at = [&](Floats buffer, std::int64_t place) {
    return memory + buffer + (place * args.batch + first) * cell.padded + unit;
  };
  GateArgs a{};
  a.rows = region.rows.end - first;
  a.first_row = first;
  a.units = region.units.end - unit;
  a.gate_row = gate_row(cell);
  a.gate_stride = cell.padded;
  a.bias = static_cast<const float*>(cell.bias.get()) + unit;
  a.gates = memory + cell.gates + (t * args.batch + first) * gate_row(cell) + unit;
  a.prev = at(program.has_c ? cell.c : cell.h, cell.before(t));
  if (program.has_c) a.state = at(cell.c, cell.after(t));
  a.result = has_projection() ? at(cell.output, t) : at(cell.h, cell.after(t));
  if (program.is_normalised) {
    a.gains = static_cast<const float*>(cell.gains.get()) + unit;
    a.c_normal = at(cell.c_normal, t);
    a.scales = memory + cell.scales + (t * args.batch + first) * cells::kNormScales;
  }
  return a;
}

void pad_state(const View& from, const CellPlan& cell, Floats size, float* to) {
  std::memset(to, 0, std::size_t(size) * sizeof(float));
  if (!from) return;
  const std::int64_t batch = from.shape[1], elements = from.shape[2], padded = size / batch;
  const float* in = from.as<float>() + (cell.reverse ? batch * elements : 0);
  for (std::int64_t n = 0; n < batch; ++n)
    std::memcpy(to + n * padded, in + n * elements, std::size_t(elements) * sizeof(float));
}

void unpad_state(const float* from, Floats size, const CellPlan& cell, const View& to) {
  if (!to) return;
  const std::int64_t batch = to.shape[1], elements = to.shape[2], padded = size / batch;
  float* out = to.as<float>() + (cell.reverse ? batch * elements : 0);
  for (std::int64_t n = 0; n < batch; ++n)
    std::memcpy(out + n * elements, from + n * padded, std::size_t(elements) * sizeof(float));
}

}  // namespace unroll::host
