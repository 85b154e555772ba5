/// The header of a safetensors file, read strictly: the entries of its tensors, checked against
/// each other and against the size of the data. See safetensors.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "host/base/safetensors.h"

namespace unroll {

struct SafetensorsLimits {
  static constexpr std::uint64_t kHeaderBytes =
      100'000'000;  // the limit of the format's own library
  static constexpr std::size_t kTensors = 131'072;
  static constexpr std::size_t kDimensions = 64;  // PyTorch's limit
  static constexpr std::size_t kKeyBytes = 4'096;
  static constexpr std::size_t kMetadata = 65'536;
};

inline constexpr std::string_view kMetadataKey = "__metadata__";

/// A tensor's entry. Offsets count from the end of the header.
struct SafetensorsEntry {
  std::string name;
  StoredType type = StoredType::kF32;
  std::vector<std::int64_t> shape;
  std::uint64_t begin = 0, end = 0;
};

struct SafetensorsHeader {
  std::vector<SafetensorsEntry> entries;  // names are distinct; in the order of their data
  TensorMetadata metadata;
};

/// `text` lies between the length and the data, which has `data_bytes` bytes. `name` is the file's
/// name in errors.
/// Errors    std::runtime_error unless every byte of the data belongs to exactly one tensor, and
///           each tensor has as many bytes as its shape and type require.
SafetensorsHeader parse_safetensors_header(std::string_view text, std::uint64_t data_bytes,
                                           const std::string& name);

/// The size of one element in bits.
std::int64_t stored_type_bits(StoredType type);

/// The size of a tensor in bytes; nullopt if it is not a whole number below 2^63.
std::optional<std::int64_t> stored_bytes(StoredType type, std::span<const std::int64_t> shape);

}  // namespace unroll
