# The sources of libunroll_cuda.so. cuda/ compiles them with nvcc, tests/cuda_emulation with the C++
# compiler.

set(UNROLL_CUDA_SOURCES
  cuda/backend.cpp
  cuda/cudnn/convolution.cpp
  cuda/cudnn/cudnn.cpp
  cuda/cudnn/cudnn_kernels.cu
  cuda/cudnn/cudnn_stack.cpp
  cuda/cudnn/cudnn_weights.cpp
  cuda/cudnn/recurrent_cudnn.cpp
  cuda/device/clocks.cpp
  cuda/device/device.cpp
  cuda/device/device_rates.cu
  cuda/device/gemm.cpp
  cuda/device/graph.cpp
  cuda/device/grid_watcher.cpp
  cuda/device/packed_matrix.cpp
  cuda/device/padding.cu
  cuda/device/runtime.cpp
  cuda/device/staging.cpp
  cuda/device/variable_copies.cpp
  cuda/module.cpp
  cuda/ops/crf.cu
  cuda/ops/crf_decode.cu
  cuda/ops/crf_gradient.cu
  cuda/ops/cumulative_sum.cu
  cuda/ops/dropout.cu
  cuda/ops/elementwise.cu
  cuda/ops/layout.cu
  cuda/ops/matmul.cpp
  cuda/ops/optimizer.cu
  cuda/ops/reduce.cu
  cuda/ops/rows.cu
  cuda/ops/sample.cu
  cuda/ops/shuffle.cu
  cuda/ops/softmax.cu
  cuda/ops/softmax_cross_entropy.cpp
  cuda/ops/softmax_rows.cu
  cuda/ops/sort.cu
  cuda/ops/windows.cu
  cuda/recurrent/gate_arguments.cpp
  cuda/recurrent/gates.cu
  cuda/recurrent/layer_norm.cu
  cuda/recurrent/persistent.cu
  cuda/recurrent/persistent_bf16.cu
  cuda/recurrent/persistent_fp32.cu
  cuda/recurrent/persistent_schedule.cpp
  cuda/recurrent/persistent_shape.cpp
  cuda/recurrent/persistent_tf32.cu
  cuda/recurrent/projection.cu
  cuda/recurrent/recurrent.cpp
  cuda/recurrent/recurrent_kernels.cu
  cuda/recurrent/recurrent_weights.cpp
  cuda/recurrent/stack_buffers.cpp
  cuda/recurrent/stack_products.cpp
  cuda/recurrent/stepwise.cpp
  cuda/recurrent_choices.cpp
  cuda/recurrent_planner.cpp
  cuda/recurrent_trial.cpp
  host/graph/recurrent_algorithm.cpp
)
set(UNROLL_CUDA_LIBRARY_SOURCES  # what a library of CUDA computes: not in the emulation
  cuda/ops/linear_algebra.cu
)
list(TRANSFORM UNROLL_CUDA_LIBRARY_SOURCES PREPEND ${PROJECT_SOURCE_DIR}/)
list(TRANSFORM UNROLL_CUDA_SOURCES PREPEND ${PROJECT_SOURCE_DIR}/)
# Each is compiled by itself also in a unity build: they use the same short names.
set(UNROLL_CUDA_KERNELS ${UNROLL_CUDA_SOURCES} ${UNROLL_CUDA_LIBRARY_SOURCES})
list(FILTER UNROLL_CUDA_KERNELS INCLUDE REGEX "\\.cu$")
