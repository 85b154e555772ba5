/// The weights of a recurrent stack as the products on a GPU read them: units and inputs padded to
/// a multiple of 8, so that tensor cores and 16-byte accesses apply, and in their element type.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "cuda/device/device.h"
#include "cuda/device/variable_copies.h"
#include "unroll/backend.h"

namespace unroll::gpu {

/// What a layer reads: the input, or the outputs of the directions below it side by side, each
/// padded for itself.
struct LayerInput {
  std::int64_t blocks, width;  // D or 1, H or I

  std::int64_t columns() const { return blocks * width; }
  std::int64_t padded_width() const { return padded(width); }
  std::int64_t padded_columns() const { return blocks * padded_width(); }
  bool is_padded() const { return width != padded_width(); }
};
/// Where the weights lie if each of them is a variable; nothing if one is not.
std::optional<std::vector<const void*>> variables_of(std::span<const RecurrentWeights> weights);

/// Copies of weights in the form that `key` says: those that `known` has or else fresh(true), which
/// it then knows for as long as somebody holds them. Of weights that are not all variables
/// fresh(false), nobody else's.
template <typename Form, typename Copies, typename Fresh>
std::shared_ptr<Copies> shared_copies(
    std::map<std::pair<Form, std::vector<const void*>>, std::weak_ptr<Copies>>& known, Form form,
    std::span<const RecurrentWeights> weights, const Fresh& fresh) {
  auto variables = variables_of(weights);
  if (!variables) return fresh(false);
  std::erase_if(known, [](const auto& entry) { return entry.second.expired(); });
  std::weak_ptr<Copies>& place = known[{std::move(form), std::move(*variables)}];
  std::shared_ptr<Copies> copies = place.lock();
  if (!copies) place = copies = fresh(true);
  return copies;
}

LayerInput layer_input(const RecurrentSpec& spec, std::int64_t input, int layer);

class RecurrentWeightCopies {
 public:
  struct Cell {
    const void* weight_ih = nullptr;  // [x_slots Hp, Ip]
    const void* weight_hh = nullptr;  // [h_slots Hp, Hp]
    const float* bias = nullptr;      // [slots, Hp]
  };
  /// What decides which weights are copied and when.
  struct Use {
    /// All weights have versions. With others among them they are prepared within the run, and what
    /// a capture holds must not depend on versions: it is run again when they differ.
    bool of_variables;
    /// Products of several cells go out as one, whose operands have to be evenly spaced: variables
    /// lie anywhere, also one before the other, which cuBLAS does not promise to understand, and
    /// which products become one must not depend on it. Else a float32 variable without padding
    /// serves as it is.
    bool evenly_spaced;
  };

  RecurrentWeightCopies(Device& device, const RecurrentSpec& spec, std::int64_t input, Use use);

  /// Brings up to date what is not: all, or of variables those whose version is another one.
  void update(std::span<const RecurrentWeights> weights);
  const Cell& cell(std::size_t index) const { return cells_[index]; }

 private:
  struct Copies {
    std::shared_ptr<MatrixCopy> weight_ih, weight_hh;  // null: the variable itself serves
    std::shared_ptr<BiasCopy> bias;
  };
  void add_known(std::span<const RecurrentWeights> weights);

  Device& device_;
  bool of_variables_, known_ = false;
  std::vector<Copies> copies_;
  std::vector<Cell> cells_;
};

/// The copies that all plans over the same variables share.
class SharedWeightCopies {
 public:
  explicit SharedWeightCopies(Device& device) : device_(device) {}

  Device& device() const { return device_; }
  /// `evenly_spaced`: as RecurrentWeightCopies::Use has it.
  std::shared_ptr<RecurrentWeightCopies> of(const RecurrentArgs& args, bool evenly_spaced,
                                            std::span<const RecurrentWeights> weights);

 private:
  using Form = std::pair<GruReset, bool>;  // and whether they are evenly spaced

  Device& device_;
  std::map<std::pair<Form, std::vector<const void*>>, std::weak_ptr<RecurrentWeightCopies>> known_;
};

}  // namespace unroll::gpu
