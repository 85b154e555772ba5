#include "host/train/safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <fstream>
#include <limits>
#include <optional>
#include <set>
#include <stdexcept>
#include <utility>

#include "host/data/utf8.h"

namespace unroll {
namespace {

static_assert(std::endian::native == std::endian::little, "the format is little-endian");

constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;  // as the format's own library
constexpr std::size_t kMaxTensors = 131'072;
constexpr std::size_t kMaxDimensions = 64;  // PyTorch's limit
constexpr std::size_t kMaxKeyBytes = 4'096;
constexpr std::size_t kMaxMetadata = 65'536;
constexpr std::string_view kMetadataKey = "__metadata__";
constexpr std::uint64_t kMaxInt64 = std::numeric_limits<std::int64_t>::max();

struct TypeInfo {
  StoredType type;
  std::string_view name;
  std::int64_t bytes;
};
constexpr std::array<TypeInfo, 7> kTypes = {{{StoredType::kF64, "F64", 8},
                                             {StoredType::kF32, "F32", 4},
                                             {StoredType::kF16, "F16", 2},
                                             {StoredType::kBf16, "BF16", 2},
                                             {StoredType::kI64, "I64", 8},
                                             {StoredType::kI32, "I32", 4},
                                             {StoredType::kU8, "U8", 1}}};

const TypeInfo& info(StoredType type) {
  for (const TypeInfo& entry : kTypes)
    if (entry.type == type) return entry;
  throw std::invalid_argument(
      fmt::format("stored type {}, expected one of StoredType", static_cast<int>(type)));
}

/// The bytes of a tensor, or nothing if they do not fit 63 bits. A zero dimension does not excuse
/// the others: whether 2^32 x 2^32 x 0 fits would otherwise depend on their order.
std::optional<std::int64_t> tensor_bytes(StoredType type, std::span<const std::int64_t> shape) {
  auto product = static_cast<std::uint64_t>(info(type).bytes);
  bool empty = false;
  for (const std::int64_t dimension : shape) {
    if (dimension < 0) return std::nullopt;
    if (dimension == 0) {
      empty = true;
      continue;
    }
    const auto factor = static_cast<std::uint64_t>(dimension);
    if (factor > kMaxInt64 / product) return std::nullopt;
    product *= factor;
  }
  return empty ? 0 : static_cast<std::int64_t>(product);
}

/// A tensor's entry in the header. Offsets count from the end of the header.
struct Entry {
  TensorData tensor;
  std::uint64_t begin = 0, end = 0;
};

struct Header {
  std::vector<Entry> entries;  // names are distinct
  TensorMetadata metadata;
};

/// Reads the header's JSON, whose grammar is fixed to a depth of three: so there is one function
/// per level and no recursion.
class HeaderScanner {
 public:
  HeaderScanner(std::string_view text, const std::string& name) : text_(text), name_(name) {}

  Header scan() {
    Header header;
    bool has_metadata = false;
    std::set<std::string, std::less<>> names;
    object([&](std::string key) {
      if (key == kMetadataKey) {
        if (std::exchange(has_metadata, true)) fail("got a second __metadata__, expected one");
        header.metadata = metadata();
        return;
      }
      if (header.entries.size() == kMaxTensors)
        fail(fmt::format("got more tensors, expected at most {}", kMaxTensors));
      if (!names.insert(key).second)
        fail(fmt::format("got tensor {} again, expected distinct names", in_quotes(key)));
      header.entries.push_back(tensor(std::move(key)));
    });
    skip_blanks();
    if (at_ != text_.size()) fail(fmt::format("got {}, expected the end of the header", here()));
    return header;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw std::runtime_error(fmt::format("{}: header byte {}: {}", name_, at_, what));
  }

  std::string here() const {
    return at_ < text_.size() ? in_quotes(text_.substr(at_, 1)) : "its end";
  }

  void skip_blanks() {
    while (at_ < text_.size() && std::string_view(" \t\n\r").find(text_[at_]) != text_.npos) ++at_;
  }

