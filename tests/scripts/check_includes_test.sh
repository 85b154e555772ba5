#!/usr/bin/env bash
# Plants violations, one at a time, in a copy of the sources: scripts/check_includes.sh must name the
# file of each, and must not object to what is allowed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
for folder in include host cuda tests benchmarks; do
  if [ -d "$folder" ]; then cp -r "$folder" "$copy"; fi
done
failures=0

plant() { # plant file line: prints what the check says, without its last line if it passes
  mkdir -p "$(dirname "$copy/$1")"
  printf '// planted\n%s\n' "$2" >"$copy/$1"
  scripts/check_includes.sh "$copy" || true
  rm "$copy/$1"
}

rejects() {
  if ! plant "$1" "$2" | grep -qF "$1:2:"; then
    echo "not caught: $2 in $1"
    failures=$((failures + 1))
  fi
}

accepts() {
  local said
  said=$(plant "$1" "$2" | grep -F "$1:" || true)
  if [ -n "$said" ]; then
    echo "wrongly caught: $2 in $1: $said"
    failures=$((failures + 1))
  fi
}

scripts/check_includes.sh "$copy"

rejects include/unroll/planted.h '#include <cuda_runtime.h>'
rejects include/unroll/planted.h '#include "host/graph/plan.h"'
rejects include/unroll/planted.h '#include <fmt/format.h>'
rejects include/unroll/planted.h '#include "unroll/cuda_module.h"'
rejects include/unroll/planted.h '#include "unroll/../../host/graph/plan.h"'
rejects include/unroll/cells/planted.h '#include "unroll/tensor.h"'
rejects include/unroll/cells/planted.h '#include <vector>'
rejects host/graph/planted.cpp '#include "host/cpu/gemm.h"'
rejects host/graph/planted.cpp '#include <host/cpu/gemm.h>'
rejects host/graph/planted.cpp '#include "host/base/safetensors.h"'
rejects host/graph/planted.cpp '#include "plan.h"'
rejects host/graph/planted.cpp '#include <nlohmann/json.hpp>'
rejects host/ops/planted.cpp '#include "host/cpu/backend.h"'
rejects host/ops/planted.cpp '#include "cuda/device/runtime.h"'
rejects host/ops/planted.cpp '  #  include   <cublas_v2.h>'
rejects host/ops/planted.cpp '#if __has_include(<cuda_runtime.h>)'
rejects host/ops/planted.cpp '#include SOME_MACRO'
rejects host/cpu/planted.cpp '#include "unroll/graph.h"'
rejects host/cpu/planted.cpp '#include "host/graph/plan.h"'
rejects host/cpu/planted.cpp '#include "cuda/device/runtime.h"'
rejects host/cpu/planted.cpp '#include <cuda/std/span>'
rejects host/data/planted.cpp '#include "host/base/safetensors.h"'
rejects host/data/planted.cpp '#include "host/graph/plan.h"'
rejects host/data/planted.cpp '#include "host/models/language_model.h"'
rejects host/models/planted.cpp '#include "host/base/safetensors.h"'
rejects host/models/planted.cpp '#include "host/ops/elementwise.h"'
rejects host/train/planted.cpp '#include "host/cli/main.h"'
rejects host/train/planted.cpp '#include "host/cpu/gemm.h"'
rejects host/train/planted.cpp '#include "unroll/cuda_module.h"'
rejects host/cli/planted.cpp '#include "host/graph/plan.h"'
rejects host/cli/planted.cpp '#include <cudnn.h>'
rejects host/planted.cpp '#include "host/graph/plan.h"'
rejects host/newcomer/planted.cpp '#include <vector>'
rejects cuda/planted.cu '#include "host/graph/plan.h"'
rejects cuda/planted.cu '#include "unroll/session.h"'
rejects tests/planted_test.cpp '#include <cuda_runtime_api.h>'

accepts include/unroll/planted.h '#include "unroll/cells/lstm.h"'
accepts include/unroll/cells/planted.h '#include <cmath>'
accepts host/ops/planted.cpp '#include "host/graph/operation.h"  // not "host/cpu/gemm.h"'
accepts host/ops/planted.cpp '// #include "host/cpu/gemm.h"'
accepts host/cpu/planted.cpp '#include <immintrin.h>'
accepts host/cpu/planted.cpp '#include "unroll/cells/gru.h"'
accepts host/models/planted.cpp '#include "host/data/batches.h"'
accepts host/data/planted.cpp '#include <sys/mman.h>'
accepts host/cli/planted.cpp '#include "host/models/planted.h"'
accepts cuda/planted.cu '#include <cub/block/block_reduce.cuh>'
accepts cuda/planted.cu '#include "cuda/device/runtime.h"'
accepts tests/planted_test.cpp '#include "host/cpu/gemm.h"'

[ "$failures" -eq 0 ] && echo "Every planted violation was caught."
