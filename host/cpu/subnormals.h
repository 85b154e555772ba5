/// Subnormal numbers are those below 2^-126. Processors compute with them up to 200 times slower
/// than with others. The CPU kernels read and write them as zero, on every instruction set and in
/// every thread, so that bits agree.
///
/// The mode belongs to a thread and also affects float64. So it is set only while a kernel runs,
/// and a caller's own arithmetic is unchanged. On processors that are neither x86-64 nor aarch64 it
/// does nothing.
#pragma once

#include <cstdint>

namespace unroll::host {

/// How the calling thread treats subnormal numbers: the mode bits of the processor.
std::uint64_t subnormal_mode();
void set_subnormal_mode(std::uint64_t mode);

/// While this object lives, subnormal operands and results of the calling thread are zero.
class FlushSubnormals {
 public:
  FlushSubnormals();
  ~FlushSubnormals() { set_subnormal_mode(before_); }
  FlushSubnormals(const FlushSubnormals&) = delete;
  FlushSubnormals& operator=(const FlushSubnormals&) = delete;

 private:
  std::uint64_t before_;
};

}  // namespace unroll::host
