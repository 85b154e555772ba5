/// Matrices as products read them: rows padded with zeros, which keeps every one of them aligned,
/// and in the products' element type.
#pragma once

#include <cstdint>

#include "cuda/device/variable_copies.h"
#include "cuda/kernels/element.h"

namespace unroll::gpu {

class Device;

/// What a packed copy looks like. As given, the matrix is float32 [rows, columns].
struct PackedForm {
  std::int64_t rows, columns;
  Element element;

  std::int64_t stride() const { return padded(columns); }
  std::size_t bytes() const { return std::size_t(rows * stride()) * size_of(element); }
  /// Whether a packed copy would differ from the matrix as given.
  bool differs() const { return element != Element::kFloat32 || stride() != columns; }
};

/// Queues the copy. `packed` has form.bytes().
void pack_matrix(Device& device, const PackedForm& form, const float* matrix, void* packed);

/// With memory for the copy, which is still to be made.
std::shared_ptr<MatrixCopy> make_packed_copy(Device& device, const PackedForm& form);

}  // namespace unroll::gpu
