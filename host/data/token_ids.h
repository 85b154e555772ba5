/// A text as token ids, wherever they lie: a view that owns nothing. Ids of a small vocabulary take
/// one or two bytes each, those of a larger one four; the reader of the view need not know.
#pragma once

#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <stdexcept>
#include <vector>

namespace unroll {

/// The narrowest width, in bytes, that holds the ids of a vocabulary of this size: 1, 2 or 4.
constexpr int token_width(std::int64_t vocabulary) {
  return vocabulary <= 1 << 8 ? 1 : vocabulary <= 1 << 16 ? 2 : 4;
}

/// Copies are cheap and refer to the same ids, which must outlive them.
class TokenIds {
 public:
  TokenIds() = default;
  // NOLINTNEXTLINE(google-explicit-constructor): a span of ids is one already
  TokenIds(std::span<const std::int32_t> ids)
      : data_(reinterpret_cast<const std::byte*>(ids.data())),
        size_(static_cast<std::int64_t>(ids.size())) {}
  // NOLINTNEXTLINE(google-explicit-constructor): as above
  TokenIds(const std::vector<std::int32_t>& ids) : TokenIds(std::span<const std::int32_t>(ids)) {}
  /// `size` ids of `width` bytes at `data`: uint8, uint16 or int32.
  /// Errors    std::invalid_argument for another width or a negative size.
  TokenIds(const void* data, std::int64_t size, int width)
      : data_(static_cast<const std::byte*>(data)), size_(size), width_(width) {
    if (size < 0 || (width != 1 && width != 2 && width != 4))
      throw std::invalid_argument(fmt::format(
          "token ids: got {} ids of {} bytes, expected 0 or more of 1, 2 or 4", size, width));
  }

  std::int64_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  int width() const { return width_; }

  /// `k` is in [0, size()), which is not checked.
  std::int32_t operator[](std::int64_t k) const {
    const std::byte* at = data_ + k * width_;
    if (width_ == 1) return static_cast<std::int32_t>(*at);
    if (width_ == 2) return load<std::uint16_t>(at);
    return load<std::int32_t>(at);
  }

  /// Errors    std::invalid_argument unless 0 <= from, 0 <= count, from + count <= size().
  TokenIds subspan(std::int64_t from, std::int64_t count) const {
    if (from < 0 || count < 0 || from > size_ || count > size_ - from)
      throw std::invalid_argument(fmt::format(
          "token ids: got {} from the {}-th, expected some of {} ids", count, from, size_));
    return {data_ + from * width_, count, width_};
  }
  TokenIds first(std::int64_t count) const { return subspan(0, count); }

 private:
  template <typename Stored>
  static std::int32_t load(const std::byte* at) {
    Stored value;
    std::memcpy(&value, at, sizeof value);
    return value;
  }

  const std::byte* data_ = nullptr;
  std::int64_t size_ = 0;
  int width_ = 4;
};

}  // namespace unroll
