#!/usr/bin/env bash
# Plants violations in a copy of the sources: scripts/check_includes.sh must name file and line of
# each, and must accept the lines that are allowed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
for folder in include host cuda examples tests benchmarks; do
  if [ -d "$folder" ]; then cp -r "$folder" "$copy"; fi
done
declare -A rejected accepted  # the lines, by their places

plant() { # plant file line: sets `place` to where the line is
  mkdir -p "$(dirname "$copy/$1")"
  [ -e "$copy/$1" ] || echo '// planted' >"$copy/$1"
  printf '%s\n' "$2" >>"$copy/$1"
  place=$1:$(wc -l <"$copy/$1")
}

rejects() {
  plant "$1" "$2"
  rejected[$place]=$2
}

accepts() {
  plant "$1" "$2"
  accepted[$place]=$2
}

scripts/check_includes.sh "$copy"

# What is written in one of these folders is refused in the other.
refuses() { # refuses folder header...
  local folder=$1 header
  shift
  for header in "$@"; do rejects "$folder/planted.cpp" "#include \"$header\""; done
}

refuses include/unroll host/graph/plan.h unroll/backend.h unroll/kernels/rows.h unroll/cuda_module.h \
  unroll/../../host/graph/plan.h
refuses include/unroll/cells unroll/tensor.h unroll/math/philox.h
refuses include/unroll/math unroll/tensor.h unroll/cells/lstm.h
refuses include/unroll/kernels unroll/backend.h unroll/graph.h unroll/device.h host/cpu/gemm.h
refuses host host/graph/plan.h unroll/session.h
refuses host/base host/graph/plan.h host/data/batches.h unroll/graph.h
refuses host/graph host/ops/elementwise.h host/cpu/gemm.h host/data/batches.h plan.h \
  unroll/cuda_module.h
refuses host/ops host/cpu/gemm.h host/base/file.h cuda/device/runtime.h
refuses host/cpu host/base/file.h host/ops/rows.h unroll/graph.h cuda/device/runtime.h
refuses host/lapack host/base/file.h host/ops/rows.h unroll/graph.h cuda/device/runtime.h
refuses host/data host/models/language_model.h host/graph/plan.h host/train/trainer.h unroll/backend.h unroll/kernels/loss.h
refuses host/models host/train/trainer.h host/ops/elementwise.h
refuses host/infer host/train/trainer.h host/cli/output.h host/pages/chart.h host/graph/plan.h
refuses host/models host/infer/score.h
refuses host/infer host/serve/api.h
refuses host/serve host/train/trainer.h host/cli/output.h host/bench/shapes.h host/graph/plan.h unroll/backend.h
refuses host/train host/infer/score.h host/pages/chart.h host/bench/shapes.h host/cli/output.h host/cpu/gemm.h \
  unroll/cuda_module.h
refuses host/pages unroll/backend.h host/train/trainer.h host/bench/shapes.h host/cli/output.h
refuses host/bench host/train/trainer.h host/data/batches.h host/cli/output.h
refuses host/cli host/graph/plan.h host/cpu/gemm.h
refuses host/newcomer host/base/file.h
refuses cuda host/graph/plan.h unroll/session.h unroll/graph.h
refuses cuda/kernels cuda/device/device.h cuda/ops/rows.h unroll/session.h
refuses cuda/device cuda/ops/rows.h cuda/recurrent/gates.h cuda/backend.h
refuses cuda/ops cuda/recurrent/gates.h cuda/cudnn/cudnn.h
refuses cuda/recurrent cuda/cudnn/cudnn.h cuda/ops/rows.h cuda/recurrent_planner.h
refuses cuda/cudnn cuda/recurrent_planner.h cuda/ops/rows.h
refuses cuda/newcomer cuda/device/device.h
refuses examples unroll/backend.h unroll/kernels/tensor.h unroll/loop_nest.h unroll/math/philox.h host/base/file.h

