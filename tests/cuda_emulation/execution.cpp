/// Runs kernels. The threads of a block take turns on one CPU thread, each until it waits or
/// returns. One that never waits needs no stack of its own: the next thread uses the same.
///
/// UNROLL_EMULATED_ORDER in the environment is the order in which blocks, and threads between two
/// barriers, take their turns: forward, reverse, or random:SEED. A kernel without races does not
/// depend on it.
#include <dlfcn.h>

#include <bit>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "tests/cuda_emulation/fiber.h"
#include "tests/cuda_emulation/include/emulation.h"

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

namespace emulation {
namespace {

constexpr unsigned kMaxThreads = 1024, kWarp = 32;

/// Numbers below a count in some order: i ^ flip for all i below the next power of two. Which of
/// two numbers comes first is decided by the highest bit in which they differ.
class Order {
 public:
  void read_environment() {
    const char* const text = std::getenv("UNROLL_EMULATED_ORDER");
    const std::string order = text ? text : "forward";
    reverse_ = order == "reverse";
    random_ = order.starts_with("random");
    if (random_ && order.size() > 7) state_ ^= std::strtoull(order.c_str() + 7, nullptr, 10);
  }
  std::uint64_t flip(std::uint64_t count) {
    if (!reverse_ && !random_) return 0;
    const std::uint64_t mask = std::bit_ceil(count) - 1;
    if (reverse_) return mask;
    state_ = state_ * 6364136223846793005 + 1442695040888963407;
    return state_ >> 32 & mask;
  }

