/// Memory, streams, events and graphs of the emulated device.
#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/cuda_emulation/calls.h"
#include "tests/cuda_emulation/hooks.h"
#include "tests/cuda_emulation/include/cuda_runtime_api.h"
#include "tests/cuda_emulation/include/emulation.h"

using Work = std::function<void()>;
using Clock = std::chrono::steady_clock;

/// Nodes in the order of capture. `after` are the nodes that the stream, and the events for which
/// it waited, had reached.
struct CUgraph_st {
  struct Node {
    Work work;
    std::int64_t emulation::Queued::*kind;
    std::vector<std::size_t> after;
    bool has_successor = false;
  };
  std::vector<Node> nodes;
  cudaStreamCaptureMode mode;
  std::thread::id thread;
  bool spoiled = false, ended = false;
};
struct CUgraphExec_st {
  std::shared_ptr<const CUgraph_st> graph;
};

/// The number of devices is UNROLL_EMULATED_DEVICES in the environment [1].
static int device_count() {
  static const char* const text = std::getenv("UNROLL_EMULATED_DEVICES");
  return text ? std::atoi(text) : 1;
}
static thread_local int current_device = 0;
static thread_local cudaError_t last_error = cudaSuccess;  // kept until it is read

struct CUstream_st {
  int device = current_device;
  std::deque<Work> queue;
  std::uint64_t queued = 0, done = 0;
  std::shared_ptr<CUgraph_st> capture;  // null unless captured
  bool began_capture = false;
  std::vector<std::size_t> reached;  // nodes of the capture that the next one follows

  void run_until(std::uint64_t count) {
    while (done < count) {
      const Work work = std::move(queue.front());
      queue.pop_front();
      work();
      ++done;
    }
  }
};

struct CUevent_st {
  bool timed;
  std::shared_ptr<CUstream_st> stream;  // null: never recorded
  std::uint64_t position = 0;           // complete when the stream has come so far
  std::shared_ptr<Clock::time_point> time;
  std::weak_ptr<CUgraph_st> capture;
  std::vector<std::size_t> reached;
  bool captured = false;
};

namespace emulation {
namespace {

constexpr std::size_t kAlignment = 256;
constexpr std::size_t kMostPoisoned = std::size_t{256} << 20;  // to save time
// Per multiprocessor of sm_90. Their number and the registers per thread are smaller, to keep the
// fibers few.
constexpr unsigned kProcessors = 16;
constexpr std::uint64_t kRegisters = 64 << 10, kThreadRegisters = 64;
constexpr std::size_t kSharedBytes = 48 << 10, kMostSharedBytes = 227 << 10;

struct Memory {
  std::map<std::uintptr_t, std::size_t> blocks;
  std::size_t used = 0;

