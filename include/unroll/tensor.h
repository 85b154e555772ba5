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

/// Element types. kByte is for buffers that only a device can read, such as a recurrent node's
/// reserve.
enum class DType : std::uint8_t { kFloat32, kFloat64, kInt32, kInt64, kBool, kByte };

/// The element type that a C++ type stands for. Any other type does not compile.
template <typename T>
constexpr DType dtype_of() {
  static_assert(std::is_same_v<T, float> || std::is_same_v<T, double> ||
                    std::is_same_v<T, std::int32_t> || std::is_same_v<T, std::int64_t> ||
                    std::is_same_v<T, bool> || std::is_same_v<T, std::byte>,
                "Unroll's tensors hold float, double, std::int32_t, std::int64_t or bool: convert "
                "values of another type, such as unsigned, first");
  if constexpr (std::is_same_v<T, float>) return DType::kFloat32;
  if constexpr (std::is_same_v<T, double>) return DType::kFloat64;
  if constexpr (std::is_same_v<T, bool>) return DType::kBool;
  if constexpr (std::is_same_v<T, std::int32_t>) return DType::kInt32;
  if constexpr (std::is_same_v<T, std::int64_t>) return DType::kInt64;
  return DType::kByte;
}

std::size_t size_of(DType dtype);    // bytes of an element
std::string to_string(DType dtype);  // "float32"

/// A dimension whose size only the feeds decide.
inline constexpr std::int64_t kOpen = -1;

/// Up to kMaxRank dimensions, row-major. Never allocates.
/// Errors    std::invalid_argument for more dimensions, for a negative one that is not kOpen, and
///           for an axis outside [0, rank).
class Shape {
 public:
  static constexpr int kMaxRank = 6;

  Shape() = default;  // a scalar's
  Shape(std::initializer_list<std::int64_t> dims) : Shape(std::span(dims.begin(), dims.size())) {}
  explicit Shape(std::span<const std::int64_t> dims);

  int rank() const { return rank_; }
  std::int64_t operator[](int axis) const { return dims_[checked(axis)]; }
  std::int64_t& operator[](int axis) { return dims_[checked(axis)]; }
  std::span<const std::int64_t> dims() const { return {dims_.data(), std::size_t(rank_)}; }

  bool is_open() const;           // some dimension is kOpen
  std::int64_t elements() const;  // std::invalid_argument if open, or above 2^63
  std::int64_t rows() const;      // product of all dimensions but the last; 1 for a scalar
  std::int64_t last() const;      // last dimension; 1 for a scalar
  void append(std::int64_t dim);
  Shape without(int axis) const;
  bool operator==(const Shape& other) const;

 private:
  std::size_t checked(int axis) const;

  std::array<std::int64_t, kMaxRank> dims_{};
  int rank_ = 0;
};

std::string to_string(const Shape& shape);  // "[35, 20, ?]", with ? for kOpen

/// A dense row-major tensor in some device's memory: pointer, shape, element type. Owns nothing.
struct View {
  void* data = nullptr;
  Shape shape;
  DType dtype = DType::kFloat32;
  /// For a variable: a number in host memory that changes with every write and never comes back, so
  /// that a device may keep the weight in a form of its own. Null for everything else.
  const std::uint64_t* version = nullptr;

  explicit operator bool() const { return data != nullptr; }
  std::int64_t elements() const { return shape.elements(); }
  std::size_t bytes() const { return std::size_t(elements()) * size_of(dtype); }

  /// Errors    std::invalid_argument if T is not the element type.
  template <typename T>
  T* as() const {
    if (dtype_of<T>() != dtype) wrong_dtype(dtype_of<T>());
    return static_cast<T*>(data);
  }

 private:
  [[noreturn]] void wrong_dtype(DType asked) const;
};

// Inline, because the backends' modules have shapes and views and nothing else of the library.

inline std::size_t size_of(DType dtype) {
  switch (dtype) {
    case DType::kFloat32:
    case DType::kInt32:
      return 4;
    case DType::kFloat64:
    case DType::kInt64:
      return 8;
    case DType::kBool:
    case DType::kByte:
      return 1;
  }
  throw std::invalid_argument("size_of: unknown element type");
}

inline std::string to_string(DType dtype) {
  switch (dtype) {
    case DType::kFloat32:
      return "float32";
    case DType::kFloat64:
      return "float64";
    case DType::kInt32:
      return "int32";
    case DType::kInt64:
      return "int64";
    case DType::kBool:
      return "bool";
    case DType::kByte:
      return "byte";
  }
  return "?";
}

inline Shape::Shape(std::span<const std::int64_t> dims) {
  for (const std::int64_t dim : dims) append(dim);
}

inline std::size_t Shape::checked(int axis) const {
  if (axis < 0 || axis >= rank_)
    throw std::invalid_argument("axis " + std::to_string(axis) + " of a shape of rank " +
                                std::to_string(rank_));
  return std::size_t(axis);
}

inline bool Shape::is_open() const {
  for (const std::int64_t dim : dims())
    if (dim == kOpen) return true;
  return false;
}

inline std::int64_t Shape::elements() const {
  std::int64_t product = 1;
  for (const std::int64_t dim : dims()) {
    if (dim == kOpen)
      throw std::invalid_argument("the number of elements of " + to_string(*this) + " is open");
    if (__builtin_mul_overflow(product, dim, &product))
      throw std::invalid_argument("the number of elements of " + to_string(*this) +
                                  " exceeds 64 bits");
  }
  return product;
}

inline std::int64_t Shape::rows() const {
  return rank_ == 0 ? 1 : without(rank_ - 1).elements();
}

inline std::int64_t Shape::last() const {
  return rank_ == 0 ? 1 : (*this)[rank_ - 1];
}

inline void Shape::append(std::int64_t dim) {
  if (rank_ == kMaxRank)
    throw std::invalid_argument("a shape has at most " + std::to_string(kMaxRank) + " dimensions");
  if (dim < 0 && dim != kOpen)
    throw std::invalid_argument("a dimension is " + std::to_string(dim) +
                                ", expected 0 or more, or kOpen");
  dims_[std::size_t(rank_++)] = dim;
}

inline Shape Shape::without(int axis) const {
  Shape shape;
  for (int k = 0; k < rank_; ++k)
    if (k != axis) shape.append((*this)[k]);
  return shape;
}

inline bool Shape::operator==(const Shape& other) const {
  if (rank_ != other.rank_) return false;
  for (int k = 0; k < rank_; ++k)
    if ((*this)[k] != other[k]) return false;
  return true;
}

inline std::string to_string(const Shape& shape) {
  std::string text = "[";
  for (int k = 0; k < shape.rank(); ++k) {
    if (k > 0) text += ", ";
    text += shape[k] == kOpen ? "?" : std::to_string(shape[k]);
  }
  return text + "]";
}

inline void View::wrong_dtype(DType asked) const {
  throw std::invalid_argument("a tensor of " + to_string(dtype) + " is read as " +
                              to_string(asked));
}

}  // namespace unroll
