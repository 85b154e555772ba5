/// Work as a CUDA graph: recorded once, then started with one call.
#pragma once

#include <cuda_runtime_api.h>

#include <functional>
#include <memory>

#include "unroll/backend.h"

namespace unroll::gpu {

struct GraphDeleter {
  void operator()(cudaGraphExec_t graph) const noexcept;
};
using Graph = std::unique_ptr<CUgraphExec_st, GraphDeleter>;

/// Records what `work` queues on `stream`, without running it.
Graph capture(cudaStream_t stream, const std::function<void()>& work);

/// Belongs to the device that is current when it is made. The first run calls `work` directly,
/// because libraries load their kernels then, which a capture forbids. The second run records it,
/// and all later runs start that graph.
class GraphReplay final : public Replay {
 public:
  GraphReplay(cudaStream_t stream, std::function<void()> work);
  void run() override;

 private:
  int device_ = 0;
  cudaStream_t stream_;
  std::function<void()> work_;
  bool warm_ = false;
  Graph graph_;
};

}  // namespace unroll::gpu
