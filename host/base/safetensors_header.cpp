#include "host/base/safetensors_header.h"

#include <algorithm>
#include <array>
#include <limits>
#include <set>
#include <stdexcept>
#include <utility>

#include "host/base/text.h"
#include "host/base/utf8.h"

namespace unroll {
namespace {

using Limits = SafetensorsLimits;

constexpr std::uint64_t kMaxInt64 = std::numeric_limits<std::int64_t>::max();

struct TypeInfo {
  StoredType type;
  std::string_view name;
  std::int64_t bits;
};
/// Source: the format's own library, safetensors/src/tensor.rs, version 0.6.
constexpr std::array<TypeInfo, 22> kTypes = {{{StoredType::kF64, "F64", 64},
                                              {StoredType::kF32, "F32", 32},
                                              {StoredType::kF16, "F16", 16},
                                              {StoredType::kBf16, "BF16", 16},
                                              {StoredType::kI64, "I64", 64},
                                              {StoredType::kI32, "I32", 32},
                                              {StoredType::kI16, "I16", 16},
                                              {StoredType::kI8, "I8", 8},
                                              {StoredType::kU64, "U64", 64},
                                              {StoredType::kU32, "U32", 32},
                                              {StoredType::kU16, "U16", 16},
                                              {StoredType::kU8, "U8", 8},
                                              {StoredType::kBool, "BOOL", 8},
                                              {StoredType::kC64, "C64", 64},
                                              {StoredType::kF8E4M3, "F8_E4M3", 8},
                                              {StoredType::kF8E5M2, "F8_E5M2", 8},
                                              {StoredType::kF8E8M0, "F8_E8M0", 8},
                                              {StoredType::kF8E4M3Fnuz, "F8_E4M3FNUZ", 8},
                                              {StoredType::kF8E5M2Fnuz, "F8_E5M2FNUZ", 8},
                                              {StoredType::kF6E2M3, "F6_E2M3", 6},
                                              {StoredType::kF6E3M2, "F6_E3M2", 6},
                                              {StoredType::kF4, "F4", 4}}};

const TypeInfo& info(StoredType type) {
  for (const TypeInfo& entry : kTypes)
    if (entry.type == type) return entry;
  throw std::invalid_argument(
      text_from("stored type ", static_cast<int>(type), ", expected one of StoredType"));
}

/// Reads the header's JSON. It is not strict_json.h, because the grammar has a fixed depth of
/// three: one function per level suffices, without recursion, and errors name byte offsets.
class HeaderScanner {
 public:
  HeaderScanner(std::string_view text, const std::string& name) : text_(text), name_(name) {}

  SafetensorsHeader scan() {
    SafetensorsHeader header;
    bool has_metadata = false;
    std::set<std::string, std::less<>> names;
    object([&](std::string key) {
      if (key == kMetadataKey) {
        if (std::exchange(has_metadata, true)) fail("got a second __metadata__, expected one");
        header.metadata = metadata();
        return;
      }
      if (header.entries.size() == Limits::kTensors)
        fail(text_from("got more tensors, expected at most ", Limits::kTensors));
      if (!names.insert(key).second)
        fail(text_from("got tensor ", in_quotes(key), " again, expected distinct names"));
      header.entries.push_back(tensor(std::move(key)));
    });
    skip_blanks();
    if (at_ != text_.size()) fail(text_from("got ", here(), ", expected the end of the header"));
    return header;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw std::runtime_error(text_from(name_, ": header byte ", at_, ": ", what));
  }

  std::string here() const {
    return at_ < text_.size() ? in_quotes(text_.substr(at_, 1)) : "its end";
  }

  void skip_blanks() {
    while (at_ < text_.size() && std::string_view(" \t\n\r").find(text_[at_]) != text_.npos) ++at_;
  }