  /// Blanks and then `c`, or neither.
  bool take(char c) {
    skip_blanks();
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  void expect(char c) {
    if (!take(c)) fail(fmt::format("got {}, expected '{}'", here(), c));
  }

  /// { "key" : value , ... }. Calls on_key after each colon, and it reads the value.
  template <typename OnKey>
  void object(OnKey&& on_key) {
    expect('{');
    if (take('}')) return;
    do {
      std::string key = string();
      if (key.size() > kMaxKeyBytes)
        fail(fmt::format("got a name of {} bytes, expected at most {}", key.size(), kMaxKeyBytes));
      expect(':');
      on_key(std::move(key));
    } while (take(','));
    expect('}');
  }

  TensorMetadata metadata() {
    TensorMetadata entries;
    object([&](std::string key) {
      if (entries.size() == kMaxMetadata)
        fail(fmt::format("got more metadata, expected at most {} entries", kMaxMetadata));
      std::string value = string();
      const auto [at, inserted] = entries.emplace(std::move(key), std::move(value));
      if (!inserted)
        fail(fmt::format("got metadata {} again, expected distinct keys", in_quotes(at->first)));
    });
    return entries;
  }

  Entry tensor(std::string name) {
    Entry entry;
    entry.tensor.name = std::move(name);
    bool has_type = false, has_shape = false, has_offsets = false;
    object([&](const std::string& key) {
      bool* const has = key == "dtype"          ? &has_type
                        : key == "shape"        ? &has_shape
                        : key == "data_offsets" ? &has_offsets
                                                : nullptr;
      if (!has || std::exchange(*has, true))
        fail(fmt::format("got {} in tensor {}, expected dtype, shape and data_offsets, once each",
                         in_quotes(key), in_quotes(entry.tensor.name)));
      if (has == &has_type) entry.tensor.type = type();
      if (has == &has_shape) entry.tensor.shape = shape();
      if (has == &has_offsets) {
        const std::vector<std::uint64_t> offsets = integers(2);
        if (offsets.size() != 2) fail("got one data offset, expected two");
        entry.begin = offsets[0];
        entry.end = offsets[1];
      }
    });
    if (!has_type || !has_shape || !has_offsets)
      fail(fmt::format("got tensor {} without {}, expected it", in_quotes(entry.tensor.name),
                       !has_type    ? "dtype"
                       : !has_shape ? "shape"
                                    : "data_offsets"));
    return entry;
  }

  StoredType type() {
    const std::string name = string();
    for (const TypeInfo& entry : kTypes)
      if (entry.name == name) return entry.type;
    fail(
        fmt::format("got dtype {}, expected F64, F32, F16, BF16, I64, I32 or U8", in_quotes(name)));
  }

  std::vector<std::int64_t> shape() {
    std::vector<std::int64_t> dimensions;
    for (const std::uint64_t dimension : integers(kMaxDimensions)) {
      if (dimension > kMaxInt64)
        fail(fmt::format("got dimension {}, expected less than 2^63", dimension));
      dimensions.push_back(static_cast<std::int64_t>(dimension));
    }
    return dimensions;
  }

  /// [ n , ... ] with at most `limit` numbers.
  std::vector<std::uint64_t> integers(std::size_t limit) {
    std::vector<std::uint64_t> numbers;
    expect('[');
    if (take(']')) return numbers;
    do {
      if (numbers.size() == limit)
        fail(fmt::format("got more numbers, expected at most {}", limit));
      numbers.push_back(integer());
    } while (take(','));
    expect(']');
    return numbers;
  }

  /// Digits only: no sign, fraction, exponent or leading zero, and below 2^64.
  std::uint64_t integer() {
    skip_blanks();
    const std::size_t start = at_;
    std::uint64_t number = 0;
    for (; at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; ++at_) {
      const auto digit = static_cast<std::uint64_t>(text_[at_] - '0');
      if (number > (std::numeric_limits<std::uint64_t>::max() - digit) / 10)
        fail("got a number too large, expected less than 2^64");
      number = number * 10 + digit;
    }
    if (at_ == start) fail(fmt::format("got {}, expected a non-negative whole number", here()));
    if (text_[start] == '0' && at_ - start > 1)
      fail("got a number with leading zeros, expected none");
    return number;
  }

  /// The decoded string. Its raw bytes are UTF-8 already, for the whole header is.
  std::string string() {
    expect('"');
    std::string value;
    while (true) {
      const std::size_t start = at_;
      while (at_ < text_.size() && text_[at_] != '"' && text_[at_] != '\\' &&
             static_cast<unsigned char>(text_[at_]) >= 0x20)
        ++at_;
      value.append(text_, start, at_ - start);
      if (at_ == text_.size() || static_cast<unsigned char>(text_[at_]) < 0x20)
        fail(fmt::format("got {} within a string, expected '\"'", here()));
      if (text_[at_++] == '"') return value;
      escape(value);
    }
  }

  /// What follows a backslash.
  void escape(std::string& value) {
    constexpr std::string_view kLetters = "\"\\/bfnrt", kMeaning = "\"\\/\b\f\n\r\t";
    const char letter = at_ < text_.size() ? text_[at_] : '\0';
    if (const std::size_t k = kLetters.find(letter); k != kLetters.npos) {
      value.push_back(kMeaning[k]);
      ++at_;
      return;
    }
    if (letter != 'u') fail(fmt::format("got {} after a backslash, expected an escape", here()));
    ++at_;
    std::uint32_t code = hex4();
    if (code >= 0xD800 && code < 0xDC00) {
      if (!text_.substr(at_).starts_with("\\u")) fail("got half a surrogate pair, expected both");
      at_ += 2;
      const std::uint32_t low = hex4();
      if (low < 0xDC00 || low > 0xDFFF) fail("got half a surrogate pair, expected both");
      code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    } else if (code >= 0xDC00 && code < 0xE000) {
      fail("got half a surrogate pair, expected both");
    }
    if (code == 0) fail("got a NUL in a string, expected none");
    append_utf8(value, code);
  }

  std::uint32_t hex4() {
    constexpr std::string_view kDigits = "0123456789abcdef";
    std::uint32_t code = 0;
    for (int k = 0; k < 4; ++k, ++at_) {
      const char c = at_ < text_.size() ? text_[at_] : '\0';
      const std::size_t digit = kDigits.find(c >= 'A' && c <= 'F' ? static_cast<char>(c + 32) : c);
      if (digit == kDigits.npos) fail(fmt::format("got {}, expected a hexadecimal digit", here()));
      code = code * 16 + static_cast<std::uint32_t>(digit);
    }
    return code;
  }

  static void append_utf8(std::string& out, std::uint32_t code) {
    const auto put = [&](std::uint32_t byte) { out.push_back(static_cast<char>(byte)); };
    if (code < 0x80) return put(code);
    if (code < 0x800) {
      put(0xC0 | (code >> 6));
    } else {
      if (code < 0x10000) {
        put(0xE0 | (code >> 12));
      } else {
        put(0xF0 | (code >> 18));
        put(0x80 | ((code >> 12) & 0x3F));
      }
      put(0x80 | ((code >> 6) & 0x3F));
    }
    put(0x80 | (code & 0x3F));
  }

  std::string_view text_;
  const std::string& name_;
  std::size_t at_ = 0;
};

/// Every byte of the data belongs to exactly one tensor, and to each belong as many as its shape
/// and type say.
void check_offsets(std::vector<Entry>& entries, std::uint64_t data_bytes, const std::string& name) {
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  std::uint64_t reached = 0;
  for (const Entry& entry : entries) {
    const auto fail = [&](const std::string& what) {
      return std::runtime_error(
          fmt::format("{}: tensor {}: {}", name, in_quotes(entry.tensor.name), what));
    };
    if (entry.end < entry.begin || entry.end > data_bytes)
      throw fail(fmt::format("got data offsets {} to {}, expected to lie within {} bytes of data",
                             entry.begin, entry.end, data_bytes));
    if (entry.begin != reached)
      throw fail(fmt::format("got data from offset {}, expected from {}: no {}", entry.begin,
                             reached, entry.begin < reached ? "overlap" : "hole"));
    const auto expected = tensor_bytes(entry.tensor.type, entry.tensor.shape);
    if (!expected) throw fail("got a shape of 2^63 bytes or more, expected fewer");
    if (entry.end - entry.begin != static_cast<std::uint64_t>(*expected))
      throw fail(fmt::format("got {} bytes of data, expected {} for its shape and dtype",
                             entry.end - entry.begin, *expected));
    reached = entry.end;
  }
  if (reached != data_bytes)
    throw std::runtime_error(
        fmt::format("{}: got {} bytes of data, expected {}", name, data_bytes, reached));
}

/// What torch.save() writes: a ZIP archive with a pickle in it, or, in older versions, a pickle of
/// protocol 2.
bool is_pickle(std::span<const std::byte> bytes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  return text.starts_with("PK\x03\x04") || text.starts_with("\x80\x02");
}

std::string json_string(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) < 0x20)
      out += fmt::format("\\u{:04x}", static_cast<unsigned char>(c));
    else
      out += c;
  }
  return out + '"';
}