 private:
  bool reverse_ = false, random_ = false;
  std::uint64_t state_ = 0x9E3779B97F4A7C15;
};

struct Thread {
  Fiber* fiber;
  // In a warp operation:
  WarpOperation operation;
  unsigned mask;
  int source;
  std::uint64_t value;
};
struct Warp {
  unsigned alive, waiting;  // a bit for each lane
};

// The block that runs.
const Kernel* kernel = nullptr;
unsigned count = 0, current = 0, returned = 0, in_barrier = 0;
Thread threads[kMaxThreads];
Warp warps[kMaxThreads / kWarp];
uint3 index_of[kMaxThreads];
unsigned first_turn = 0, first_flip = 0;                       // of the threads not yet started
unsigned ready[kMaxThreads], ready_head = 0, ready_count = 0;  // a ring

Order order;
Fiber host;
Fiber* running = &host;
std::vector<Fiber*>& idle = *new std::vector<Fiber*>;  // fibers live as long as the program

std::string name_of(const void* address) {
  Dl_info info{};
  if (dladdr(address, &info) == 0) return "?";
  const auto offset = static_cast<const char*>(address) - static_cast<const char*>(info.dli_fbase);
  char text[64];
  std::snprintf(text, sizeof text, "+0x%zx", std::size_t(offset));
  std::string name = info.dli_fname + std::string(text);
  std::snprintf(text, sizeof text, " 0x%zx 2>&1", std::size_t(offset));
  if (FILE* const pipe =
          popen(("addr2line -sCfe '" + std::string(info.dli_fname) + "'" + text).c_str(), "r")) {
    char line[512];
    if (std::fgets(line, sizeof line, pipe)) name = line;
    pclose(pipe);
    if (name.ends_with('\n')) name.pop_back();
  }
  return name;
}

[[noreturn]] void fail(const std::string& why) {
  std::fprintf(stderr, "synccheck: kernel %s, block (%u,%u,%u): %s\n",
               name_of(kernel->address).c_str(), blockIdx.x, blockIdx.y, blockIdx.z, why.c_str());
  std::abort();
}

std::string thread_name(unsigned rank) {
  return "thread " + std::to_string(rank);
}

void make_current(unsigned rank) {
  current = rank;
  threadIdx = index_of[rank];
}

/// Makes one of the threads that have not started current; false if there is none.
bool start_next() {
  while (first_turn < std::bit_ceil(count)) {
    const unsigned rank = first_turn++ ^ first_flip;
    if (rank >= count) continue;
    make_current(rank);
    threads[rank].fiber = nullptr;
    return true;
  }
  return false;
}

void push_ready(unsigned rank) {
  ready[(ready_head + ready_count++) % kMaxThreads] = rank;
}

void work();

/// Goes on with another thread, or with the host if none can go on. Returns on this fiber, with the
/// thread current that is to run on it.
void run_next() {
  Fiber* next = &host;
  if (ready_count > 0) {
    make_current(ready[ready_head]);
    ready_head = (ready_head + 1) % kMaxThreads;
    --ready_count;
    next = threads[current].fiber;
  } else if (start_next()) {
    if (idle.empty()) idle.push_back(new Fiber(work));
    next = idle.back();
    idle.pop_back();
  }
  Fiber* const self = running;
  running = next;
  self->switch_to(*next);
}

/// If all threads of this warp that take part in an operation with this mask are there: carries it
/// out and lets them go on.
void complete(unsigned warp_index, unsigned mask) {
  Warp& warp = warps[warp_index];
  const unsigned lanes = mask & warp.alive;
  if ((warp.waiting & lanes) != lanes) return;
  Thread* const lane = threads + warp_index * kWarp;
  const WarpOperation operation = lane[std::countr_zero(lanes)].operation;
  std::uint64_t value[kWarp], ballot = 0;
  for (unsigned k = 0; k < kWarp; ++k) {
    if ((lanes >> k & 1) == 0) continue;
    if (lane[k].operation != operation || lane[k].mask != mask)
      fail("threads of warp " + std::to_string(warp_index) +
           " wait for each other in different operations or with different masks");
    value[k] = lane[k].value;
    ballot |= std::uint64_t(lane[k].value != 0) << k;
  }
  warp.waiting &= ~lanes;
  const auto lane_flip = unsigned(order.flip(kWarp));
  for (unsigned turn = 0; turn < kWarp; ++turn) {
    const unsigned k = turn ^ lane_flip;
    if ((lanes >> k & 1) == 0) continue;
    if (operation == WarpOperation::kShuffle) {
      if ((lanes >> lane[k].source & 1) == 0)
        fail(thread_name(warp_index * kWarp + k) + " reads lane " + std::to_string(lane[k].source) +
             ", which does not take part in the shuffle");
      lane[k].value = value[lane[k].source];
    } else {
      lane[k].value = ballot;
    }
    push_ready(warp_index * kWarp + k);
  }
}

void return_from_thread() {
  ++returned;
  const unsigned warp_index = current / kWarp;
  Warp& warp = warps[warp_index];
  warp.alive &= ~(1U << current % kWarp);
  while (warp.waiting != 0) {  // for this thread alone, perhaps
    const unsigned waiting = warp.waiting;
    for (unsigned left = waiting; left != 0; left &= left - 1) {
      const int k = std::countr_zero(left);
      if (warp.waiting >> k & 1)
        complete(warp_index, threads[warp_index * kWarp + unsigned(k)].mask);
    }
    if (warp.waiting == waiting) return;
  }
}

/// What every fiber does: whole threads, one after the other, as long as none can go on elsewhere.
void work() {
  for (;;) {
    do {
      threads[current].fiber = running;
      kernel->thread();
      return_from_thread();
    } while (ready_count == 0 && start_next());
    idle.push_back(running);
    run_next();
  }
}

void run_block() {
  returned = in_barrier = first_turn = ready_head = ready_count = 0;
  first_flip = unsigned(order.flip(count));
  for (unsigned first = 0; first < count; first += kWarp)
    warps[first / kWarp] = {count - first >= kWarp ? ~0U : (1U << (count - first)) - 1, 0};
  run_next();
  if (returned == count) return;
  std::string why = std::to_string(in_barrier) + " of " + std::to_string(count) +
                    " threads wait in __syncthreads(), " + std::to_string(returned) +
                    " have returned";
  for (unsigned first = 0; first < count; first += kWarp)
    if (const unsigned waiting = warps[first / kWarp].waiting)
      why += ", " + std::to_string(std::popcount(waiting)) + " of warp " +
             std::to_string(first / kWarp) + " wait for others of it";
  fail(why);
}

}  // namespace

void run(const Kernel& started) {
  kernel = &started;
  gridDim = started.grid;
  blockDim = started.block;
  count = blockDim.x * blockDim.y * blockDim.z;
  for (unsigned k = 0; k < count; ++k)
    index_of[k] = {k % blockDim.x, k / blockDim.x % blockDim.y, k / blockDim.x / blockDim.y};
  order.read_environment();
  const std::uint64_t blocks = std::uint64_t{gridDim.x} * gridDim.y * gridDim.z;
  const std::uint64_t block_flip = order.flip(blocks);
  for (std::uint64_t turn = 0; turn < std::bit_ceil(blocks); ++turn) {
    const std::uint64_t block = turn ^ block_flip;
    if (block >= blocks) continue;
    blockIdx = {unsigned(block % gridDim.x), unsigned(block / gridDim.x % gridDim.y),
                unsigned(block / gridDim.x / gridDim.y)};
    run_block();
  }
}

void sync_threads() {
  if (++in_barrier == count) {
    in_barrier = 0;
    const auto new_flip = unsigned(order.flip(count));
    for (unsigned turn = 0; turn < std::bit_ceil(count); ++turn)
      if ((turn ^ new_flip) < count) push_ready(turn ^ new_flip);
  }
  run_next();
}

std::uint64_t exchange(WarpOperation operation, unsigned mask, std::uint64_t value, int source) {
  const unsigned self = current, warp_index = self / kWarp, bit = 1U << self % kWarp;
  if ((mask & bit) == 0)
    fail(thread_name(self) + " is not in the mask that it gives to a warp's operation");
  Thread& thread = threads[self];
  thread.operation = operation;
  thread.mask = mask;
  thread.value = value;
  thread.source = source;
  warps[warp_index].waiting |= bit;
  complete(warp_index, mask);
  run_next();
  return thread.value;
}

int lane() {
  return int(current % kWarp);
}
int rank() {
  return int(current);
}

}  // namespace emulation
