#include "cuda/recurrent_weights.h"

#include <utility>

#include "cuda/memory_layout.h"
#include "cuda/recurrent_kernels.h"

namespace unroll::gpu {

std::optional<std::vector<const void*>> variables_of(std::span<const RecurrentWeights> weights) {
  std::vector<const void*> places;
  for (const RecurrentWeights& w : weights)
    for (const View* view : {&w.weight_ih, &w.weight_hh, &w.bias_ih, &w.bias_hh}) {
      if (!view->version) return std::nullopt;
      places.push_back(view->data);
    }
  return places;
}

LayerInput layer_input(const RecurrentSpec& spec, std::int64_t input, int layer) {
  if (layer == 0) return {1, input};
  return {spec.directions, spec.hidden[std::size_t(layer - 1)]};
}

RecurrentWeightCopies::RecurrentWeightCopies(Device& device, const RecurrentSpec& spec,
                                             std::int64_t input, bool of_variables)
    : device_(device), slots_(spec), of_variables_(of_variables) {
  const std::size_t element = size_of(device.element());
  const bool is_float = device.element() == Element::kFloat32;
  const bool in_order = slots_.parts[0].gate == 0;
  const int cells = spec.layers() * spec.directions;
  MemoryLayout layout;
  for (int cell = 0; cell < cells; ++cell) {
    const int layer = cell / spec.directions;
    Place place{
        layer_input(spec, input, layer), spec.hidden[std::size_t(layer)], false, false, 0, 0, 0};
    const bool exact = is_float && place.units == padded(place.units);
    // Variables of several cells lie anywhere, also one before the other, which cuBLAS does not
    // promise to understand; and which products become one must not depend on it.
    place.copies_ih = !exact || place.input.is_padded() || cells > 1;
    place.copies_hh = !exact || !in_order || cells > 1;
    places_.push_back(place);
  }
  // One kind after the other, so that neighbouring cells of one shape are evenly spaced.
  for (Place& p : places_)
    if (p.copies_ih)
      p.weight_ih =
          layout.take(slots_.x_slots() * padded(p.units) * p.input.padded_columns(), element);
  for (Place& p : places_)
    if (p.copies_hh)
      p.weight_hh = layout.take(slots_.h_slots() * padded(p.units) * padded(p.units), element);
  for (Place& p : places_) p.bias = layout.take(slots_.slots * padded(p.units), sizeof(float));
  memory_ = device.allocate(layout.bytes());
  cells_.resize(places_.size());
  for (std::size_t k = 0; k < places_.size(); ++k) {
    auto* memory = static_cast<std::byte*>(memory_.get());
    if (places_[k].copies_ih) cells_[k].weight_ih = memory + places_[k].weight_ih;
    if (places_[k].copies_hh) cells_[k].weight_hh = memory + places_[k].weight_hh;
    cells_[k].bias = reinterpret_cast<const float*>(memory + places_[k].bias);
  }
}

void RecurrentWeightCopies::update(std::span<const RecurrentWeights> weights) {
  for (std::size_t k = 0; k < places_.size(); ++k) {
    Place& place = places_[k];
    const RecurrentWeights& w = weights[k];
    auto* memory = static_cast<std::byte*>(memory_.get());
    const auto units = std::int32_t(place.units), padded_units = std::int32_t(padded(place.units));
    const auto is_new = [&](const View& view, std::size_t which) {
      if (!of_variables_) return true;
      return std::exchange(place.versions[which], *view.version) != *view.version;
    };
    if (!place.copies_ih) {
      cells_[k].weight_ih = w.weight_ih.data;
    } else if (is_new(w.weight_ih, 0)) {
      pad_matrix(device_.stream(), {.in = w.weight_ih.as<float>(),
                                    .out = memory + place.weight_ih,
                                    .element = device_.element(),
                                    .row_blocks = slots_.x_slots(),
                                    .rows = units,
                                    .padded_rows = padded_units,
                                    .row_order = {0, 1, 2, 3},
                                    .column_blocks = std::int32_t(place.input.blocks),
                                    .columns = std::int32_t(place.input.width),
                                    .padded_columns = std::int32_t(place.input.padded_width())});
    }
    if (!place.copies_hh) {
      cells_[k].weight_hh = w.weight_hh.data;
    } else if (is_new(w.weight_hh, 1)) {
      PadMatrix pad{.in = w.weight_hh.as<float>(),
                    .out = memory + place.weight_hh,
                    .element = device_.element(),
                    .row_blocks = slots_.h_slots(),
                    .rows = units,
                    .padded_rows = padded_units,
                    .column_blocks = 1,
                    .columns = units,
                    .padded_columns = padded_units};
      for (int p = 0; p < slots_.part_count; ++p)
        for (int j = 0; j < slots_.parts[p].count; ++j)
          pad.row_order[slots_.parts[p].slot + j] = slots_.parts[p].gate + j;
      pad_matrix(device_.stream(), pad);
    }
    const bool new_ih = is_new(w.bias_ih, 2), new_hh = is_new(w.bias_hh, 3);
    if (new_ih || new_hh)
      sum_biases(device_.stream(), slots_,
                 {w.bias_ih.as<float>(), w.bias_hh.as<float>(),
                  reinterpret_cast<float*>(memory + place.bias), units, padded_units});
  }
}

}  // namespace unroll::gpu
