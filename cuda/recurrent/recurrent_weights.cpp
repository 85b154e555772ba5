#include "cuda/recurrent/recurrent_weights.h"

#include <algorithm>
#include <utility>

#include "cuda/device/memory_layout.h"
#include "unroll/cells/table.h"

namespace unroll::gpu {

std::optional<std::vector<const void*>> variables_of(std::span<const RecurrentWeights> weights) {
  std::vector<const void*> places;
  for (const RecurrentWeights& w : weights)
    for (const View* view : {&w.weight_ih, &w.weight_hh, &w.bias_ih, &w.bias_hh, &w.weight_hr,
                             &w.gain_ih, &w.gain_hh, &w.gain_c, &w.bias_c}) {
      if (!*view) continue;  // the cell does not have it
      if (!view->version) return std::nullopt;
      places.push_back(view->data);
    }
  return places;
}

LayerInput layer_input(const RecurrentSpec& spec, std::int64_t input, int layer) {
  if (layer == 0) return {1, input};
  return {spec.directions, spec.width(layer - 1)};
}

namespace {

/// The form of W's copy, whose columns match the input of the layer.
PadMatrix form_of_weight_ih(const cells::CellProgram& program, PadMatrix like,
                            const LayerInput& input) {
  like.row_blocks = program.gates;
  for (int k = 0; k < like.row_blocks; ++k) like.row_order[k] = k;
  like.column_blocks = std::int32_t(input.blocks);
  like.columns = std::int32_t(input.width);
  like.padded_columns = std::int32_t(input.padded_width());
  return like;
}

/// The form of R's copy, whose rows are in the order of the slots that they feed.
PadMatrix form_of_weight_hh(const cells::CellProgram& program, PadMatrix like, std::int64_t width) {
  like.row_blocks = program.h_slots();
  for (int p = 0; p < program.phase_count; ++p) {
    const cells::Phase& phase = program.phases[p];
    for (int k = 0; k < phase.count; ++k)
      like.row_order[phase.first + k] = program.gate_of_h(phase, k);
  }
  like.column_blocks = 1;
  like.columns = std::int32_t(width);
  like.padded_columns = std::int32_t(padded(width));
  return like;
}

PadMatrix form_of_weight_hr(PadMatrix like, std::int64_t width) {
  like.row_blocks = like.column_blocks = 1;
  like.columns = like.rows;
  like.padded_columns = like.padded_rows;
  like.rows = std::int32_t(width);
  like.padded_rows = std::int32_t(padded(width));
  return like;
}

std::size_t bytes_of(const MatrixCopy& copy) {
  const PadMatrix& form = copy.form;
  return std::size_t(form.row_blocks) * std::size_t(form.padded_rows) *
         std::size_t(form.column_blocks) * std::size_t(form.padded_columns) * size_of(form.element);
}
std::size_t bytes_of(const BiasCopy& copy) {
  return std::size_t(copy.program.slots) * std::size_t(copy.padded) * sizeof(float);
}

View without_version(View view) {
  view.version = nullptr;
  return view;
}

}  // namespace

RecurrentWeightCopies::RecurrentWeightCopies(Device& device, const RecurrentSpec& spec,
                                             std::int64_t input, Use use)
    : device_(device), of_variables_(use.of_variables) {
  for (int layer = 0; layer < spec.layers(); ++layer)
    for (int direction = 0; direction < spec.directions; ++direction)
      copies_.push_back(copies_of(spec, layer_input(spec, input, layer), layer, use));
  allocate();
  for (const Copies& c : copies_)
    cells_.push_back({c.weight_ih ? c.weight_ih->out : nullptr,
                      c.weight_hh ? c.weight_hh->out : nullptr,
                      c.weight_hr ? c.weight_hr->out : nullptr, c.bias->out});
}

RecurrentWeightCopies::Copies RecurrentWeightCopies::copies_of(const RecurrentSpec& spec,
                                                               const LayerInput& input, int layer,
                                                               const Use& use) const {
  const cells::CellProgram program = cells::program_of(spec);
  const std::int64_t units = spec.units(layer), width = spec.width(layer);
  const PadMatrix like{.in = nullptr,
                       .out = nullptr,
                       .element = device_.element(),
                       .row_blocks = 0,
                       .rows = std::int32_t(units),
                       .padded_rows = std::int32_t(padded(units)),
                       .row_order = {},
                       .column_blocks = 0,
                       .columns = 0,
                       .padded_columns = 0};
  const bool serves =
      device_.element() == Element::kFloat32 && units == padded(units) && !use.evenly_spaced;
  const bool in_order = program.phases[0].gate == 0;
  Copies copies;
  if (!serves || input.is_padded())
    copies.weight_ih =
        std::make_shared<MatrixCopy>(MatrixCopy{form_of_weight_ih(program, like, input), {}, {}});
  if (!serves || !in_order || width != padded(width))
    copies.weight_hh =
        std::make_shared<MatrixCopy>(MatrixCopy{form_of_weight_hh(program, like, width), {}, {}});
  if (spec.projection > 0 && (!serves || width != padded(width)))
    copies.weight_hr =
        std::make_shared<MatrixCopy>(MatrixCopy{form_of_weight_hr(like, width), {}, {}});
  copies.bias = std::make_shared<BiasCopy>(BiasCopy{program, like.rows, like.padded_rows, {}, {}});
  return copies;
}

/// All copies of one kind are adjacent, so that neighbouring cells of one shape are evenly spaced.
void RecurrentWeightCopies::allocate() {
  const auto for_each_copy = [&](const auto& visit) {
    for (Copies& c : copies_)
      if (c.weight_ih) visit(*c.weight_ih);
    for (Copies& c : copies_)
      if (c.weight_hh) visit(*c.weight_hh);
    for (Copies& c : copies_)
      if (c.weight_hr) visit(*c.weight_hr);
    for (Copies& c : copies_) visit(*c.bias);
  };
  MemoryLayout layout;
  for_each_copy([&](const auto& copy) { layout.take(std::int64_t(bytes_of(copy)), 1); });
  const std::shared_ptr<void> memory = device_.allocate(layout.bytes());
  layout = {};
  for_each_copy([&](auto& copy) {
    void* const out =
        static_cast<std::byte*>(memory.get()) + layout.take(std::int64_t(bytes_of(copy)), 1);
    copy.out = static_cast<decltype(copy.out)>(out);
    copy.memory = memory;
  });
}

void RecurrentWeightCopies::add_known(std::span<const RecurrentWeights> weights) {
  VariableCopies& known = device_.variable_copies();
  for (std::size_t k = 0; k < copies_.size(); ++k) {
    if (copies_[k].weight_ih) known.add(weights[k].weight_ih, copies_[k].weight_ih);
    if (copies_[k].weight_hh) known.add(weights[k].weight_hh, copies_[k].weight_hh);
    if (copies_[k].weight_hr) known.add(weights[k].weight_hr, copies_[k].weight_hr);
    known.add(weights[k].bias_ih, copies_[k].bias);
  }
}

void RecurrentWeightCopies::update(std::span<const RecurrentWeights> weights) {
  if (of_variables_ && !std::exchange(known_, true)) add_known(weights);
  const auto given = [&](const View& view) { return of_variables_ ? view : without_version(view); };
  for (std::size_t k = 0; k < copies_.size(); ++k) {
    const RecurrentWeights& w = weights[k];
    const Copies& copies = copies_[k];
    const auto use = [&](const std::shared_ptr<MatrixCopy>& copy, const View& weight,
                         const void*& read) {
      if (copy)
        copy->update(device_.stream(), given(weight));
      else
        read = weight.data;
    };
    use(copies.weight_ih, w.weight_ih, cells_[k].weight_ih);
    use(copies.weight_hh, w.weight_hh, cells_[k].weight_hh);
    use(copies.weight_hr, w.weight_hr, cells_[k].weight_hr);
    copies.bias->update(device_.stream(), given(w.bias_ih), given(w.bias_hh));
  }
}

std::shared_ptr<RecurrentWeightCopies> SharedWeightCopies::of(
    const RecurrentArgs& args, bool evenly_spaced, std::span<const RecurrentWeights> weights) {
  // If all are copied anyway, they are evenly spaced anyway.
  if (device_.element() != Element::kFloat32 ||
      std::ranges::none_of(args.spec.hidden, [](auto units) { return units == padded(units); }))
    evenly_spaced = false;
  return shared_copies(known_, Form(args.spec.reset, evenly_spaced), weights,
                       [&](bool of_variables) {
                         return std::make_shared<RecurrentWeightCopies>(
                             device_, args.spec, args.input,
                             RecurrentWeightCopies::Use{of_variables, evenly_spaced});
                       });
}

}  // namespace unroll::gpu
