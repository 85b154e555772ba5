#include "host/base/safetensors.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <memory>
#include <set>
#include <stdexcept>
#include <utility>

#include "host/base/bytes.h"
#include "host/base/foreign_file.h"
#include "host/base/safetensors_header.h"
#include "host/base/text.h"
#include "host/base/utf8.h"

namespace unroll {
namespace {

static_assert(std::endian::native == std::endian::little, "the format is little-endian");

using Limits = SafetensorsLimits;

/// Whether a header may begin like this. A file of another format must not be called damaged.
bool begins_object(std::string_view text) {
  const std::size_t at = text.find_first_not_of(" \t\n\r");
  return at == text.npos || text[at] == '{';
}

/// The size of the header, which must lie within the file.
/// Errors    std::runtime_error if the file does not begin like a safetensors file.
std::uint64_t header_size(std::string_view head, std::uint64_t bytes, const std::string& name) {
  std::uint64_t size = 0;
  if (bytes == 0) throw std::runtime_error(name + ": is empty, expected a safetensors file");
  const std::uint64_t most =
      std::min(bytes - std::min<std::uint64_t>(bytes, sizeof size), Limits::kHeaderBytes);
  if (bytes >= sizeof size) std::memcpy(&size, head.data(), sizeof size);
  if (bytes >= sizeof size && size > 0 && size <= most &&
      begins_object(head.substr(sizeof size, size)))
    return size;
  if (const auto kind = foreign_file(head))
    throw std::runtime_error(text_from(name, ": ", *kind, "; expected a safetensors file"));
  if (bytes < sizeof size)
    throw std::runtime_error(
        text_from(name, ": got ", bytes, " bytes, expected a safetensors file of 10 or more"));
  if (size == 0)  // for example a file of zeros
    throw std::runtime_error(name + ": is not a safetensors file: got a header of 0 bytes");
  if (size > most)
    throw std::runtime_error(text_from(name, ": is not a safetensors file: got a header of ", size,
                                       " bytes, expected at most ", most));
  return size;
}

std::string json_string(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) < 0x20)
      out += text_from("\\u", hex(static_cast<unsigned char>(c), 4));
    else
      out += c;
  }
  return out + '"';
}

void check_text(std::string_view text, std::string_view what) {
  if (find_non_text(text) != text.size())
    throw std::invalid_argument(
        text_from("safetensors ", what, " ", in_quotes(text), ", expected UTF-8 without NUL"));
}

void check_key(std::string_view text, std::string_view what) {
  check_text(text, what);
  if (text.size() > Limits::kKeyBytes)
    throw std::invalid_argument(text_from("safetensors ", what, " of ", text.size(),
                                          " bytes, expected at most ", Limits::kKeyBytes));
}

void check_writable(const TensorData& tensor) {
  check_key(tensor.name, "tensor name");
  if (tensor.name == kMetadataKey)
    throw std::invalid_argument("safetensors tensor name '__metadata__', which is reserved");
  const auto expected = stored_bytes(tensor.type, tensor.shape);
  if (!expected || tensor.shape.size() > Limits::kDimensions || tensor.bytes.size() != *expected)
    throw std::invalid_argument(
        text_from("tensor ", in_quotes(tensor.name), ": got ", tensor.bytes.size(),
                  " bytes, expected ", expected ? std::to_string(*expected) : "a valid shape",
                  " for ", stored_type_name(tensor.type), "[", joined(tensor.shape, ", "), "]"));
}

std::string metadata_json(TensorMetadata metadata) {
  metadata.emplace("format", "pt");
  if (metadata.size() > Limits::kMetadata)
    throw std::invalid_argument(text_from(
        metadata.size(), " entries of safetensors metadata, expected at most ", Limits::kMetadata));
  std::vector<std::string> members;
  for (const auto& [key, value] : metadata) {
    check_key(key, "metadata key");
    check_text(value, "metadata value");
    members.push_back(json_string(key) + ":" + json_string(value));
  }
  return text_from(json_string(kMetadataKey), ":{", joined(members, ","), "}");
}

}  // namespace