  /// Takes blanks and then `c`, or nothing.
  bool take(char c) {
    skip_blanks();
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  void expect(char c) {
    if (!take(c)) fail(text_from("got ", here(), ", expected '", c, "'"));
  }

  /// { "key" : value , ... }. Calls on_key after each colon; on_key reads the value.
  template <typename OnKey>
  void object(OnKey&& on_key) {
    expect('{');
    if (take('}')) return;
    do {
      std::string key = string();
      if (key.size() > Limits::kKeyBytes)
        fail(text_from("got a name of ", key.size(), " bytes, expected at most ",
                       Limits::kKeyBytes));
      expect(':');
      on_key(std::move(key));
    } while (take(','));
    expect('}');
  }

  TensorMetadata metadata() {
    TensorMetadata entries;
    object([&](std::string key) {
      if (entries.size() == Limits::kMetadata)
        fail(text_from("got more metadata, expected at most ", Limits::kMetadata, " entries"));
      std::string value = string();
      const auto [at, inserted] = entries.emplace(std::move(key), std::move(value));
      if (!inserted)
        fail(text_from("got metadata ", in_quotes(at->first), " again, expected distinct keys"));
    });
    return entries;
  }

  SafetensorsEntry tensor(std::string name) {
    SafetensorsEntry entry;
    entry.name = std::move(name);
    bool has_type = false, has_shape = false, has_offsets = false;
    object([&](const std::string& key) {
      bool* const has = key == "dtype"          ? &has_type
                        : key == "shape"        ? &has_shape
                        : key == "data_offsets" ? &has_offsets
                                                : nullptr;
      if (!has || std::exchange(*has, true))
        fail(text_from("got ", in_quotes(key), " in tensor ", in_quotes(entry.name),
                       ", expected dtype, shape and data_offsets, once each"));
      if (has == &has_type) entry.type = type();
      if (has == &has_shape) entry.shape = shape();
      if (has == &has_offsets) {
        const std::vector<std::uint64_t> offsets = integers(2);
        if (offsets.size() != 2) fail("got one data offset, expected two");
        entry.begin = offsets[0];
        entry.end = offsets[1];
      }
    });
    if (!has_type || !has_shape || !has_offsets)
      fail(text_from("got tensor ", in_quotes(entry.name), " without ",
                     !has_type    ? "dtype"
                     : !has_shape ? "shape"
                                  : "data_offsets",
                     ", expected it"));
    return entry;
  }

  StoredType type() {
    const std::string name = string();
    std::vector<std::string_view> known;
    for (const TypeInfo& entry : kTypes) {
      if (entry.name == name) return entry.type;
      known.push_back(entry.name);
    }
    fail(text_from("got dtype ", in_quotes(name), ", expected one of ", joined(known, ", ")));
  }

  std::vector<std::int64_t> shape() {
    std::vector<std::int64_t> dimensions;
    for (const std::uint64_t dimension : integers(Limits::kDimensions)) {
      if (dimension > kMaxInt64)
        fail(text_from("got dimension ", dimension, ", expected less than 2^63"));
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
      if (numbers.size() == limit) fail(text_from("got more numbers, expected at most ", limit));
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
    if (at_ == start) fail(text_from("got ", here(), ", expected a non-negative whole number"));
    if (text_[start] == '0' && at_ - start > 1)
      fail("got a number with leading zeros, expected none");
    return number;
  }

  /// Returns the decoded string. Its raw bytes are UTF-8 already, because the whole header is.
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
        fail(text_from("got ", here(), " within a string, expected '\"'"));
      if (text_[at_++] == '"') return value;
      escape(value);
    }
  }

  /// The part of an escape after the backslash.
  void escape(std::string& value) {
    constexpr std::string_view kLetters = "\"\\/bfnrt", kMeaning = "\"\\/\b\f\n\r\t";
    const char letter = at_ < text_.size() ? text_[at_] : '\0';
    if (const std::size_t k = kLetters.find(letter); k != kLetters.npos) {
      value.push_back(kMeaning[k]);
      ++at_;
      return;
    }
    if (letter != 'u') fail(text_from("got ", here(), " after a backslash, expected an escape"));
    ++at_;
    char32_t code = hex4();
    if (code >= 0xD800 && code < 0xDC00) {
      if (!text_.substr(at_).starts_with("\\u")) fail("got half a surrogate pair, expected both");
      at_ += 2;
      const char32_t low = hex4();
      if (low < 0xDC00 || low > 0xDFFF) fail("got half a surrogate pair, expected both");
      code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    } else if (code >= 0xDC00 && code < 0xE000) {
      fail("got half a surrogate pair, expected both");
    }
    if (code == 0) fail("got a NUL in a string, expected none");
    value += utf8_of(code);
  }