  bool contains(const void* address, std::size_t bytes) const {
    const auto first = reinterpret_cast<std::uintptr_t>(address);
    auto block = blocks.upper_bound(first);
    if (block == blocks.begin()) return false;
    --block;
    return first + bytes <= block->first + block->second;
  }
  void* allocate(std::size_t bytes) {
    void* const memory = ::operator new (bytes, std::align_val_t{kAlignment}, std::nothrow);
    if (!memory) return nullptr;
    std::memset(memory, 0xFF, std::min(bytes, kMostPoisoned));  // NaN in every format
    blocks[reinterpret_cast<std::uintptr_t>(memory)] = bytes;
    used += bytes;
    return memory;
  }
  bool release(void* memory) {
    const auto block = blocks.find(reinterpret_cast<std::uintptr_t>(memory));
    if (block == blocks.end()) return false;
    used -= block->second;
    blocks.erase(block);
    ::operator delete (memory, std::align_val_t{kAlignment});
    return true;
  }
};

/// All state. Never destroyed, because static objects of the program may outlive other ones.
struct State {
  std::recursive_mutex mutex;
  Memory device, pinned;
  std::map<cudaStream_t, std::shared_ptr<CUstream_st>> streams{
      {nullptr, std::make_shared<CUstream_st>()}};
  std::map<cudaGraph_t, std::shared_ptr<CUgraph_st>> graphs;
  std::map<const void*, std::size_t> shared_memory;  // dynamic, the limit of kernels if not 48 KB
  bool lost = false;  // the device has failed, and every call fails from now on
  Calls calls{};
};
State& state() {
  static State& only = *new State;
  return only;
}

/// One call at a time: kernels share their static memory.
struct Call {
  Call() { state().mutex.lock(); }
  ~Call() { state().mutex.unlock(); }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;
};

cudaError_t result(cudaError_t error) {
  if (state().lost) error = cudaErrorIllegalAddress;
  if (error != cudaSuccess) last_error = error;
  return error;
}

std::shared_ptr<CUstream_st> find(cudaStream_t stream) {
  const auto found = state().streams.find(stream);
  return found == state().streams.end() ? nullptr : found->second;
}

/// The same for functions that a stream accepts only from threads with its device current.
std::shared_ptr<CUstream_st> find_current(cudaStream_t handle) {
  auto stream = find(handle);
  return stream && (!handle || stream->device == current_device) ? stream : nullptr;
}

void run_all() {
  for (const auto& [handle, stream] : state().streams) stream->run_until(stream->queued);
}

/// For a call that CUDA refuses during a capture: returns whether there is one, and invalidates it.
bool spoils_capture() {
  bool captures = false;
  for (const auto& [handle, stream] : state().streams) {
    CUgraph_st* const graph = stream->capture.get();
    if (!graph || graph->mode == cudaStreamCaptureModeRelaxed) continue;
    if (graph->mode == cudaStreamCaptureModeThreadLocal &&
        graph->thread != std::this_thread::get_id())
      continue;
    captures = graph->spoiled = true;
  }
  return captures;
}
bool spoils_capture(CUstream_st& stream) {
  if (!stream.capture) return spoils_capture();
  return stream.capture->spoiled = true;
}

using Kind = std::int64_t Queued::*;

/// `kind`: null for work that is not the device's.
cudaError_t add(CUstream_st& stream, Kind kind, Work work) {
  if (!stream.capture) {
    if (kind) ++(state().calls.queued.*kind);
    stream.queue.push_back(std::move(work));
    ++stream.queued;
    static const char* const blocking = std::getenv("CUDA_LAUNCH_BLOCKING");
    if (blocking && std::string(blocking) == "1") stream.run_until(stream.queued);
    return cudaSuccess;
  }
  CUgraph_st& graph = *stream.capture;
  if (graph.spoiled) return cudaErrorStreamCaptureInvalidated;
  for (const std::size_t node : stream.reached) graph.nodes[node].has_successor = true;
  graph.nodes.push_back({std::move(work), kind, std::move(stream.reached)});
  stream.reached = {graph.nodes.size() - 1};
  return cudaSuccess;
}

/// Runs the nodes in an order in which each follows its predecessors.
void run_graph(const CUgraph_st& graph) {
  const char* const text = std::getenv("UNROLL_EMULATED_ORDER");
  const std::string order = text ? text : "forward";
  if (order == "forward") {
    for (const CUgraph_st::Node& node : graph.nodes) node.work();
    return;
  }
  static std::minstd_rand random;
  std::vector<std::vector<std::size_t>> successors(graph.nodes.size());
  std::vector<std::size_t> missing(graph.nodes.size()), ready;
  for (std::size_t k = 0; k < graph.nodes.size(); ++k) {
    for (const std::size_t before : graph.nodes[k].after) successors[before].push_back(k);
    missing[k] = graph.nodes[k].after.size();
    if (missing[k] == 0) ready.push_back(k);
  }
  while (!ready.empty()) {  // reverse: the last captured one first
    const auto chosen = order == "reverse" ? std::max_element(ready.begin(), ready.end())
                                           : ready.begin() + long(random() % ready.size());
    const std::size_t node = *chosen;
    ready.erase(chosen);
    graph.nodes[node].work();
    for (const std::size_t next : successors[node])
      if (--missing[next] == 0) ready.push_back(next);
  }
}

struct ErrorName {
  cudaError_t error;
  const char *name, *words;
};
constexpr ErrorName kErrors[] = {
    {cudaSuccess, "cudaSuccess", "no error"},
    {cudaErrorInvalidValue, "cudaErrorInvalidValue", "invalid argument"},
    {cudaErrorMemoryAllocation, "cudaErrorMemoryAllocation", "out of memory"},
    {cudaErrorInitializationError, "cudaErrorInitializationError", "initialization error"},
    {cudaErrorInvalidConfiguration, "cudaErrorInvalidConfiguration",
     "invalid configuration argument"},
    {cudaErrorInvalidDevice, "cudaErrorInvalidDevice", "invalid device ordinal"},
    {cudaErrorInvalidResourceHandle, "cudaErrorInvalidResourceHandle", "invalid resource handle"},
    {cudaErrorNotReady, "cudaErrorNotReady", "device not ready"},
    {cudaErrorCooperativeLaunchTooLarge, "cudaErrorCooperativeLaunchTooLarge",
     "too many blocks in cooperative launch"},
    {cudaErrorNotSupported, "cudaErrorNotSupported", "operation not supported"},
    {cudaErrorStreamCaptureUnsupported, "cudaErrorStreamCaptureUnsupported",
     "operation not permitted when stream is capturing"},
    {cudaErrorStreamCaptureInvalidated, "cudaErrorStreamCaptureInvalidated",
     "operation failed due to a previous error during capture"},
    {cudaErrorStreamCaptureUnmatched, "cudaErrorStreamCaptureUnmatched",
     "operation would result in a merge of separate capture sequences"},
    {cudaErrorStreamCaptureUnjoined, "cudaErrorStreamCaptureUnjoined",
     "capture was not ended in the same stream as it began"},
    {cudaErrorCapturedEvent, "cudaErrorCapturedEvent",
     "operation not permitted on an event last recorded in a capturing stream"},
};
const ErrorName& name_of(cudaError_t error) {
  static constexpr ErrorName kOther{cudaErrorUnknown, "cudaErrorUnknown", "unknown error"};
  const auto* const found = std::find_if(std::begin(kErrors), std::end(kErrors),
                                         [&](const ErrorName& e) { return e.error == error; });
  return found == std::end(kErrors) ? kOther : *found;
}

std::size_t total_memory() {
  const char* const text = std::getenv("UNROLL_EMULATED_MEMORY");
  return text ? std::strtoull(text, nullptr, 10) : std::size_t{16} << 30;
}

cudaError_t allocate(Memory& where, std::size_t limit, void** memory, std::size_t bytes) {
  if (!memory) return cudaErrorInvalidValue;
  *memory = nullptr;
  if (spoils_capture()) return cudaErrorStreamCaptureUnsupported;
  if (bytes == 0) return cudaSuccess;
  if (bytes > limit - std::min(limit, where.used)) return cudaErrorMemoryAllocation;
  *memory = where.allocate(bytes);
  return *memory ? cudaSuccess : cudaErrorMemoryAllocation;
}

cudaError_t release(Memory& where, void* memory) {
  if (!memory) return cudaSuccess;
  if (spoils_capture()) return cudaErrorStreamCaptureUnsupported;
  run_all();
  return where.release(memory) ? cudaSuccess : cudaErrorInvalidValue;
}

/// Whether pointers that should be device memory are.
bool fits(const void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
  const Memory& device = state().device;
  const bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
  const bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
  return (!to_device || device.contains(to, bytes)) &&
         (!from_device || device.contains(from, bytes));
}

/// As CUDA does: pinned memory is read and written when the stream reaches the copy; other memory
/// is read, and written, before the call returns.
cudaError_t copy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind,
                 CUstream_st& stream) {
  if (bytes == 0) return cudaSuccess;
  if (!fits(to, from, bytes, kind)) return cudaErrorInvalidValue;
  const Memory& pinned = state().pinned;
  const Work work = [=] { std::memcpy(to, from, bytes); };
  const Kind queued = kind == cudaMemcpyHostToDevice   ? &Queued::copy_to_device
                      : kind == cudaMemcpyDeviceToHost ? &Queued::copy_to_host
                                                       : &Queued::copy_within;
  if (stream.capture) return add(stream, queued, work);
  if (kind == cudaMemcpyHostToDevice) state().calls.bytes_to_device += std::int64_t(bytes);
  if (kind == cudaMemcpyDeviceToDevice) state().calls.bytes_within += std::int64_t(bytes);
  if (kind == cudaMemcpyHostToDevice && !pinned.contains(from, bytes)) {
    const auto* const first = static_cast<const std::byte*>(from);
    const auto staged = std::make_shared<std::vector<std::byte>>(first, first + bytes);
    return add(stream, queued, [=] { std::memcpy(to, staged->data(), bytes); });
  }
  const cudaError_t error = add(stream, queued, work);
  if (kind == cudaMemcpyDeviceToHost && !pinned.contains(to, bytes))
    stream.run_until(stream.queued);
  return error;
}

cudaError_t set(void* memory, int value, std::size_t bytes, CUstream_st& stream) {
  if (bytes == 0) return cudaSuccess;
  if (!state().device.contains(memory, bytes)) return cudaErrorInvalidValue;
  return add(stream, &Queued::clear, [=] { std::memset(memory, value, bytes); });
}

std::size_t most_shared(const void* kernel) {
  const auto found = state().shared_memory.find(kernel);
  return found == state().shared_memory.end() ? kSharedBytes : found->second;
}

/// How many blocks of the kernel a multiprocessor holds at a time.
unsigned resident_blocks(const void* kernel, std::uint64_t threads, std::size_t shared_bytes) {
  if (threads == 0 || threads > 1024 || shared_bytes > most_shared(kernel)) return 0;
  const std::uint64_t whole_warps = (threads + 31) / 32 * 32;
  return unsigned(std::min({std::uint64_t{32}, kRegisters / kThreadRegisters / whole_warps,
                            (kMostSharedBytes + 1024) / (shared_bytes + 1024)}));
}

}  // namespace