void check_text(std::string_view text, std::string_view what) {
  if (find_invalid_utf8(text) != text.size() || text.find('\0') != text.npos)
    throw std::invalid_argument(
        fmt::format("safetensors {} {}, expected UTF-8 without NUL", what, in_quotes(text)));
}

void check_key(std::string_view text, std::string_view what) {
  check_text(text, what);
  if (text.size() > kMaxKeyBytes)
    throw std::invalid_argument(fmt::format("safetensors {} of {} bytes, expected at most {}", what,
                                            text.size(), kMaxKeyBytes));
}

void check_writable(const TensorData& tensor) {
  check_key(tensor.name, "tensor name");
  if (tensor.name == kMetadataKey)
    throw std::invalid_argument("safetensors tensor name '__metadata__', which is reserved");
  const auto expected = tensor_bytes(tensor.type, tensor.shape);
  if (!expected || tensor.shape.size() > kMaxDimensions ||
      tensor.bytes.size() != static_cast<std::uint64_t>(*expected))
    throw std::invalid_argument(
        fmt::format("tensor {}: got {} bytes, expected {} for {}[{}]", in_quotes(tensor.name),
                    tensor.bytes.size(), expected ? std::to_string(*expected) : "a valid shape",
                    stored_type_name(tensor.type), fmt::join(tensor.shape, ", ")));
}