StoredType stored_type_of(DType dtype) {
  switch (dtype) {
    case DType::kFloat32:
      return StoredType::kF32;
    case DType::kFloat64:
      return StoredType::kF64;
    case DType::kInt32:
      return StoredType::kI32;
    case DType::kInt64:
      return StoredType::kI64;
    case DType::kBool:
      return StoredType::kBool;
    case DType::kByte:
      return StoredType::kU8;
  }
  throw std::invalid_argument("stored_type_of: unknown element type");
}

TensorBytes::TensorBytes(std::span<const std::byte> memory)
    : TensorBytes(static_cast<std::int64_t>(memory.size()), [memory](std::int64_t at,
                                                                     std::span<std::byte> to) {
        std::ranges::copy(memory.subspan(static_cast<std::size_t>(at), to.size()), to.begin());
      }) {}

void TensorBytes::for_each_piece(const std::function<void(std::span<const std::byte>)>& use) const {
  std::vector<std::byte> piece(static_cast<std::size_t>(std::min(size_, kPieceBytes)));
  for (std::int64_t at = 0; at < size_; at += kPieceBytes) {
    const auto part =
        std::span(piece).first(static_cast<std::size_t>(std::min(size_ - at, kPieceBytes)));
    read_(at, part);
    use(part);
  }
}

std::vector<std::byte> TensorBytes::all() const {
  std::vector<std::byte> bytes(static_cast<std::size_t>(size_));
  if (size_ > 0) read_(0, bytes);
  return bytes;
}

bool TensorBytes::operator==(const TensorBytes& other) const {
  if (size_ != other.size_) return false;
  bool equal = true;
  std::int64_t at = 0;
  std::vector<std::byte> theirs;
  for_each_piece([&](std::span<const std::byte> piece) {
    if (!equal) return;
    theirs.resize(piece.size());
    other.read_(at, theirs);
    at += static_cast<std::int64_t>(piece.size());
    equal = std::ranges::equal(piece, theirs);
  });
  return equal;
}

SafetensorsFile SafetensorsFile::read(const std::filesystem::path& file) {
  return read(open_regular(file, "a safetensors file"), file.string());
}

SafetensorsFile SafetensorsFile::read(Descriptor file, const std::string& name) {
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) fail_call(name, "cannot be examined");
  const auto held = std::make_shared<const Descriptor>(std::move(file));
  const auto read = [held, name](std::int64_t at, std::span<std::byte> to) {
    if (read_at(held->get(), at, to, name) != to.size())
      throw std::runtime_error(name + ": cannot be read to its end");
  };
  return parse(read, static_cast<std::uint64_t>(status.st_size), name);
}

SafetensorsFile SafetensorsFile::parse(std::vector<std::byte> bytes, const std::string& name) {
  const auto held = std::make_shared<const std::vector<std::byte>>(std::move(bytes));
  const auto read = [held](std::int64_t at, std::span<std::byte> to) {
    std::ranges::copy(std::span(*held).subspan(static_cast<std::size_t>(at), to.size()),
                      to.begin());
  };
  return parse(read, held->size(), name);
}

