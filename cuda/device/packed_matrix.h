/// Matrices in the form that products read: in the element type of products, and with rows padded
/// with zeros, which aligns every row.
#pragma once

#include <cstdint>

#include "cuda/device/variable_copies.h"
#include "cuda/kernels/element.h"

namespace unroll::gpu {

class Device;

/// The form of a packed copy. The given matrix is float32 [rows, columns].
struct PackedForm {
  std::int64_t rows, columns;
  Element element;

  std::int64_t stride() const { return padded(columns); }
  std::size_t bytes() const { return std::size_t(rows * stride()) * size_of(element); }
  /// Whether a packed copy differs from the given matrix.
  bool differs() const { return element != Element::kFloat32 || stride() != columns; }
};

/// Queues the copy. `packed` has form.bytes().
void pack_matrix(Device& device, const PackedForm& form, const float* matrix, void* packed);

/// Allocates the copy but does not fill it.
std::shared_ptr<MatrixCopy> make_packed_copy(Device& device, const PackedForm& form);

}  // namespace unroll::gpu
