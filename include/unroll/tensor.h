/// What flows along the edges of a graph: element types, shapes, and views of memory on a device.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <stdexcept>
#include <string>
#include <type_traits>

namespace unroll {

/// kByte is for buffers that only a backend can read, such as a recurrent node's reserve.
enum class DType : std::uint8_t { kFloat32, kInt32, kInt64, kByte };

template <typename T>
constexpr DType dtype_of() {
  if constexpr (std::is_same_v<T, float>) return DType::kFloat32;
  if constexpr (std::is_same_v<T, std::int32_t>) return DType::kInt32;
  if constexpr (std::is_same_v<T, std::int64_t>) return DType::kInt64;
  if constexpr (std::is_same_v<T, std::byte>) return DType::kByte;
}

std::size_t size_of(DType dtype);
std::string to_string(DType dtype);

/// A dimension that only the feeds fix.
inline constexpr std::int64_t kOpen = -1;

/// Up to kMaxRank dimensions, row-major. Never allocates.
class Shape {
 public:
  static constexpr int kMaxRank = 6;

  Shape() = default;
  Shape(std::initializer_list<std::int64_t> dims) : Shape(std::span(dims.begin(), dims.size())) {}
  explicit Shape(std::span<const std::int64_t> dims);

  int rank() const { return rank_; }
  std::int64_t operator[](int axis) const { return dims_[checked(axis)]; }
  std::int64_t& operator[](int axis) { return dims_[checked(axis)]; }
  std::span<const std::int64_t> dims() const { return {dims_.data(), std::size_t(rank_)}; }

  bool is_open() const;           // some dimension is kOpen
  std::int64_t elements() const;  // std::invalid_argument if open
  std::int64_t rows() const;      // product of all dimensions but the last; 1 for a scalar
  std::int64_t last() const;      // last dimension; 1 for a scalar
  void append(std::int64_t dim);  // std::invalid_argument past kMaxRank
  Shape without(int axis) const;
  bool operator==(const Shape& other) const;

 private:
  std::size_t checked(int axis) const;

  std::array<std::int64_t, kMaxRank> dims_{};
  int rank_ = 0;
};

std::string to_string(const Shape& shape);  // "[T, N, ?]" style: "[35, 20, ?]"

/// A dense row-major tensor somewhere: pointer, shape, element type. Owns nothing.
struct View {
  void* data = nullptr;
  Shape shape;
  DType dtype = DType::kFloat32;
  /// For a variable: a number that changes with every write and never comes back, so that a backend
  /// may keep the weight in a form of its own. Null for everything else. Host memory.
  const std::uint64_t* version = nullptr;

  explicit operator bool() const { return data != nullptr; }
  std::int64_t elements() const { return shape.elements(); }
  std::size_t bytes() const { return std::size_t(elements()) * size_of(dtype); }

  /// Throws std::invalid_argument if the element type differs.
  template <typename T>
  T* as() const {
    if (dtype_of<T>() != dtype) wrong_dtype(dtype_of<T>());
    return static_cast<T*>(data);
  }

 private:
  [[noreturn]] void wrong_dtype(DType asked) const;
};

}  // namespace unroll
