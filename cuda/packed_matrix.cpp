#include "cuda/packed_matrix.h"

#include "cuda/device.h"
#include "cuda/recurrent_kernels.h"

namespace unroll::gpu {

void pack_matrix(Device& device, const PackedForm& form, const float* matrix, void* packed) {
  if (form.bytes() == 0) return;
  const auto rows = std::int32_t(form.rows);
  pad_matrix(device.stream(), {.in = matrix,
                               .out = packed,
                               .element = form.element,
                               .row_blocks = 1,
                               .rows = rows,
                               .padded_rows = rows,
                               .row_order = {0},
                               .column_blocks = 1,
                               .columns = std::int32_t(form.columns),
                               .padded_columns = std::int32_t(form.stride())});
}

PackedMatrix::PackedMatrix(Device& device, const PackedForm& form)
    : form_(form), memory_(device.allocate(form.bytes())) {}

void PackedMatrix::update(Device& device, const View& matrix) {
  if (matrix.version && *matrix.version == version_) return;
  version_ = matrix.version ? *matrix.version : 0;
  pack_matrix(device, form_, matrix.as<float>(), memory_.get());
}

void PackedVariables::share(const View& matrix, std::shared_ptr<PackedMatrix>& mine) {
  if (!matrix.version) return;
  std::erase_if(known_, [](const auto& entry) { return entry.second.expired(); });
  std::weak_ptr<PackedMatrix>& known = known_[{matrix.data, mine->form()}];
  if (std::shared_ptr<PackedMatrix> other = known.lock())
    mine = std::move(other);
  else
    known = mine;
}

}  // namespace unroll::gpu
