/// The safetensors format, read strictly and written deterministically.
///
///   u64 little-endian n | n bytes of JSON, name -> {dtype, shape, data_offsets} | tensor bytes
///
/// A file comes from anywhere, so reading trusts nothing: no recursion, every length and product
/// checked, and whatever two readers might understand differently is rejected (duplicate keys,
/// holes, overlaps, trailing bytes, unknown fields). Tensors are read and written piece by piece:
/// no file is in memory as a whole.
/// Source: github.com/huggingface/safetensors, README "Format"; stricter, see SafetensorsFile.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "host/base/file.h"

namespace unroll {

/// The format's element types.
enum class StoredType : std::uint8_t {
  kF64,
  kF32,
  kF16,
  kBf16,
  kI64,
  kI32,
  kI16,
  kI8,
  kU64,
  kU32,
  kU16,
  kU8,
  kBool,
  kC64,
  kF8E4M3,
  kF8E5M2,
  kF8E8M0,
  kF8E4M3Fnuz,
  kF8E5M2Fnuz,
  kF6E2M3,
  kF6E3M2,
  kF4,
};

/// The format's name of the type, "F32" for instance.
std::string_view stored_type_name(StoredType type);

/// A tensor's bytes, row-major and little-endian, wherever they lie: in memory, in a file, on a
/// device.
class TensorBytes {
 public:
  /// Fills `to` with the bytes from `at` on.
  using Read = std::function<void(std::int64_t at, std::span<std::byte> to)>;

  TensorBytes() = default;  // none
  TensorBytes(std::int64_t size, Read read) : size_(size), read_(std::move(read)) {}
  /// Bytes in memory, which must outlive this.
  TensorBytes(std::span<const std::byte> memory);  // NOLINT(google-explicit-constructor)

  std::int64_t size() const { return size_; }
  /// Calls `use` with all bytes, in order and in pieces of at most kPieceBytes.
  /// Errors    std::runtime_error if they cannot be read.
  void for_each_piece(const std::function<void(std::span<const std::byte>)>& use) const;
  std::vector<std::byte> all() const;
  bool operator==(const TensorBytes& other) const;

  static constexpr std::int64_t kPieceBytes = 1 << 22;

 private:
  std::int64_t size_ = 0;
  Read read_;
};

/// A tensor in, or to be written to, a file.
struct TensorData {
  std::string name;
  StoredType type = StoredType::kF32;
  std::vector<std::int64_t> shape;  // empty: a scalar
  TensorBytes bytes;
};

using TensorMetadata = std::map<std::string, std::string>;

/// A safetensors file whose header has been read. Its tensors' bytes are read when they are asked
/// for; each tensor, copied or not, keeps the file open. Immutable.
///
/// Accepted on reading, never written: blanks before the header, which the format's own library
/// accepts too. Limits: header 100 MB (the format's), 131,072 tensors, 64 dimensions, names and
/// metadata keys of 4,096 bytes, 65,536 metadata entries.
class SafetensorsFile {
 public:
  /// Errors    std::runtime_error if the file cannot be read or is not as described above; one of
  ///           another format is called by its name.
  static SafetensorsFile read(const std::filesystem::path& file);
  /// A file that is open and regular. `name` is how errors call it.
  static SafetensorsFile read(Descriptor file, const std::string& name);
  static SafetensorsFile parse(std::vector<std::byte> bytes, const std::string& name);

  SafetensorsFile() = default;  // no tensors

  /// By name, in byte order.
  std::span<const TensorData> tensors() const { return tensors_; }
  /// Null if there is none of that name.
  const TensorData* find(std::string_view name) const;
  /// In byte order.
  std::vector<std::string> names() const;
  const TensorMetadata& metadata() const { return metadata_; }

 private:
  /// `bytes` are the whole file's.
  static SafetensorsFile parse(const TensorBytes::Read& read, std::uint64_t bytes,
                               const std::string& name);

  std::vector<TensorData> tensors_;
  TensorMetadata metadata_;
};

/// A safetensors file about to be written: `header`, then `data` one after the other. Its bytes
/// depend only on the tensors, not on their order: wide types first, then by name, which aligns
/// each.
struct SafetensorsImage {
  std::string header;  // length prefix included; size a multiple of 8
  std::vector<TensorBytes> data;
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