cudaError_t enqueue(cudaStream_t handle, Work work) {
  const Call call;
  const auto stream = find(handle);
  return result(stream ? add(*stream, &Queued::library, std::move(work))
                       : cudaErrorInvalidResourceHandle);
}

/// UNROLL_EMULATED_COOPERATIVE in the environment says what happens to every kernel whose blocks
/// wait for each other: "skip" leaves out its work, "refuse" refuses its launch, "trap" makes the
/// device fail, "hang" never ends, "crash" ends the process.
static Work spoilt(const char* how, Work work) {
  const std::string fault = how;
  if (fault == "skip") return [] {};
  if (fault == "trap") return [] { state().lost = true; };
  if (fault == "hang")
    return [] {
      for (;;) std::this_thread::sleep_for(std::chrono::seconds(1));
    };
  if (fault == "crash") return [] { std::raise(SIGSEGV); };
  return work;
}

cudaError_t launch(cudaStream_t handle, Kernel kernel) {
  const Call call;
  const auto stream = find_current(handle);
  if (!stream) return result(cudaErrorInvalidResourceHandle);
  const dim3 grid = kernel.grid, block = kernel.block;
  const std::uint64_t threads = std::uint64_t{block.x} * block.y * block.z;
  if (threads == 0 || block.x > 1024 || block.y > 1024 || block.z > 64 || threads > 1024 ||
      grid.x == 0 || grid.y == 0 || grid.z == 0 || grid.x > 0x7FFFFFFF || grid.y > 0xFFFF ||
      grid.z > 0xFFFF)
    return result(cudaErrorInvalidConfiguration);
  if (kernel.shared_bytes > most_shared(kernel.address)) return result(cudaErrorInvalidValue);
  if (kernel.cooperative &&
      std::uint64_t{grid.x} * grid.y * grid.z >
          kProcessors * resident_blocks(kernel.address, threads, kernel.shared_bytes))
    return result(cudaErrorCooperativeLaunchTooLarge);
  const char* const fault =
      kernel.cooperative ? std::getenv("UNROLL_EMULATED_COOPERATIVE") : nullptr;
  if (fault && std::strcmp(fault, "refuse") == 0) return result(cudaErrorCooperativeLaunchTooLarge);
  Work work = [kernel = std::move(kernel)] { run(kernel); };
  return result(
      add(*stream, &Queued::kernel, fault ? spoilt(fault, std::move(work)) : std::move(work)));
}

}  // namespace emulation

