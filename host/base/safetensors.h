/// The safetensors format, read strictly and written deterministically.
///
///   u64 little-endian n | n bytes of JSON, name -> {dtype, shape, data_offsets} | tensor bytes
///
/// A file may come from anywhere, so reading trusts nothing: there is no recursion, every length
/// and product is checked, and everything that two readers might understand differently is rejected
/// (duplicate keys, holes, overlaps, trailing bytes, unknown fields). Tensors are read and written
/// piece by piece: neither reader nor writer holds a whole file.
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
#include "unroll/tensor.h"

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

/// The format's name of the type, for example "F32".
std::string_view stored_type_name(StoredType type);

/// The format's type for elements of a tensor; bytes are U8.
StoredType stored_type_of(DType dtype);

/// The bytes of a tensor, row-major and little-endian, in memory, in a file or on a device.
class TensorBytes {
 public:
  /// Fills `to` with the bytes from `at` on.
  using Read = std::function<void(std::int64_t at, std::span<std::byte> to)>;

  TensorBytes() = default;  // no bytes
  TensorBytes(std::int64_t size, Read read) : size_(size), read_(std::move(read)) {}
  /// Bytes in memory, which must outlive this.
  TensorBytes(std::span<const std::byte> memory);  // NOLINT(google-explicit-constructor)

  std::int64_t size() const { return size_; }
  /// Fills `to` with the bytes from `at` on, which must all be there.
  void read(std::int64_t at, std::span<std::byte> to) const { read_(at, to); }
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

/// A tensor in a file, or to be written to one.
struct TensorData {
  std::string name;
  StoredType type = StoredType::kF32;
  std::vector<std::int64_t> shape;  // empty: a scalar
  TensorBytes bytes;
};

using TensorMetadata = std::map<std::string, std::string>;

/// A safetensors file whose header has been read. The bytes of its tensors are read on request;
/// each tensor, copied or not, keeps the file open. Immutable.
///
/// Blanks before the header are accepted but never written; the format's own library also accepts
/// them. Limits: header 100 MB (the format's), 131,072 tensors, 64 dimensions, names and
/// metadata keys of 4,096 bytes, 65,536 metadata entries.
class SafetensorsFile {
 public:
  /// Errors    std::runtime_error if the file cannot be read or is not as described above; the
  ///           message names the format if it is a known other one.
  static SafetensorsFile read(const std::filesystem::path& file);
  /// Reads a regular file that is open. `name` is the file's name in errors.
  static SafetensorsFile read(Descriptor file, const std::string& name);
  static SafetensorsFile parse(std::vector<std::byte> bytes, const std::string& name);

  SafetensorsFile() = default;  // no tensors

  /// Sorted by name, in byte order.
  std::span<const TensorData> tensors() const { return tensors_; }
  /// Null if there is none with that name.
  const TensorData* find(std::string_view name) const;
  /// In byte order.
  std::vector<std::string> names() const;
  const TensorMetadata& metadata() const { return metadata_; }

 private:
  /// `bytes` is the size of the whole file.
  static SafetensorsFile parse(const TensorBytes::Read& read, std::uint64_t bytes,
                               const std::string& name);

  std::vector<TensorData> tensors_;
  TensorMetadata metadata_;
};

/// A safetensors file to be written: `header`, then all `data` in order. Its bytes depend only on
/// the tensors, not on their order: wide types come first, then the order is by name, so that each
/// tensor is aligned.
struct SafetensorsImage {
  std::string header;  // length prefix included; size a multiple of 8
  std::vector<TensorBytes> data;
};

/// `metadata` is added to {"format": "pt"}, which PyTorch's loaders expect.
/// Errors    std::invalid_argument if a name is duplicate, "__metadata__", or not UTF-8 without
///           NUL; if bytes disagree with shape and type; or if a limit of the reader is exceeded.
SafetensorsImage make_safetensors(std::span<const TensorData> tensors,
                                  const TensorMetadata& metadata = {});

/// Writes and syncs the file in place. A failure leaves a part of it.
/// Errors    std::runtime_error if the file cannot be written; else as make_safetensors.
void write_safetensors(const std::filesystem::path& file, std::span<const TensorData> tensors,
                       const TensorMetadata& metadata = {});

}  // namespace unroll