std::string metadata_json(TensorMetadata metadata) {
  metadata.emplace("format", "pt");
  if (metadata.size() > kMaxMetadata)
    throw std::invalid_argument(fmt::format(
        "{} entries of safetensors metadata, expected at most {}", metadata.size(), kMaxMetadata));
  std::vector<std::string> members;
  for (const auto& [key, value] : metadata) {
    check_key(key, "metadata key");
    check_text(value, "metadata value");
    members.push_back(json_string(key) + ":" + json_string(value));
  }
  return fmt::format("{}:{{{}}}", json_string(kMetadataKey), fmt::join(members, ","));
}

}  // namespace

std::string_view stored_type_name(StoredType type) {
  return info(type).name;
}

std::int64_t stored_type_bytes(StoredType type) {
  return info(type).bytes;
}

SafetensorsFile SafetensorsFile::read(const std::filesystem::path& file) {
  const auto fail = [&](const char* what) {
    return std::runtime_error(fmt::format("{}: {}", file.string(), what));
  };
  std::error_code error;
  if (std::filesystem::exists(file, error) && !std::filesystem::is_regular_file(file, error))
    throw fail("is not a regular file, expected a safetensors file");
  const std::uintmax_t size = std::filesystem::file_size(file, error);
  if (error) throw fail(("cannot be opened: " + error.message()).c_str());
  std::ifstream in(file, std::ios::binary);
  if (!in) throw fail("cannot be opened");
  std::vector<std::byte> bytes(size);
  in.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(size));
  if (!in) throw fail("cannot be read to its end");
  return parse(std::move(bytes), file.string());
}

