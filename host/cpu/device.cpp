#include "host/cpu/device.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <new>
#include <stdexcept>
#include <string>

#include "unroll/cpu_limits.h"

namespace unroll::host {
namespace {

constexpr std::size_t kLarge = std::size_t{1} << 26;

std::atomic<std::size_t> bytes_now{0}, bytes_peak{0};

void count(std::size_t bytes) {
  const std::size_t now = bytes_now += bytes;
  std::size_t peak = bytes_peak;
  while (now > peak && !bytes_peak.compare_exchange_weak(peak, now)) continue;
}

}  // namespace

DeviceMemoryUse aligned_memory_use() {
  return {.now = bytes_now, .peak = bytes_peak};
}

std::shared_ptr<void> aligned_memory(std::size_t bytes) {
  constexpr std::align_val_t kAlignment{256};
  // Most systems promise more memory than they have, and kill the program when it uses it.
  if (bytes >= kLarge)
    if (const MemoryLimit limit = memory_limit(); bytes > limit.available)
      throw std::runtime_error("out of memory: asked for " + std::to_string(bytes) +
                               " bytes, expected at most the " + std::to_string(limit.available) +
                               " that are available by " + limit.file);
  void* memory = ::operator new(bytes, kAlignment, std::nothrow);
  if (!memory)
    throw std::runtime_error("out of memory: asked for " + std::to_string(bytes) + " bytes");
  count(bytes);
  return {memory, [bytes](void* p) {
            ::operator delete(p, kAlignment);
            bytes_now -= bytes;
          }};
}

PackedWeight::PackedWeight(const Form& form, Precision precision)
    : form_(form), precision_(precision), block_columns_(round_up(form.columns, form.column_unit)) {
  // Padding columns stay zero: packing never writes them.
  const std::size_t bytes = bytes_of(padded_columns());
  memory_ = aligned_memory(bytes);
  std::memset(memory_.get(), 0, bytes);
}

void PackedWeight::update(ThreadPool& pool, const View& weight) {
  if (weight.version && *weight.version == version_) return;
  version_ = weight.version ? *weight.version : 0;
  const float* from = weight.as<float>();
  for (int block = 0; block < form_.blocks; ++block) {
    float* to =
        static_cast<float*>(memory_.get()) + bytes_of(block * block_columns_) / sizeof(float);
    pack_b(pool, {form_.k, form_.columns, from + block * form_.columns * form_.k,
                  form_.transpose ? form_.k : form_.columns, form_.transpose, to, precision_});
  }
}

const PackedWeight& Device::packed(const View& weight, const PackedWeight::Form& form,
                                   std::shared_ptr<PackedWeight>& mine) {
  if (!mine && weight.version) {
    forget_unused_weights();
    std::weak_ptr<PackedWeight>& known = shared_[{weight.data, form}];
    mine = known.lock();
    if (!mine) known = mine = std::make_shared<PackedWeight>(form, precision);
  }
  if (!mine) mine = std::make_shared<PackedWeight>(form, precision);
  mine->update(pool, weight);
  return *mine;
}

/// Checks all entries only after they have doubled, so that the cost per weight does not grow with
/// their number.
void Device::forget_unused_weights() {
  constexpr std::size_t kFew = 64;
  if (shared_.size() < std::max(kFew, 2 * in_use_)) return;
  std::erase_if(shared_, [](const auto& entry) { return entry.second.expired(); });
  in_use_ = shared_.size();
}

}  // namespace unroll::host