using namespace emulation;  // NOLINT: CUDA's functions follow, outside any namespace

const Calls* unroll_emulated_calls() {
  return &state().calls;
}

const Hooks* unroll_emulation_hooks() {
  static constexpr Hooks hooks{enqueue, [](const void* memory, std::size_t bytes) {
                                 const Call call;
                                 return state().device.contains(memory, bytes);
                               }};
  return &hooks;
}

const char* cudaGetErrorString(cudaError_t error) {
  return name_of(error).words;
}
const char* cudaGetErrorName(cudaError_t error) {
  return name_of(error).name;
}
cudaError_t cudaGetLastError() {
  const Call call;
  const cudaError_t error = result(last_error);
  last_error = cudaSuccess;
  return error;
}
cudaError_t cudaPeekAtLastError() {
  const Call call;
  return result(last_error);
}

cudaError_t cudaGetDeviceCount(int* count) {
  *count = device_count();
  return cudaSuccess;
}
cudaError_t cudaGetDevice(int* device) {
  *device = current_device;
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int device) {
  if (device < 0 || device >= device_count()) return result(cudaErrorInvalidDevice);
  current_device = device;
  return cudaSuccess;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  if (device < 0 || device >= device_count()) return result(cudaErrorInvalidDevice);
  *properties = {.name = "CUDA emulated on the CPU",
                 .totalGlobalMem = total_memory(),
                 .sharedMemPerBlock = kSharedBytes,
                 .sharedMemPerBlockOptin = kMostSharedBytes,
                 .warpSize = 32,
                 .maxThreadsPerBlock = 1024,
                 .maxThreadsPerMultiProcessor = 2048,
                 .multiProcessorCount = kProcessors,
                 .major = 9,
                 .minor = 0};
  return cudaSuccess;
}
cudaError_t cudaDeviceGetPCIBusId(char* id, int length, int device) {
  if (device < 0 || device >= device_count()) return result(cudaErrorInvalidDevice);
  std::snprintf(id, std::size_t(length), "0000:00:00.0");
  return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  cudaDeviceProp properties;
  const cudaError_t error = cudaGetDeviceProperties(&properties, device);
  if (error != cudaSuccess) return error;
  switch (attribute) {
    case cudaDevAttrMaxThreadsPerBlock:
      *value = properties.maxThreadsPerBlock;
      break;
    case cudaDevAttrMaxSharedMemoryPerBlock:
      *value = int(properties.sharedMemPerBlock);
      break;
    case cudaDevAttrMultiProcessorCount:
      *value = properties.multiProcessorCount;
      break;
    case cudaDevAttrMaxThreadsPerMultiProcessor:
      *value = properties.maxThreadsPerMultiProcessor;
      break;
    case cudaDevAttrComputeCapabilityMajor:
      *value = properties.major;
      break;
    case cudaDevAttrComputeCapabilityMinor:
      *value = properties.minor;
      break;
    case cudaDevAttrCooperativeLaunch:
      *value = 1;
      break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
      *value = int(properties.sharedMemPerBlockOptin);
      break;
  }
  return cudaSuccess;
}
cudaError_t cudaDriverGetVersion(int* version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}
cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void* kernel) {
  if (!kernel) return result(cudaErrorInvalidDeviceFunction);
  *attributes = {.maxThreadsPerBlock = 1024,
                 .numRegs = int(kThreadRegisters),
                 .binaryVersion = 90,
                 .ptxVersion = 90};
  return cudaSuccess;
}
cudaError_t cudaFuncSetAttribute(const void* kernel, cudaFuncAttribute attribute, int value) {
  const Call call;
  if (!kernel) return result(cudaErrorInvalidDeviceFunction);
  if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize || value < 0 ||
      std::size_t(value) > kMostSharedBytes)
    return result(cudaErrorInvalidValue);
  state().shared_memory[kernel] = std::size_t(value);
  return cudaSuccess;
}
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, const void* kernel,
                                                          int threads, std::size_t shared_bytes) {
  const Call call;
  if (!kernel) return result(cudaErrorInvalidDeviceFunction);
  *blocks = int(resident_blocks(kernel, std::uint64_t(std::max(threads, 0)), shared_bytes));
  return cudaSuccess;
}