SafetensorsFile SafetensorsFile::parse(std::vector<std::byte> bytes, const std::string& name) {
  std::uint64_t header_bytes = 0;
  if (bytes.size() < sizeof header_bytes)
    throw std::runtime_error(fmt::format(
        "{}: got {} bytes, expected a safetensors file of 10 or more", name, bytes.size()));
  std::memcpy(&header_bytes, bytes.data(), sizeof header_bytes);
  const std::uint64_t after_length = bytes.size() - sizeof header_bytes;
  const std::uint64_t most = std::min(after_length, kMaxHeaderBytes);
  if (header_bytes > most && is_pickle(bytes))
    throw std::runtime_error(
        name +
        ": is a pickle, as torch.save() writes, which is not read since it may run any code; "
        "expected a file of safetensors.torch.save_file(model.state_dict(), ...)");
  if (header_bytes > most)
    throw std::runtime_error(
        fmt::format("{}: is no safetensors file: got a header of {} bytes, expected at most {}",
                    name, header_bytes, most));

  const std::string_view text(reinterpret_cast<const char*>(bytes.data()) + sizeof header_bytes,
                              header_bytes);
  if (const std::size_t bad = find_invalid_utf8(text); bad != text.size())
    throw std::runtime_error(fmt::format("{}: header byte {}: expected UTF-8", name, bad));
  Header header = HeaderScanner(text, name).scan();
  check_offsets(header.entries, after_length - header_bytes, name);

  SafetensorsFile file;
  file.metadata_ = std::move(header.metadata);
  file.bytes_ = std::move(bytes);
  const auto data =
      std::span<const std::byte>(file.bytes_).subspan(sizeof header_bytes + header_bytes);
  file.tensors_.reserve(header.entries.size());
  for (Entry& entry : header.entries) {
    entry.tensor.bytes = data.subspan(entry.begin, entry.end - entry.begin);
    file.tensors_.push_back(std::move(entry.tensor));
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
  if (tensors.size() > kMaxTensors)
    throw std::invalid_argument(fmt::format(
        "{} tensors in one safetensors file, expected at most {}", tensors.size(), kMaxTensors));
  std::vector<const TensorData*> order;
  order.reserve(tensors.size());
  for (const TensorData& tensor : tensors) {
    check_writable(tensor);
    order.push_back(&tensor);
  }
  std::sort(order.begin(), order.end(), [](const TensorData* a, const TensorData* b) {
    const std::int64_t wide_a = stored_type_bytes(a->type), wide_b = stored_type_bytes(b->type);
    return wide_a != wide_b ? wide_a > wide_b : a->name < b->name;
  });
  std::set<std::string_view> names;

  SafetensorsImage image;
  std::string json = "{" + metadata_json(metadata);
  std::uint64_t begin = 0;
  for (const TensorData* tensor : order) {
    if (!names.insert(tensor->name).second)
      throw std::invalid_argument(
          fmt::format("two tensors named {}, expected distinct names", in_quotes(tensor->name)));
    const std::uint64_t end = begin + tensor->bytes.size();
    json += fmt::format(",{}:{{\"dtype\":\"{}\",\"shape\":[{}],\"data_offsets\":[{},{}]}}",
                        json_string(tensor->name), stored_type_name(tensor->type),
                        fmt::join(tensor->shape, ","), begin, end);
    begin = end;
    image.data.push_back(tensor->bytes);
  }
  json += '}';
  json.append((8 - json.size() % 8) % 8, ' ');
  if (json.size() > kMaxHeaderBytes)
    throw std::invalid_argument(fmt::format("a safetensors header of {} bytes, expected at most {}",
                                            json.size(), kMaxHeaderBytes));
  const std::uint64_t length = json.size();
  image.header.assign(reinterpret_cast<const char*>(&length), sizeof length);
  image.header += json;
  return image;
}

void write_safetensors(const std::filesystem::path& file, std::span<const TensorData> tensors,
                       const TensorMetadata& metadata) {
  const SafetensorsImage image = make_safetensors(tensors, metadata);
  std::ofstream out(file, std::ios::binary);
  out.write(image.header.data(), static_cast<std::streamsize>(image.header.size()));
  for (const std::span<const std::byte> piece : image.data)
    out.write(reinterpret_cast<const char*>(piece.data()),
              static_cast<std::streamsize>(piece.size()));
  out.close();
  if (!out) throw std::runtime_error(fmt::format("{}: cannot be written", file.string()));
}

}  // namespace unroll
