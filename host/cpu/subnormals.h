/// Subnormal numbers, those below 2^-126: a processor computes with them up to 200 times slower
/// than with others. The CPU's kernels read and write them as zero, on every instruction set and in
/// every thread alike, so that bits agree.
///
/// The mode belongs to a thread and covers float64, too. So it is set for the time of a kernel
/// only: a caller's own arithmetic keeps what it had. On processors that are neither x86-64 nor
/// aarch64 it does nothing.
#pragma once

#include <cstdint>

namespace unroll::host {

/// How the calling thread treats subnormal numbers, in the processor's own bits.
std::uint64_t subnormal_mode();
void set_subnormal_mode(std::uint64_t mode);

/// In the calling thread subnormal numbers are zero, as operands and as results, while this lives.
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
