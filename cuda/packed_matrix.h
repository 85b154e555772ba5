/// Matrices as products read them: rows padded with zeros, which keeps every one of them aligned,
/// and in the products' element type.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <utility>

#include "cuda/gemm.h"
#include "unroll/backend.h"

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
  auto operator<=>(const PackedForm&) const = default;
};

/// Queues the copy. `packed` has form.bytes().
void pack_matrix(Device& device, const PackedForm& form, const float* matrix, void* packed);

/// A packed copy together with the version of the matrix that it was made from.
class PackedMatrix {
 public:
  PackedMatrix(Device& device, const PackedForm& form);

  /// Queues the packing unless `matrix` is a variable whose version is packed already.
  void update(Device& device, const View& matrix);

  const void* data() const { return memory_.get(); }
  const PackedForm& form() const { return form_; }

 private:
  PackedForm form_;
  std::shared_ptr<void> memory_;
  std::uint64_t version_ = 0;  // variables' versions start at 1
};

/// The packed copies of one device's variables, each shared by all who want the same form.
class PackedVariables {
 public:
  /// Makes `mine` the one that is known for the variable in mine's form, or it known if none is.
  /// Leaves it alone if `matrix` is no variable.
  void share(const View& matrix, std::shared_ptr<PackedMatrix>& mine);

 private:
  std::map<std::pair<const void*, PackedForm>, std::weak_ptr<PackedMatrix>> known_;
};

}  // namespace unroll::gpu