rejects include/unroll/planted.h '#include <cuda_runtime.h>'
rejects include/unroll/planted.h '#include <fmt/format.h>'
rejects include/unroll/cells/planted.h '#include <vector>'
rejects include/unroll/math/planted.h '#include <vector>'
rejects host/graph/planted.cpp '#include <host/cpu/gemm.h>'
rejects host/graph/planted.cpp '#include <nlohmann/json.hpp>'
rejects host/ops/planted.cpp '#include <fmt/format.h>'
rejects host/ops/planted.cpp '  #  include   <cublas_v2.h>'
rejects host/ops/planted.cpp '#if __has_include(<cuda_runtime.h>)'
rejects host/ops/planted.cpp '#include SOME_MACRO'
rejects host/cpu/planted.cpp '#include <cuda/std/span>'
rejects host/cpu/planted.cpp '#include <fmt/format.h>'
rejects host/base/planted.cpp '#include <nlohmann/json.hpp>'
rejects cuda/device/planted.cpp '#include <fmt/format.h>'
rejects cuda/kernels/planted.cuh '#include <cuda/ops/rows.h>'
rejects host/graph/planted.inc '#include "host/cpu/gemm.h"'
rejects host/cli/planted.cpp '#include <cudnn.h>'
rejects examples/planted.cpp '#include <fmt/format.h>'
rejects host/serve/planted.cpp '#include <boost/asio/ip/tcp.hpp>'
rejects tests/planted_test.cpp '#include <cuda_runtime_api.h>'

rejects host/train/planted.cpp 'throw std::runtime_error("try a lower rate (--lr)");'
rejects host/train/planted.cpp 'throw std::runtime_error("set `--lr` lower");'
rejects host/data/planted.h '/// --batch-size has the last word.'
rejects cuda/planted.cu 'std::fprintf(stderr, "%s", text);'
rejects host/bench/planted.cpp 'std::cout << text;'

accepts host/cli/planted.cpp 'std::cout << "--lr";'
accepts host/pages/planted_style.h '"a { color: var(--ink) }"'
accepts host/train/planted.cpp 'if (--count == 0) return;'
accepts include/unroll/planted.h '#include "unroll/cells/lstm.h"'
accepts include/unroll/cells/planted.h '#include <cmath>'
accepts host/ops/planted.cpp '#include "host/graph/operation.h"  // not "host/cpu/gemm.h"'
accepts host/ops/planted.cpp '// #include "host/cpu/gemm.h"'
accepts host/ops/planted.cpp '#include "unroll/backend.h"'
accepts include/unroll/kernels/planted.h '#include "unroll/kernels/tensor.h"'
accepts cuda/ops/planted.h '#include "unroll/kernels/rows.h"'
accepts host/cpu/planted.cpp '#include <immintrin.h>'
accepts host/cpu/planted.cpp '#include "host/base/module.h"'
accepts host/lapack/planted.cpp '#include "unroll/kernels/linear_algebra.h"'
accepts host/cpu/planted.cpp '#include "unroll/cells/gru.h"'
accepts host/models/planted.cpp '#include "host/data/batches.h"'
accepts host/data/planted.cpp '#include <sys/mman.h>'
accepts host/cli/planted.cpp '#include "host/models/planted.h"'
accepts host/base/hash.h '#include <xxhash.h>'
accepts cuda/kernels/planted.cuh '#include <cuda/atomic>'
accepts cuda/planted.cu '#include <cub/block/block_reduce.cuh>'
accepts cuda/planted.cu '#include "cuda/recurrent/gates.h"'
accepts cuda/cudnn/planted.cpp '#include "cuda/recurrent/recurrent_weights.h"'
accepts examples/planted.cpp '#include "unroll/ops.h"'
accepts tests/planted_test.cpp '#include "host/cpu/gemm.h"'

failures=0
said=$(scripts/check_includes.sh "$copy") && { echo "the check has passed"; failures=1; }
for place in "${!rejected[@]}"; do
  grep -qF "$place:" <<<"$said" || { echo "not caught: ${rejected[$place]} in $place"; failures=1; }
done
for place in "${!accepted[@]}"; do
  ! grep -F "$place:" <<<"$said" || { echo "wrongly caught: ${accepted[$place]}"; failures=1; }
done
[ "$failures" -eq 0 ] && echo "Every one of ${#rejected[@]} planted violations was caught."
