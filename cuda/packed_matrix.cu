#include "cuda/packed_matrix.h"

#include "cuda/device.h"
#include "cuda/lanes.cuh"
#include "cuda/launch.h"

namespace unroll::gpu {
namespace {

constexpr int kThreads = 256;

/// A thread per 4 elements of the packed copy.
template <typename T>
__global__ __launch_bounds__(kThreads) void pack_kernel(const float* matrix, std::int64_t columns,
                                                        std::int64_t stride, std::int64_t size,
                                                        T* packed) {
  const std::int64_t at = 4 * (std::int64_t(blockIdx.x) * kThreads + threadIdx.x);
  if (at >= size) return;
  const std::int64_t row = at / stride;
  store_lanes<4>(load_within(matrix + row * columns, at - row * stride, columns, 0.0F),
                 packed + at);
}

}  // namespace

void pack_matrix(Device& device, const PackedForm& form, const float* matrix, void* packed) {
  const std::int64_t size = form.rows * form.stride();
  if (size == 0) return;
  const auto queue = [&](auto* kernel, auto* to) {
    launch(device.stream(), blocks_for(size, 4 * kThreads), kThreads, kernel, matrix, form.columns,
           form.stride(), size, to);
  };
  if (form.element == Element::kFloat32)
    queue(pack_kernel<float>, static_cast<float*>(packed));
  else
    queue(pack_kernel<__nv_bfloat16>, static_cast<__nv_bfloat16*>(packed));
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
  std::weak_ptr<PackedMatrix>& known = known_[{matrix.data, mine->form()}];
  if (std::shared_ptr<PackedMatrix> other = known.lock())
    mine = std::move(other);
  else
    known = mine;
}

}  // namespace unroll::gpu
