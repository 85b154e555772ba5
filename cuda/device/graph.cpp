#include "cuda/device/graph.h"

#include <utility>

#include "cuda/device/runtime.h"

namespace unroll::gpu {

void GraphDeleter::operator()(cudaGraphExec_t graph) const noexcept {
  report(cudaGraphExecDestroy(graph), "cudaGraphExecDestroy");
}

Graph capture(cudaStream_t stream, const std::function<void()>& work) {
  UNROLL_CUDA_CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
  cudaGraph_t recorded = nullptr;
  try {
    work();
  } catch (...) {
    // The stream must leave capture mode, or nothing else works on it.
    if (cudaStreamEndCapture(stream, &recorded) != cudaSuccess)
      forget_error();  // the cause is already known
    else if (recorded)
      report(cudaGraphDestroy(recorded), "cudaGraphDestroy");
    throw;
  }
  UNROLL_CUDA_CHECK(cudaStreamEndCapture(stream, &recorded));
  cudaGraphExec_t executable = nullptr;
  const cudaError_t status = cudaGraphInstantiate(&executable, recorded, 0);
  report(cudaGraphDestroy(recorded), "cudaGraphDestroy");
  UNROLL_CUDA_CHECK(status);
  return Graph(executable);
}

GraphReplay::GraphReplay(cudaStream_t stream, std::function<void()> work)
    : stream_(stream), work_(std::move(work)) {
  UNROLL_CUDA_CHECK(cudaGetDevice(&device_));
}

void GraphReplay::run() {
  UNROLL_CUDA_CHECK(cudaSetDevice(device_));
  if (!warm_) {
    work_();
    warm_ = true;
    return;
  }
  if (!graph_) graph_ = capture(stream_, work_);
  UNROLL_CUDA_CHECK(cudaGraphLaunch(graph_.get(), stream_));
}

}  // namespace unroll::gpu
