#include "unroll/tensor.h"

#include <algorithm>

namespace unroll {

std::size_t size_of(DType dtype) {
  switch (dtype) {
    case DType::kFloat32:
    case DType::kInt32:
      return 4;
    case DType::kInt64:
      return 8;
    case DType::kByte:
      return 1;
  }
  throw std::invalid_argument("size_of: unknown element type");
}

std::string to_string(DType dtype) {
  switch (dtype) {
    case DType::kFloat32:
      return "float32";
    case DType::kInt32:
      return "int32";
    case DType::kInt64:
      return "int64";
    case DType::kByte:
      return "byte";
  }
  return "?";
}

Shape::Shape(std::span<const std::int64_t> dims) {
  for (const std::int64_t dim : dims) append(dim);
}

std::size_t Shape::checked(int axis) const {
  if (axis < 0 || axis >= rank_)
    throw std::invalid_argument("axis " + std::to_string(axis) + " of a shape of rank " +
                                std::to_string(rank_));
  return std::size_t(axis);
}

bool Shape::is_open() const {
  return std::ranges::find(dims(), kOpen) != dims().end();
}

std::int64_t Shape::elements() const {
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

std::int64_t Shape::rows() const {
  return rank_ == 0 ? 1 : without(rank_ - 1).elements();
}

std::int64_t Shape::last() const {
  return rank_ == 0 ? 1 : (*this)[rank_ - 1];
}

void Shape::append(std::int64_t dim) {
  if (rank_ == kMaxRank)
    throw std::invalid_argument("a shape has at most " + std::to_string(kMaxRank) + " dimensions");
  if (dim < 0 && dim != kOpen)
    throw std::invalid_argument("a dimension is " + std::to_string(dim) +
                                ", expected 0 or more, or kOpen");
  dims_[std::size_t(rank_++)] = dim;
}

Shape Shape::without(int axis) const {
  Shape shape;
  for (int k = 0; k < rank_; ++k)
    if (k != axis) shape.append((*this)[k]);
  return shape;
}

bool Shape::operator==(const Shape& other) const {
  return std::ranges::equal(dims(), other.dims());
}

std::string to_string(const Shape& shape) {
  std::string text = "[";
  for (int k = 0; k < shape.rank(); ++k) {
    if (k > 0) text += ", ";
    text += shape[k] == kOpen ? "?" : std::to_string(shape[k]);
  }
  return text + "]";
}

void View::wrong_dtype(DType asked) const {
  throw std::invalid_argument("a tensor of " + to_string(dtype) + " is read as " +
                              to_string(asked));
}

}  // namespace unroll
