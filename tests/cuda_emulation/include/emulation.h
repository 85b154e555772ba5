/// What the stand-ins for CUDA's headers need from the emulation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "tests/cuda_emulation/include/cuda_runtime_api.h"
#include "tests/cuda_emulation/include/vector_types.h"

namespace emulation {

/// Does `work` when the stream reaches it or, in a capture, whenever the graph runs.
cudaError_t enqueue(cudaStream_t stream, std::function<void()> work);

struct Kernel {
  const void* address;           // identifies it in messages
  std::function<void()> thread;  // what each thread does
  dim3 grid, block;
  std::size_t shared_bytes;  // dynamic
  bool cooperative;
};
cudaError_t launch(cudaStream_t stream, Kernel kernel);

/// Runs every thread of every block. If a block can never end, because its threads wait for each
/// other in ways that CUDA leaves undefined, it prints why and aborts.
void run(const Kernel& kernel);

// ---- called by the threads of a running kernel

void sync_threads();
/// Whether any thread of the block passed true.
bool sync_threads_or(bool predicate);

enum class WarpOperation : std::uint8_t { kSync, kShuffle, kBallot, kTogether };
/// Waits for all threads of the warp in `mask` that have not returned. A shuffle returns the value
/// of lane `source`, a ballot the lanes whose value is not 0.
std::uint64_t exchange(WarpOperation operation, unsigned mask, std::uint64_t value, int source);
/// Waits for all 32 lanes, none of which may have returned, and calls `work` once for all of them,
/// with the argument of each.
void together(void* mine, void (*work)(void* const* lanes));
int lane();
/// Number of the thread in its block.
int rank();

/// The dynamic shared memory of the block, aligned to 128 bytes, filled with NaN when the block
/// begins. Writes past its end are detected when the block ends.
std::byte* dynamic_shared();
/// An error in a cooperative launch.
void use_static_shared();

/// Atomic. A thread that reads the same value from the same address twice in a row waits for
/// another block: its turn ends. If no block does anything else, they wait forever, which is an
/// error. It is allowed if UNROLL_EMULATED_LOST_STORE=N in the environment causes it: the N-th
/// store since it was set has no effect.
std::uint32_t load(const std::uint32_t* address);
void store(std::uint32_t* address, std::uint32_t value);

/// Ends the program with a message: the kernel's name, the block's number and `why`.
[[noreturn]] void fail(const std::string& why);

}  // namespace emulation