SafetensorsFile SafetensorsFile::parse(const TensorBytes::Read& read, std::uint64_t bytes,
                                       const std::string& name) {
  std::vector<std::byte> head(std::min<std::uint64_t>(bytes, kForeignHeadBytes));
  read(0, head);
  constexpr std::uint64_t kLengthBytes = sizeof(std::uint64_t);
  const std::uint64_t header_bytes = header_size(text_of(head), bytes, name);
  std::vector<std::byte> text(header_bytes);
  read(kLengthBytes, text);
  const std::uint64_t data = kLengthBytes + header_bytes;
  SafetensorsHeader header = parse_safetensors_header(text_of(text), bytes - data, name);

  SafetensorsFile file;
  file.metadata_ = std::move(header.metadata);
  file.tensors_.reserve(header.entries.size());
  // All tensors share one copy of `read`, which knows the name.
  const auto shared = std::make_shared<const TensorBytes::Read>(read);
  for (SafetensorsEntry& entry : header.entries) {
    const auto begin = static_cast<std::int64_t>(data + entry.begin);
    file.tensors_.push_back({std::move(entry.name), entry.type, std::move(entry.shape),
                             TensorBytes(static_cast<std::int64_t>(entry.end - entry.begin),
                                         [shared, begin](std::int64_t at, std::span<std::byte> to) {
                                           (*shared)(begin + at, to);
                                         })});
  }
  std::sort(file.tensors_.begin(), file.tensors_.end(),
            [](const TensorData& a, const TensorData& b) { return a.name < b.name; });
  return file;
}

const TensorData* SafetensorsFile::find(std::string_view name) const {
  const auto at = std::lower_bound(
      tensors_.begin(), tensors_.end(), name,
      [](const TensorData& tensor, std::string_view n) { return tensor.name < n; });
  return at != tensors_.end() && at->name == name ? &*at : nullptr;
}

std::vector<std::string> SafetensorsFile::names() const {
  std::vector<std::string> names;
  names.reserve(tensors_.size());
  for (const TensorData& tensor : tensors_) names.push_back(tensor.name);
  return names;
}

SafetensorsImage make_safetensors(std::span<const TensorData> tensors,
                                  const TensorMetadata& metadata) {
  if (tensors.size() > Limits::kTensors)
    throw std::invalid_argument(text_from(
        tensors.size(), " tensors in one safetensors file, expected at most ", Limits::kTensors));
  std::vector<const TensorData*> order;
  order.reserve(tensors.size());
  for (const TensorData& tensor : tensors) {
    check_writable(tensor);
    order.push_back(&tensor);
  }
  std::sort(order.begin(), order.end(), [](const TensorData* a, const TensorData* b) {
    const std::int64_t wide_a = stored_type_bits(a->type), wide_b = stored_type_bits(b->type);
    return wide_a != wide_b ? wide_a > wide_b : a->name < b->name;
  });
  std::set<std::string_view> names;

  SafetensorsImage image;
  std::string json = "{" + metadata_json(metadata);
  std::int64_t begin = 0;
  for (const TensorData* tensor : order) {
    if (!names.insert(tensor->name).second)
      throw std::invalid_argument(
          text_from("two tensors named ", in_quotes(tensor->name), ", expected distinct names"));
    const std::int64_t end = begin + tensor->bytes.size();
    json += text_from(",", json_string(tensor->name), ":{\"dtype\":\"",
                      stored_type_name(tensor->type), "\",\"shape\":[", joined(tensor->shape, ","),
                      "],\"data_offsets\":[", begin, ",", end, "]}");
    begin = end;
    image.data.push_back(tensor->bytes);
  }
  json += '}';
  json.append((8 - json.size() % 8) % 8, ' ');
  if (json.size() > Limits::kHeaderBytes)
    throw std::invalid_argument(text_from("a safetensors header of ", json.size(),
                                          " bytes, expected at most ", Limits::kHeaderBytes));
  const std::uint64_t length = json.size();
  image.header.assign(reinterpret_cast<const char*>(&length), sizeof length);
  image.header += json;
  return image;
}

void write_safetensors(const std::filesystem::path& file, std::span<const TensorData> tensors,
                       const TensorMetadata& metadata) {
  const SafetensorsImage image = make_safetensors(tensors, metadata);
  Descriptor out(::open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666), file,
                 "cannot be written");
  write_all(out.get(), bytes_of(image.header), file);
  for (const TensorBytes& bytes : image.data)
    bytes.for_each_piece(
        [&](std::span<const std::byte> piece) { write_all(out.get(), piece, file); });
  if (::fsync(out.get()) != 0 && errno != EINVAL) fail_call(file, "cannot be synced");
  out.close(file);
}

}  // namespace unroll
