/// The weights of a recurrent stack in the form that products on a GPU read: in their element type,
/// and with units and inputs padded to a multiple of 8, so that tensor cores and 16-byte accesses
/// apply.
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
#include "unroll/kernels/recurrent.h"

namespace unroll::gpu {

/// The input of a layer: x, or the outputs of the directions below it side by side, each padded
/// separately.
struct LayerInput {
  std::int64_t blocks, width;  // D or 1, R or I

  std::int64_t columns() const { return blocks * width; }
  std::int64_t padded_width() const { return padded(width); }
  std::int64_t padded_columns() const { return blocks * padded_width(); }
  bool is_padded() const { return width != padded_width(); }
};

/// The addresses of all parameters of all cells if all of them are variables, otherwise nullopt.
std::optional<std::vector<const void*>> variables_of(std::span<const RecurrentWeights> weights);

/// Copies of weights in the form `form`. If all weights are variables, this returns the known
/// copies, or makes fresh(true) and records them in `known` for as long as they are in use.
/// Otherwise it returns fresh(false), which is not shared.
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
    const void* weight_ih = nullptr;  // [G Hp, Ip]
    const void* weight_hh = nullptr;  // [h_slots Hp, Rp], in the order of the slots
    const void* weight_hr = nullptr;  // [Rp, Hp]
    const float* bias = nullptr;      // [slots, Hp]
  };
  /// Decides which weights are copied, and when.
  struct Use {
    /// All weights are variables and so have versions. If others are among them, all are prepared
    /// within the run, and a capture must not depend on versions: it is replayed even if they
    /// differ.
    bool of_variables;
    /// Products of several cells are queued as one, which requires evenly spaced operands.
    /// Variables can lie anywhere, also in descending order, which cuBLAS does not promise to
    /// support, and the choice which products become one must not depend on their addresses. So
    /// they are copied. Otherwise a float32 variable without padding is read in place.
    bool evenly_spaced;
  };

  RecurrentWeightCopies(Device& device, const RecurrentSpec& spec, std::int64_t input, Use use);

  /// Copies the weights that are out of date: variables whose version has changed, and all weights
  /// that are not variables.
  void update(std::span<const RecurrentWeights> weights);
  const Cell& cell(std::size_t index) const { return cells_[index]; }

 private:
  struct Copies {
    // Null: the variable is read in place.
    std::shared_ptr<MatrixCopy> weight_ih, weight_hh, weight_hr;
    std::shared_ptr<BiasCopy> bias;
  };
  Copies copies_of(const RecurrentSpec& spec, const LayerInput& input, int layer,
                   const Use& use) const;
  void allocate();
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
  /// `evenly_spaced`: see RecurrentWeightCopies::Use.
  std::shared_ptr<RecurrentWeightCopies> of(const RecurrentArgs& args, bool evenly_spaced,
                                            std::span<const RecurrentWeights> weights);

 private:
  /// What the addresses of the weights do not tell. The bool: evenly spaced.
  using Form = std::pair<GruReset, bool>;

  Device& device_;
  std::map<std::pair<Form, std::vector<const void*>>, std::weak_ptr<RecurrentWeightCopies>> known_;
};

}  // namespace unroll::gpu