cudaError_t cudaDeviceSynchronize() {
  const Call call;
  ++state().calls.device_synchronize;
  if (spoils_capture()) return result(cudaErrorStreamCaptureUnsupported);
  run_all();
  return result(cudaSuccess);
}

cudaError_t cudaMalloc(void** memory, std::size_t bytes) {
  const Call call;
  ++state().calls.malloc;
  return result(allocate(state().device, total_memory(), memory, bytes));
}
cudaError_t cudaFree(void* memory) {
  const Call call;
  ++state().calls.free;
  return result(release(state().device, memory));
}
cudaError_t cudaMallocHost(void** memory, std::size_t bytes) {
  const Call call;
  return result(allocate(state().pinned, SIZE_MAX, memory, bytes));
}
cudaError_t cudaFreeHost(void* memory) {
  const Call call;
  return result(release(state().pinned, memory));
}
cudaError_t cudaMemGetInfo(std::size_t* available, std::size_t* total) {
  const Call call;
  *total = total_memory();
  *available = *total - std::min(*total, state().device.used);
  return cudaSuccess;
}

cudaError_t cudaMemcpy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
  const Call call;
  if (spoils_capture()) return result(cudaErrorStreamCaptureUnsupported);
  CUstream_st& stream = *find(nullptr);
  const cudaError_t error = copy(to, from, bytes, kind, stream);
  stream.run_until(stream.queued);
  return result(error);
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t handle) {
  const Call call;
  const auto stream = find(handle);
  return result(stream ? copy(to, from, bytes, kind, *stream) : cudaErrorInvalidResourceHandle);
}
cudaError_t cudaMemset(void* memory, int value, std::size_t bytes) {
  const Call call;
  if (spoils_capture()) return result(cudaErrorStreamCaptureUnsupported);
  CUstream_st& stream = *find(nullptr);
  const cudaError_t error = set(memory, value, bytes, stream);
  stream.run_until(stream.queued);
  return result(error);
}
cudaError_t cudaMemsetAsync(void* memory, int value, std::size_t bytes, cudaStream_t handle) {
  const Call call;
  const auto stream = find(handle);
  return result(stream ? set(memory, value, bytes, *stream) : cudaErrorInvalidResourceHandle);
}
cudaError_t cudaMemset2DAsync(void* memory, std::size_t pitch, int value, std::size_t width,
                              std::size_t height, cudaStream_t handle) {
  const Call call;
  const auto stream = find(handle);
  if (!stream) return result(cudaErrorInvalidResourceHandle);
  if (width == 0 || height == 0) return cudaSuccess;
  if (pitch < width || !state().device.contains(memory, pitch * (height - 1) + width))
    return result(cudaErrorInvalidValue);
  return result(add(*stream, &Queued::clear, [=] {
    for (std::size_t row = 0; row < height; ++row)
      std::memset(static_cast<std::byte*>(memory) + row * pitch, value, width);
  }));
}