  char32_t hex4() {
    constexpr std::string_view kDigits = "0123456789abcdef";
    char32_t code = 0;
    for (int k = 0; k < 4; ++k, ++at_) {
      const char c = at_ < text_.size() ? text_[at_] : '\0';
      const std::size_t digit = kDigits.find(c >= 'A' && c <= 'F' ? static_cast<char>(c + 32) : c);
      if (digit == kDigits.npos) fail(text_from("got ", here(), ", expected a hexadecimal digit"));
      code = code * 16 + static_cast<char32_t>(digit);
    }
    return code;
  }

  std::string_view text_;
  const std::string& name_;
  std::size_t at_ = 0;
};

/// Every byte of the data must belong to exactly one tensor, and each tensor must have as many
/// bytes as its shape and type require.
void check_offsets(std::vector<SafetensorsEntry>& entries, std::uint64_t data_bytes,
                   const std::string& name) {
  std::sort(entries.begin(), entries.end(),
            [](const SafetensorsEntry& a, const SafetensorsEntry& b) {
              return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
            });
  std::uint64_t reached = 0;
  for (const SafetensorsEntry& entry : entries) {
    const auto fail = [&](const std::string& what) {
      return std::runtime_error(text_from(name, ": tensor ", in_quotes(entry.name), ": ", what));
    };
    if (entry.end < entry.begin || entry.end > data_bytes)
      throw fail(text_from("got data offsets ", entry.begin, " to ", entry.end,
                           ", expected to lie within ", data_bytes, " bytes of data"));
    if (entry.begin != reached)
      throw fail(text_from("got data from offset ", entry.begin, ", expected from ", reached,
                           ": no ", entry.begin < reached ? "overlap" : "hole"));
    const auto expected = stored_bytes(entry.type, entry.shape);
    if (!expected)
      throw fail("got a shape whose bytes are no whole number below 2^63, expected one");
    if (entry.end - entry.begin != static_cast<std::uint64_t>(*expected))
      throw fail(text_from("got ", entry.end - entry.begin, " bytes of data, expected ", *expected,
                           " for its shape and dtype"));
    reached = entry.end;
  }
  if (reached != data_bytes)
    throw std::runtime_error(
        text_from(name, ": got ", data_bytes, " bytes of data, expected ", reached));
}

}  // namespace

std::string_view stored_type_name(StoredType type) {
  return info(type).name;
}

std::int64_t stored_type_bits(StoredType type) {
  return info(type).bits;
}

// A zero dimension does not excuse the others: whether 2^32 x 2^32 x 0 fits would otherwise depend
// on their order.
std::optional<std::int64_t> stored_bytes(StoredType type, std::span<const std::int64_t> shape) {
  std::uint64_t elements = 1;
  bool empty = false;
  for (const std::int64_t dimension : shape) {
    if (dimension < 0) return std::nullopt;
    if (dimension == 0) {
      empty = true;
      continue;
    }
    const auto factor = static_cast<std::uint64_t>(dimension);
    if (factor > kMaxInt64 / elements) return std::nullopt;
    elements *= factor;
  }
  const auto bits = static_cast<std::uint64_t>(info(type).bits);
  // Groups of eight elements have whole bytes in every type; then the remainder.
  const std::uint64_t left_bits = elements % 8 * bits;
  if (left_bits % 8 != 0 || elements / 8 > (kMaxInt64 - left_bits / 8) / bits) return std::nullopt;
  return empty ? 0 : static_cast<std::int64_t>(elements / 8 * bits + left_bits / 8);
}

SafetensorsHeader parse_safetensors_header(std::string_view text, std::uint64_t data_bytes,
                                           const std::string& name) {
  if (const std::size_t bad = find_invalid_utf8(text); bad != text.size())
    throw std::runtime_error(text_from(name, ": header byte ", bad, ": expected UTF-8"));
  SafetensorsHeader header = HeaderScanner(text, name).scan();
  check_offsets(header.entries, data_bytes, name);
  return header;
}

}  // namespace unroll
