# What libunroll_cuda.so is made of: by nvcc in cuda/, by the C++ compiler in tests/cuda_emulation.

set(UNROLL_CUDA_SOURCES
  cuda/module.cpp
  cuda/runtime.cpp
  # The engine's types, for backend.h names them and a module sees nothing of the program's code.
  host/graph/tensor.cpp
)
list(TRANSFORM UNROLL_CUDA_SOURCES PREPEND ${PROJECT_SOURCE_DIR}/)
