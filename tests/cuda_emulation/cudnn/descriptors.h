/// What the descriptors of the stand-in for cuDNN hold.
#pragma once

#include <cstdint>
#include <vector>

#include "cuda/cudnn/cudnn.h"

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