cudaError_t cudaStreamCreate(cudaStream_t* stream) {
  return cudaStreamCreateWithFlags(stream, cudaStreamDefault);
}
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  const Call call;
  const auto made = std::make_shared<CUstream_st>();
  state().streams[made.get()] = made;
  *stream = made.get();
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t handle) {
  const Call call;
  const auto stream = find(handle);
  if (!handle || !stream) return result(cudaErrorInvalidResourceHandle);
  stream->run_until(stream->queued);
  state().streams.erase(handle);
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t handle) {
  const Call call;
  ++state().calls.stream_synchronize;
  const auto stream = find(handle);
  if (!stream) return result(cudaErrorInvalidResourceHandle);
  if (spoils_capture(*stream)) return result(cudaErrorStreamCaptureUnsupported);
  stream->run_until(stream->queued);
  return result(cudaSuccess);
}
/// Polling must make progress: each query lets the stream do one more piece of work.
cudaError_t cudaStreamQuery(cudaStream_t handle) {
  const Call call;
  const auto stream = find(handle);
  if (!stream) return result(cudaErrorInvalidResourceHandle);
  if (spoils_capture(*stream)) return result(cudaErrorStreamCaptureUnsupported);
  if (stream->done == stream->queued) return cudaSuccess;
  stream->run_until(stream->done + 1);
  return result(cudaErrorNotReady);
}
cudaError_t cudaStreamWaitEvent(cudaStream_t handle, cudaEvent_t event, unsigned) {
  const Call call;
  const auto stream = find(handle);
  if (!stream || !event) return result(cudaErrorInvalidResourceHandle);
  if (event->captured) {
    const auto capture = event->capture.lock();
    if (!capture || capture->ended) return result(cudaErrorCapturedEvent);
    if (!stream->capture) {
      stream->capture = capture;
      stream->reached.clear();
    } else if (stream->capture != capture) {
      return result(cudaErrorStreamCaptureUnmatched);
    }
    for (const std::size_t node : event->reached)
      if (std::find(stream->reached.begin(), stream->reached.end(), node) == stream->reached.end())
        stream->reached.push_back(node);
    return cudaSuccess;
  }
  if (stream->capture) return result(cudaErrorStreamCaptureUnsupported);  // work outside the graph
  if (!event->stream) return cudaSuccess;
  ++state().calls.event_wait;
  return result(add(*stream, nullptr, [from = event->stream, position = event->position] {
    from->run_until(position);
  }));
}

