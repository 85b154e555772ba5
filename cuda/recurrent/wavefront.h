/// The order in which the cells of a recurrent stack take their steps: which cells advance
/// together, and at which timestep each is.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "cuda/recurrent/gates.h"
#include "unroll/recurrent_spec.h"

namespace unroll::gpu {

/// A cell at a timestep. Cells are counted layer by layer, the forward direction first.
struct CellStep {
  int cell;
  std::int64_t t;
};

/// Cells that advance together: the directions of a layer, or layers of equal size as a wavefront.
struct Stage {
  int first, count;    // cells
  int directions;      // per layer
  std::int64_t steps;  // T
  std::int64_t block;  // timesteps by which a layer is ahead of the next; T: no wavefront

  bool is_wavefront() const { return block < steps; }
  Stage lowest_layer() const { return {first, directions, directions, steps, steps}; }
  /// The number of timesteps in the block that begins at `begin`.
  std::int64_t block_steps(std::int64_t begin) const { return std::min(block, steps - begin); }

  /// Calls tick(blocks, for_each_step) once if there is no wavefront, otherwise for every tick.
  /// `blocks` has the active layers, each with the first timestep of its block. for_each_step calls
  /// its argument for each step within the blocks, with the cells that take part. `backward`: from
  /// the last layer and timestep to the first.
  template <typename Tick>
  void for_each_tick(bool backward, const Tick& tick) const {
    const std::int64_t blocks = (steps + block - 1) / block;
    const int layers = is_wavefront() ? count : 1;
    for (std::int64_t now = 0; now < blocks + layers - 1; ++now) {
      CellStep active[kMostCells];
      std::size_t found = 0;
      for (int k = 0; k < count; ++k) {
        // All directions of a layer are at the same block, each in its own order of time.
        const int layer = is_wavefront() ? k : 0;
        const std::int64_t at = backward ? blocks - 1 - (now - (layers - 1 - layer)) : now - layer;
        if (at >= 0 && at < blocks) active[found++] = {first + k, at * block};
      }
      const std::span<const CellStep> at_blocks(active, found);
      tick(at_blocks, [&](auto&& step) { for_each_step(backward, at_blocks, step); });
    }
  }

 private:
  template <typename Step>
  void for_each_step(bool backward, std::span<const CellStep> blocks, const Step& step) const {
    for (std::int64_t s = 0; s < block; ++s) {
      CellStep taking_part[kMostCells];
      std::size_t found = 0;
      for (const CellStep& at : blocks) {
        const std::int64_t t = at.t + (backward ? block - 1 - s : s);
        if (t >= steps) continue;  // the last block is shorter
        const bool reverse = at.cell % directions == 1;
        taking_part[found++] = {at.cell, reverse ? steps - 1 - t : t};
      }
      if (found > 0) step(std::span<const CellStep>(taking_part, found));
    }
  }
};

/// `block`: timesteps per block of a wavefront; 0: layer after layer.
inline std::vector<Stage> stages_of(const RecurrentSpec& spec, std::int64_t steps,
                                    std::int64_t block) {
  std::vector<Stage> stages;
  const int layers = spec.layers();
  const bool wavefront = spec.directions == 1 && block > 0 && block < steps;
  for (int layer = 0; layer < layers;) {
    int end = layer + 1;
    while (wavefront && end < layers && end - layer < kMostCells &&
           spec.hidden[std::size_t(end)] == spec.hidden[std::size_t(layer)])
      ++end;
    stages.push_back({layer * spec.directions, (end - layer) * spec.directions, spec.directions,
                      steps, end - layer > 1 ? block : steps});
    layer = end;
  }
  return stages;
}

}  // namespace unroll::gpu
