/// What the stand-ins for CUDA's headers need of the emulation itself.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "tests/cuda_emulation/include/cuda_runtime_api.h"
#include "tests/cuda_emulation/include/vector_types.h"

namespace emulation {

/// Does `work` when the stream comes to it, or, in a capture, whenever the graph is run.
cudaError_t enqueue(cudaStream_t stream, std::function<void()> work);

struct Kernel {
  const void* address;           // names it in messages
  std::function<void()> thread;  // what each thread does
  dim3 grid, block;
  std::size_t shared_bytes;  // dynamic
  bool cooperative;
};
cudaError_t launch(cudaStream_t stream, Kernel kernel);

/// Runs every thread of every block. Of a block that can never end, because its threads wait for
/// each other in ways that CUDA leaves undefined, it says why, and aborts.
void run(const Kernel& kernel);

// ---- called by the threads of a running kernel

void sync_threads();
/// Whether any thread of the block came with true.
bool sync_threads_or(bool predicate);

enum class WarpOperation : std::uint8_t { kSync, kShuffle, kBallot, kTogether };
/// Waits for all threads of the warp that `mask` names and that have not returned. A shuffle gives
/// the value of lane `source`, a ballot the lanes whose value is not 0.
std::uint64_t exchange(WarpOperation operation, unsigned mask, std::uint64_t value, int source);
/// Waits for all 32 lanes, none of which may have returned, and calls `work` once for all of them,
/// with what each gave.
void together(void* mine, void (*work)(void* const* lanes));
int lane();
/// Number of the thread in its block.
int rank();

/// The block's own, aligned to 128 bytes, filled with NaN when the block begins. What is written
/// past its end is noticed when the block ends.
std::byte* dynamic_shared();
/// Of a cooperative launch: an error.
void use_static_shared();

/// Atomic. Who reads the same value from the same place twice in a row waits for another block: its
/// turn ends. When no block does anything else any more, they wait for ever, which is an error; but
/// not where UNROLL_EMULATED_LOST_STORE=N in the environment makes such a wait: the N-th store
/// since the variable is there has no effect.
std::uint32_t load(const std::uint32_t* address);
void store(std::uint32_t* address, std::uint32_t value);

/// Ends the program, with the kernel's name, the block's number and these words.
[[noreturn]] void fail(const std::string& why);

}  // namespace emulation