cudaError_t cudaEventCreate(cudaEvent_t* event) {
  return cudaEventCreateWithFlags(event, cudaEventDefault);
}
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  *event = new CUevent_st{.timed = (flags & cudaEventDisableTiming) == 0};
  return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  if (!event) return result(cudaErrorInvalidResourceHandle);
  delete event;
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t handle) {
  const Call call;
  const auto stream = find(handle);
  if (!stream || !event) return result(cudaErrorInvalidResourceHandle);
  event->captured = stream->capture != nullptr;
  event->capture = stream->capture;
  event->reached = stream->reached;
  if (event->captured) return cudaSuccess;
  event->stream = stream;
  event->time = std::make_shared<Clock::time_point>();
  ++state().calls.event_record;
  const cudaError_t error = add(*stream, nullptr, [time = event->time] { *time = Clock::now(); });
  event->position = stream->queued;
  return result(error);
}
cudaError_t cudaEventQuery(cudaEvent_t event) {
  const Call call;
  if (!event) return result(cudaErrorInvalidResourceHandle);
  if (event->captured) return result(cudaErrorCapturedEvent);
  if (spoils_capture()) return result(cudaErrorStreamCaptureUnsupported);
  if (!event->stream || event->stream->done >= event->position) return cudaSuccess;
  event->stream->run_until(event->stream->done + 1);
  return result(cudaErrorNotReady);
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  const Call call;
  ++state().calls.event_synchronize;
  if (!event) return result(cudaErrorInvalidResourceHandle);
  if (event->captured) return result(cudaErrorCapturedEvent);
  if (spoils_capture()) return result(cudaErrorStreamCaptureUnsupported);
  if (event->stream) event->stream->run_until(event->position);
  return result(cudaSuccess);
}
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t from, cudaEvent_t to) {
  const Call call;
  for (const cudaEvent_t event : {from, to}) {
    if (!event || !event->timed || !event->stream) return result(cudaErrorInvalidResourceHandle);
    if (event->stream->done < event->position) return result(cudaErrorNotReady);
  }
  *milliseconds = std::chrono::duration<float, std::milli>(*to->time - *from->time).count();
  return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t handle, cudaStreamCaptureMode mode) {
  const Call call;
  const auto stream = find(handle);
  if (!stream) return result(cudaErrorInvalidResourceHandle);
  if (!handle || stream->capture) return result(cudaErrorStreamCaptureUnsupported);
  stream->capture = std::make_shared<CUgraph_st>();
  stream->capture->mode = mode;
  stream->capture->thread = std::this_thread::get_id();
  stream->began_capture = true;
  stream->reached.clear();
  return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t handle, cudaGraph_t* graph) {
  const Call call;
  *graph = nullptr;
  const auto stream = find(handle);
  if (!stream || !stream->capture) return result(cudaErrorInvalidValue);
  if (!stream->began_capture) return result(cudaErrorStreamCaptureUnmatched);
  const std::shared_ptr<CUgraph_st> captured = stream->capture;
  const std::vector<std::size_t> joined = stream->reached;
  captured->ended = true;
  stream->began_capture = false;
  for (const auto& [other_handle, other] : state().streams)
    if (other->capture == captured) other->capture = nullptr;
  if (captured->spoiled) return result(cudaErrorStreamCaptureInvalidated);
  for (std::size_t k = 0; k < captured->nodes.size(); ++k)
    if (!captured->nodes[k].has_successor &&
        std::find(joined.begin(), joined.end(), k) == joined.end())
      return result(cudaErrorStreamCaptureUnjoined);
  state().graphs[captured.get()] = captured;
  *graph = captured.get();
  return cudaSuccess;
}
cudaError_t cudaStreamIsCapturing(cudaStream_t handle, cudaStreamCaptureStatus* status) {
  const Call call;
  const auto stream = find(handle);
  if (!stream) return result(cudaErrorInvalidResourceHandle);
  *status = !stream->capture           ? cudaStreamCaptureStatusNone
            : stream->capture->spoiled ? cudaStreamCaptureStatusInvalidated
                                       : cudaStreamCaptureStatusActive;
  return cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* exec, cudaGraph_t graph, unsigned long long) {
  const Call call;
  const auto found = state().graphs.find(graph);
  if (found == state().graphs.end()) return result(cudaErrorInvalidValue);
  *exec = new CUgraphExec_st{found->second};
  return cudaSuccess;
}
cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t* nodes, std::size_t* count) {
  if (!graph || nodes) return result(cudaErrorInvalidValue);
  *count = graph->nodes.size();
  return cudaSuccess;
}
cudaError_t cudaGraphUpload(cudaGraphExec_t exec, cudaStream_t) {
  return result(exec ? cudaSuccess : cudaErrorInvalidValue);
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t handle) {
  const Call call;
  const auto stream = find_current(handle);
  if (!stream) return result(cudaErrorInvalidResourceHandle);
  if (!exec) return result(cudaErrorInvalidValue);
  const char* const last = std::getenv("UNROLL_EMULATED_FAILURE");
  if (++state().calls.graph_launch == (last ? std::strtoll(last, nullptr, 10) : 0))
    state().lost = true;
  for (const CUgraph_st::Node& node : exec->graph->nodes) ++(state().calls.replayed.*node.kind);
  return result(add(*stream, nullptr, [graph = exec->graph] { run_graph(*graph); }));
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  const Call call;
  return result(state().graphs.erase(graph) == 1 ? cudaSuccess : cudaErrorInvalidValue);
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
  const Call call;
  delete exec;
  return cudaSuccess;
}
