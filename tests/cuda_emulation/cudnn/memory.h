/// How values, weights and what the forward pass keeps lie in the memories of the stand-in for
/// cuDNN.
///
/// Values are rounded to the data type: x, y, h, c, weights, and the gradients of all these and of
/// gates. Sums are in float64.
#pragma once

#include <bit>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "tests/cuda_emulation/cudnn/descriptors.h"
#include "tests/cuda_emulation/include/cuda_bf16.h"
#include "tests/cuda_emulation/include/cuda_fp16.h"

namespace unroll::gpu::cudnn {

/// For errors that only show when the stream reaches the work: a caller that breaks the rules has
/// no use for a result.
[[noreturn]] inline void die(const char* why) {
  std::fprintf(stderr, "emulated cuDNN: %s\n", why);
  std::abort();
}

inline std::size_t size_of(DataType type) {
  return type == DataType::kFloat ? 4 : 2;
}

/// An array in memory whose elements have the data type.
class Array {
 public:
  Array(DataType type, const void* data) : type_(type), data_(const_cast<void*>(data)) {}
  explicit operator bool() const { return data_ != nullptr; }

  double get(std::int64_t k) const {
    if (type_ == DataType::kFloat) return double(static_cast<const float*>(data_)[k]);
    if (type_ == DataType::kHalf) return double(__half2float(static_cast<const __half*>(data_)[k]));
    return double(__bfloat162float(static_cast<const __nv_bfloat16*>(data_)[k]));
  }
  void set(std::int64_t k, double value) const {
    if (type_ == DataType::kFloat)
      static_cast<float*>(data_)[k] = float(value);
    else if (type_ == DataType::kHalf)
      static_cast<__half*>(data_)[k] = __float2half(float(value));
    else
      static_cast<__nv_bfloat16*>(data_)[k] = __float2bfloat16(float(value));
  }
  void set(std::int64_t k, const std::vector<double>& values) const {
    for (const double value : values) set(k++, value);
  }

 private:
  DataType type_;
  void* data_;
};

inline double rounded(DataType type, double value) {
  float there = 0;
  const Array one(type, &there);
  one.set(0, value);
  return one.get(0);
}

/// A factor as products use it: TF32 keeps 10 bits of the mantissa.
inline double factor(const RnnData& rnn, double value) {
  if (rnn.math != MathType::kDefault || rnn.type != DataType::kFloat || value != value)
    return value;
  const auto bits = std::bit_cast<std::uint32_t>(float(value));
  return double(std::bit_cast<float>((bits + 0xFFF + (bits >> 13 & 1)) & ~0x1FFFU));
}

struct Place {
  std::int64_t matrix, bias;  // in elements
  std::int64_t rows, columns;
  bool has_bias;
};

/// Per cell: a gap, then its biases, then its matrices from the last to the first, with more gaps.
/// A projection has no bias.
inline Place place_of(const RnnData& rnn, int cell, int part) {
  const std::int64_t biased = std::int64_t{2} * rnn.gates(), bias_size = rnn.hidden + 3;
  std::int64_t at = 0;
  for (int before = 0;; ++before) {
    const auto shape_of = [&](int k) -> Place {
      if (k == biased) return {0, 0, rnn.projection, rnn.hidden, false};
      return {0, 0, rnn.hidden,
              k < rnn.gates() ? rnn.columns(before / rnn.directions) : rnn.projection, true};
    };
    const std::int64_t biases = at + 7;
    Place place = shape_of(part);
    place.bias = biases + part * bias_size;
    at = biases + biased * bias_size;
    for (int k = rnn.parts(); k-- > 0;) {
      if (k == part) place.matrix = at;
      at += shape_of(k).rows * shape_of(k).columns + 5;
    }
    if (before == cell) return place;
    if (before + 1 == rnn.cells()) return {at, at, 0, 0, false};  // the end of the space
  }
}
inline std::size_t weight_bytes_of(const RnnData& rnn) {
  return std::size_t(place_of(rnn, rnn.cells(), 0).matrix) * size_of(rnn.type);
}

/// What the forward pass keeps, as float32 after a mark.
struct Trace {
  enum Mark : std::uint64_t { kForward = 0xF0F0, kData = 0xDADA, kSpent = 0xDEAD };

  const RnnData& rnn;
  int steps, batch;
  float* memory;

  std::int64_t rows() const { return std::int64_t(steps) * batch; }
  std::int64_t cell_size() const { return rows() * rnn.hidden * (2 * rnn.slots() + 1); }
  std::int64_t floats() const {
    return 16 + rnn.cells() * cell_size() + rnn.layers * rows() * rnn.outputs();
  }
  float* cell(int index) const { return memory + 16 + index * cell_size(); }
  float* gates(int index, std::int64_t row) const {
    return cell(index) + row * rnn.slots() * rnn.hidden;
  }
  float* dgates(int index, std::int64_t row) const { return gates(index, rows() + row); }
  float* c(int index, std::int64_t row) const {
    return gates(index, 2 * rows()) + row * rnn.hidden;
  }
  float* output(int layer, std::int64_t row) const {
    return memory + 16 + rnn.cells() * cell_size() + (layer * rows() + row) * rnn.outputs();
  }

  void expect(Mark mark, const char* why) const {
    std::uint64_t found = 0;
    std::memcpy(&found, memory, sizeof found);
    if (found != mark) die(why);
  }
  void set(Mark mark) const {
    const std::uint64_t value = mark;
    std::memcpy(memory, &value, sizeof value);
  }
};

constexpr std::size_t kWorkPerValue = 8;
inline std::size_t work_bytes_of(const RnnData& rnn, const RnnDataData& x) {
  return 256 +
         kWorkPerValue * std::size_t(x.steps) * std::size_t(x.batch) * std::size_t(rnn.outputs());
}
inline std::size_t reserve_bytes_of(const RnnData& rnn, const RnnDataData& x) {
  return std::size_t(Trace{rnn, x.steps, x.batch, nullptr}.floats()) * sizeof(float);
}

}  // namespace unroll::gpu::cudnn
