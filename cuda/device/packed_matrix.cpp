#include "cuda/device/packed_matrix.h"

#include "cuda/device/device.h"
#include "cuda/device/padding.h"

namespace unroll::gpu {
namespace {

PadMatrix padding_of(const PackedForm& form) {
  const auto rows = std::int32_t(form.rows);
  return {.in = nullptr,
          .out = nullptr,
          .element = form.element,
          .row_blocks = 1,
          .rows = rows,
          .padded_rows = rows,
          .row_order = {0},
          .column_blocks = 1,
          .columns = std::int32_t(form.columns),
          .padded_columns = std::int32_t(form.stride())};
}

}  // namespace

void pack_matrix(Device& device, const PackedForm& form, const float* matrix, void* packed) {
  PadMatrix pad = padding_of(form);
  pad.in = matrix;
  pad.out = packed;
  pad_matrix(device.stream(), pad);
}

std::shared_ptr<MatrixCopy> make_packed_copy(Device& device, const PackedForm& form) {
  std::shared_ptr<void> memory = device.allocate(form.bytes());
  void* const out = memory.get();
  return std::make_shared<MatrixCopy>(MatrixCopy{padding_of(form), out, std::move(memory)});
}

}  // namespace unroll::gpu
