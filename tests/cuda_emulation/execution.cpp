/// Runs kernels. The threads of a block take turns on one CPU thread, each until it waits or
/// returns. A thread that never waits needs no stack of its own: the next thread uses the same one.
///
/// Blocks run one after another, except those of a cooperative launch, which take turns. A turn
/// lasts until all threads of the block wait, some of them for other blocks, or until one writes a
/// value for which others may wait.
///
/// UNROLL_EMULATED_ORDER in the environment is the order of turns of blocks, and of threads between
/// two barriers: forward, reverse, or random:SEED. In random order the turns of cooperating blocks
/// also end at some barriers, and only at some of such writes. A kernel without races does not
/// depend on the order.
#include <dlfcn.h>

#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "tests/cuda_emulation/fiber.h"
#include "tests/cuda_emulation/include/emulation.h"

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

namespace emulation {
namespace {

constexpr unsigned kMaxThreads = 1024, kWarp = 32;

/// The numbers below a count in some order: i ^ flip for all i below the next power of two. The
/// highest bit in which two numbers differ decides which comes first.
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
  /// Whether a turn ends where it may: `usually`, but in random order every second time.
  bool ends_turn(bool usually) { return random_ ? flip(2) == 0 : usually; }

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
  void (*work)(void* const* lanes);
  // What it last read by an atomic operation:
  const std::uint32_t* polled;
  std::uint32_t seen;
};
struct Warp {
  unsigned alive, waiting;  // one bit per lane
};

constexpr std::size_t kSharedAlignment = 128, kGuardBytes = 128;
constexpr int kPoison = 0xFF;  // NaN in every format
constexpr int kGuard = 0xA5;

struct SharedMemoryDeleter {
  void operator()(std::byte* memory) const {
    ::operator delete (memory, std::align_val_t{kSharedAlignment});
  }
};

struct Block {
  uint3 index;
  unsigned returned, in_barrier;
  bool voting, voted;  // in sync_threads_or(): so far; by all, in the last barrier
  Thread threads[kMaxThreads];
  Warp warps[kMaxThreads / kWarp];
  unsigned first_turn, first_flip;                           // for the threads not yet started
  unsigned ready[kMaxThreads], ready_head, ready_count;      // a ring
  unsigned polling[kMaxThreads], polling_count;              // threads that wait for other blocks
  std::unique_ptr<std::byte[], SharedMemoryDeleter> shared;  // dynamic, and guard bytes
  std::size_t shared_bytes = 0;
};

// The running kernel, and its current block and thread.
const Kernel* kernel = nullptr;
unsigned count = 0;  // threads per block
uint3 index_of[kMaxThreads];
Block* block = nullptr;
unsigned current = 0;

// For a cooperative launch:
bool progress = false;   // whether a thread did more than read the same value again
bool turn_ends = false;  // although the block could go on

std::vector<std::unique_ptr<Block>>& blocks = *new std::vector<std::unique_ptr<Block>>;
Order order;
Fiber host;
Fiber* running = &host;
std::vector<Fiber*>& idle = *new std::vector<Fiber*>;  // fibers live until the program ends

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

std::string thread_name(unsigned rank) {
  return "thread " + std::to_string(rank);
}

void make_current(unsigned rank) {
  current = rank;
  threadIdx = index_of[rank];
}

/// Makes a thread that has not started current; returns false if there is none.
bool start_next() {
  while (block->first_turn < std::bit_ceil(count)) {
    const unsigned rank = block->first_turn++ ^ block->first_flip;
    if (rank >= count) continue;
    make_current(rank);
    block->threads[rank].fiber = nullptr;
    block->threads[rank].polled = nullptr;
    progress = true;
    return true;
  }
  return false;
}

void push_ready(unsigned rank) {
  block->ready[(block->ready_head + block->ready_count++) % kMaxThreads] = rank;
}

void work();

/// Continues another thread of the block, or the host if no thread can continue or the block's turn
/// ends. Returns on this fiber, with the thread that it has to run as the current one.
void run_next() {
  Fiber* next = &host;
  if (turn_ends) {
    turn_ends = false;
  } else if (block->ready_count > 0) {
    make_current(block->ready[block->ready_head]);
    block->ready_head = (block->ready_head + 1) % kMaxThreads;
    --block->ready_count;
    next = block->threads[current].fiber;
  } else if (start_next()) {
    if (idle.empty()) idle.push_back(new Fiber(work));
    next = idle.back();
    idle.pop_back();
  }
  Fiber* const self = running;
  running = next;
  self->switch_to(*next);
}

/// Checks whether all threads of this warp that take part in an operation with this mask have
/// arrived; if so, carries it out and lets them continue.
void complete(unsigned warp_index, unsigned mask) {
  Warp& warp = block->warps[warp_index];
  const unsigned lanes = mask & warp.alive;
  if ((warp.waiting & lanes) != lanes) return;
  Thread* const lane = block->threads + warp_index * kWarp;
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
  progress = true;
  if (operation == WarpOperation::kTogether) {
    if (lanes != ~0U)
      fail("warp " + std::to_string(warp_index) +
           " has not all its lanes in what takes all of them");
    void* given[kWarp];
    for (unsigned k = 0; k < kWarp; ++k) {
      given[k] = reinterpret_cast<void*>(value[k]);
      if (lane[k].work != lane[0].work)
        fail("threads of warp " + std::to_string(warp_index) +
             " take part in different operations");
    }
    lane[0].work(given);
  }
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
  ++block->returned;
  progress = true;
  const unsigned warp_index = current / kWarp;
  Warp& warp = block->warps[warp_index];
  warp.alive &= ~(1U << current % kWarp);
  while (warp.waiting != 0) {  // perhaps only for this thread
    const unsigned waiting = warp.waiting;
    for (unsigned left = waiting; left != 0; left &= left - 1) {
      const int k = std::countr_zero(left);
      if (warp.waiting >> k & 1)
        complete(warp_index, block->threads[warp_index * kWarp + unsigned(k)].mask);
    }
    if (warp.waiting == waiting) return;
  }
}

/// The loop of every fiber: it runs whole threads, one after the other, while no waiting thread can
/// continue.
void work() {
  for (;;) {
    do {
      block->threads[current].fiber = running;
      kernel->thread();
      return_from_thread();
    } while (block->ready_count == 0 && start_next());
    idle.push_back(running);
    run_next();
  }
}

/// Describes a block in which some threads have not returned.
std::string what_threads_do() {
  std::string text = std::to_string(block->in_barrier) + " of " + std::to_string(count) +
                     " threads wait in __syncthreads(), " + std::to_string(block->returned) +
                     " have returned";
  for (unsigned first = 0; first < count; first += kWarp)
    if (const unsigned waiting = block->warps[first / kWarp].waiting)
      text += ", " + std::to_string(std::popcount(waiting)) + " of warp " +
              std::to_string(first / kWarp) + " wait for others of it";
  if (block->polling_count > 0)
    text += ", " + std::to_string(block->polling_count) + " wait for other blocks";
  return text;
}

/// The value of the environment variable; 0: none.
std::int64_t lost_store() {
  const char* const text = std::getenv("UNROLL_EMULATED_LOST_STORE");
  return text ? std::atoll(text) : 0;
}

void enter(Block& entered) {
  block = &entered;
  blockIdx = entered.index;
}

/// Makes the block with this number in the grid the running one. None of its threads has started.
void begin(Block& begun, std::uint64_t number) {
  begun.index = {unsigned(number % gridDim.x), unsigned(number / gridDim.x % gridDim.y),
                 unsigned(number / gridDim.x / gridDim.y)};
  begun.returned = begun.in_barrier = begun.first_turn = 0;
  begun.voting = false;
  begun.ready_head = begun.ready_count = begun.polling_count = 0;
  begun.first_flip = unsigned(order.flip(count));
  for (unsigned first = 0; first < count; first += kWarp)
    begun.warps[first / kWarp] = {count - first >= kWarp ? ~0U : (1U << (count - first)) - 1, 0};
  if (begun.shared_bytes < kernel->shared_bytes) {
    begun.shared.reset(static_cast<std::byte*>(
        ::operator new (kernel->shared_bytes + kGuardBytes, std::align_val_t{kSharedAlignment})));
    begun.shared_bytes = kernel->shared_bytes;
  }
  if (kernel->shared_bytes > 0) {
    std::memset(begun.shared.get(), kPoison, kernel->shared_bytes);
    std::memset(begun.shared.get() + kernel->shared_bytes, kGuard, kGuardBytes);
  }
  enter(begun);
}

/// Runs the block until it can do no more for now; returns true if it has ended.
bool take_turn() {
  const auto poll_flip = unsigned(order.flip(count));
  std::sort(block->polling, block->polling + block->polling_count,
            [&](unsigned a, unsigned b) { return (a ^ poll_flip) < (b ^ poll_flip); });
  for (unsigned k = 0; k < block->polling_count; ++k) push_ready(block->polling[k]);
  block->polling_count = 0;
  run_next();
  if (block->returned < count) {
    if (block->ready_count == 0 && block->polling_count == 0) fail(what_threads_do());
    return false;
  }
  const std::byte* const guard = block->shared.get() + kernel->shared_bytes;
  if (kernel->shared_bytes > 0 &&
      !std::all_of(guard, guard + kGuardBytes, [](std::byte b) { return b == std::byte{kGuard}; }))
    fail("wrote past its " + std::to_string(kernel->shared_bytes) +
         " bytes of dynamic shared memory");
  return true;
}

void make_blocks(std::size_t number) {
  while (blocks.size() < number) blocks.push_back(std::make_unique<Block>());
}

/// All blocks take turns until they have ended.
void run_together(std::size_t number) {
  make_blocks(number);
  for (std::size_t k = 0; k < number; ++k) begin(*blocks[k], k);
  for (std::size_t ended = 0; ended < number;) {
    progress = false;
    const std::uint64_t flip = order.flip(number);
    for (std::uint64_t turn = 0; turn < std::bit_ceil(number); ++turn) {
      const std::uint64_t k = turn ^ flip;
      if (k >= number || blocks[k]->returned == count) continue;
      enter(*blocks[k]);
      if (take_turn()) ++ended;
    }
    if (progress || lost_store() != 0) continue;
    enter(**std::find_if(blocks.begin(), blocks.end(),
                         [](const auto& one) { return one->returned < count; }));
    fail("the blocks wait for each other for ever: of this one " + what_threads_do());
  }
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
  const std::uint64_t number = std::uint64_t{gridDim.x} * gridDim.y * gridDim.z;
  if (started.cooperative) return run_together(number);
  make_blocks(1);
  const std::uint64_t block_flip = order.flip(number);
  for (std::uint64_t turn = 0; turn < std::bit_ceil(number); ++turn) {
    if ((turn ^ block_flip) >= number) continue;
    begin(*blocks[0], turn ^ block_flip);
    take_turn();
  }
}

void sync_threads() {
  progress = true;
  if (++block->in_barrier == count) {
    block->in_barrier = 0;
    block->voted = std::exchange(block->voting, false);
    const auto new_flip = unsigned(order.flip(count));
    for (unsigned turn = 0; turn < std::bit_ceil(count); ++turn)
      if ((turn ^ new_flip) < count) push_ready(turn ^ new_flip);
    turn_ends = kernel->cooperative && order.ends_turn(false);
  }
  run_next();
}

bool sync_threads_or(bool predicate) {
  block->voting = block->voting || predicate;
  sync_threads();
  return block->voted;  // valid until the next barrier, which needs this thread
}

std::uint64_t exchange(WarpOperation operation, unsigned mask, std::uint64_t value, int source) {
  const unsigned self = current, warp_index = self / kWarp, bit = 1U << self % kWarp;
  if ((mask & bit) == 0)
    fail(thread_name(self) + " is not in the mask that it gives to a warp's operation");
  Thread& thread = block->threads[self];
  thread.operation = operation;
  thread.mask = mask;
  thread.value = value;
  thread.source = source;
  block->warps[warp_index].waiting |= bit;
  complete(warp_index, mask);
  run_next();
  return thread.value;
}

void together(void* mine, void (*work)(void* const* lanes)) {
  block->threads[current].work = work;
  exchange(WarpOperation::kTogether, ~0U, reinterpret_cast<std::uint64_t>(mine), 0);
}

std::byte* dynamic_shared() {
  if (kernel->shared_bytes == 0) fail("was launched without dynamic shared memory");
  return block->shared.get();
}

void use_static_shared() {
  if (kernel->cooperative)
    fail("has static shared memory, which blocks that take turns would share");
}

std::uint32_t load(const std::uint32_t* address) {
  Thread& thread = block->threads[current];
  if (thread.polled == address && thread.seen == *address) {
    if (!kernel->cooperative)
      fail(thread_name(current) + " waits for another block in a launch that is not cooperative");
    block->polling[block->polling_count++] = current;
    run_next();
    if (thread.seen == *address) return thread.seen;
  }
  progress = true;
  thread.polled = address;
  return thread.seen = *address;
}

void store(std::uint32_t* address, std::uint32_t value) {
  static std::int64_t stores = 0;
  const std::int64_t lost = lost_store();
  stores = lost == 0 ? 0 : stores + 1;
  progress = true;
  if (lost == 0 || stores != lost) *address = value;
  if (!kernel->cooperative || !order.ends_turn(true)) return;
  push_ready(current);
  turn_ends = true;
  run_next();
}

void fail(const std::string& why) {
  std::fprintf(stderr, "synccheck: kernel %s, block (%u,%u,%u): %s\n",
               name_of(kernel->address).c_str(), blockIdx.x, blockIdx.y, blockIdx.z, why.c_str());
  std::abort();
}

int lane() {
  return int(current % kWarp);
}
int rank() {
  return int(current);
}

}  // namespace emulation
