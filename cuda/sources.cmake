# What libunroll_cuda.so is made of: by nvcc in cuda/, by the C++ compiler in tests/cuda_emulation.

set(UNROLL_CUDA_SOURCES
  cuda/backend.cpp
  cuda/clocks.cpp
  cuda/cudnn.cpp
  cuda/cudnn_kernels.cu
  cuda/cudnn_stack.cpp
  cuda/cudnn_weights.cpp
  cuda/device.cpp
  cuda/dropout.cu
  cuda/elementwise.cu
  cuda/gates.cu
  cuda/gemm.cpp
  cuda/graph.cpp
  cuda/grid_watcher.cpp
  cuda/layout.cu
  cuda/module.cpp
  cuda/optimizer.cu
  cuda/packed_matrix.cpp
  cuda/persistent.cu
  cuda/persistent_bf16.cu
  cuda/persistent_fp32.cu
  cuda/persistent_shape.cpp
  cuda/persistent_tf32.cu
  cuda/rates.cu
  cuda/recurrent.cpp
  cuda/recurrent_choice.cpp
  cuda/recurrent_cudnn.cpp
  cuda/recurrent_kernels.cu
  cuda/recurrent_weights.cpp
  cuda/reduce.cu
  cuda/rows.cu
  cuda/runtime.cpp
  cuda/sample.cu
  cuda/softmax.cu
  cuda/softmax_cross_entropy.cpp
  cuda/softmax_rows.cu
  cuda/sort.cu
  cuda/staging.cpp
  cuda/variable_copies.cpp
  # The engine's types, for backend.h names them and a module sees nothing of the program's code.
  host/graph/tensor.cpp
)
list(TRANSFORM UNROLL_CUDA_SOURCES PREPEND ${PROJECT_SOURCE_DIR}/)
