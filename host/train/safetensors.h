/// The safetensors format, read strictly and written deterministically.
///
///   u64 little-endian n | n bytes of JSON, name -> {dtype, shape, data_offsets} | tensor bytes
///
/// A file comes from anywhere, so reading trusts nothing: no recursion, every length and product
/// checked, and whatever two readers might understand differently is rejected (duplicate keys,
/// holes, overlaps, trailing bytes, unknown fields).
/// Source: github.com/huggingface/safetensors, README "Format"; stricter, see SafetensorsFile.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace unroll {

/// Element types that a tensor in a file may have.
enum class StoredType { kF64, kF32, kF16, kBf16, kI64, kI32, kU8 };

/// The format's name of the type, "F32" for instance.
std::string_view stored_type_name(StoredType type);
std::int64_t stored_type_bytes(StoredType type);

/// A tensor in, or to be written to, a file. Owns its name and shape, not its bytes.
struct TensorData {
  std::string name;
  StoredType type = StoredType::kF32;
  std::vector<std::int64_t> shape;   // empty: a scalar
  std::span<const std::byte> bytes;  // row-major, little-endian
};

using TensorMetadata = std::map<std::string, std::string>;

/// A safetensors file in memory: owns the bytes that its tensors refer to. Immutable, movable; a
/// move leaves the tensors' bytes where they are.
///
/// Accepted on reading, never written: blanks before the header, which the format's own library
/// accepts too. Limits: header 100 MB (the format's), 131,072 tensors, 64 dimensions, names and
/// metadata keys of 4,096 bytes, 65,536 metadata entries.
class SafetensorsFile {
 public:
  /// Errors    std::runtime_error if the file cannot be read or is not as described above.
  static SafetensorsFile read(const std::filesystem::path& file);
  /// `name` is how errors call the file.
  static SafetensorsFile parse(std::vector<std::byte> bytes, const std::string& name);

  SafetensorsFile() = default;  // no tensors
  SafetensorsFile(SafetensorsFile&&) = default;
  SafetensorsFile& operator=(SafetensorsFile&&) = default;
  SafetensorsFile(const SafetensorsFile&) = delete;
  SafetensorsFile& operator=(const SafetensorsFile&) = delete;
  ~SafetensorsFile() = default;

  /// By name, in byte order. A tensor's bytes are aligned to its type only if the writer saw to it
  /// (ours does): copy them with memcpy.
  std::span<const TensorData> tensors() const { return tensors_; }
  /// Null if there is none of that name.
  const TensorData* find(std::string_view name) const;
  /// In byte order.
  std::vector<std::string> names() const;
  const TensorMetadata& metadata() const { return metadata_; }

 private:
  std::vector<std::byte> bytes_;
  std::vector<TensorData> tensors_;
  TensorMetadata metadata_;
};

/// A safetensors file about to be written: `header`, then `data` piece by piece. Its bytes depend
/// on the tensors alone, not on their order: wide types first, then by name, which aligns each.
struct SafetensorsImage {
  std::string header;                            // length prefix included; size a multiple of 8
  std::vector<std::span<const std::byte>> data;  // the tensors' own bytes, not copies
};

/// `metadata` is added to {"format": "pt"}, which PyTorch's users expect.
/// Errors    std::invalid_argument if a name is duplicate, "__metadata__", or not UTF-8 without
///           NUL; if bytes disagree with shape and type; or if a limit of the reader is exceeded.
SafetensorsImage make_safetensors(std::span<const TensorData> tensors,
                                  const TensorMetadata& metadata = {});

/// Plain write, neither synced nor atomic: checkpoints see to that themselves.
/// Errors    std::runtime_error if the file cannot be written; else as make_safetensors.
void write_safetensors(const std::filesystem::path& file, std::span<const TensorData> tensors,
                       const TensorMetadata& metadata = {});

}  // namespace unroll
