#!/usr/bin/env bash
# Times a whole training step in Unroll and in PyTorch, in turn, on this machine's CPU, and prints the
# ratio. Builds what it needs; PyTorch is the caller's: PYTHON names an interpreter that has torch
# (default python3).
#   scripts/compare_pytorch.sh [--rounds N] [--csv FILE] [--threads N] [flags of pytorch_lm.py]
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

rounds=5 csv="" threads=2 flags=()
while [ $# -gt 0 ]; do
  case "$1" in
    --rounds) rounds=$2; shift 2 ;;
    --csv) csv=$2; shift 2 ;;
    --threads) threads=$2; shift 2 ;;
    *) flags+=("$1"); shift ;;
  esac
done
flags+=(--threads "$threads")
python=${PYTHON:-python3}
bench=build/bin/lm_step
"$python" -c 'import torch' 2>/dev/null ||
  die "$python has no torch: pip install torch, or set PYTHON to an interpreter that has it"

step "Set-up and build"
scripts/install_dependencies.sh --tests
choose_compiler || die "no g++ of version $minimum_gcc or newer"
cmake --preset release -DUNROLL_CUDA=OFF -DUNROLL_BUILD_TESTS=ON >/dev/null
cmake --build build --parallel "$(jobs)" --target lm_step

step "Measuring: $rounds rounds of each"

# Both get the threads asked for and no variable that ties a library to other kernels.
unset OPENBLAS_CORETYPE OPENBLAS_L2_SIZE OMP_WAIT_POLICY
export OMP_NUM_THREADS=$threads

rows=$(mktemp)
trap 'rm -f "$rows"' EXIT
{
  echo "# $(grep -m1 'model name' /proc/cpuinfo | cut -d: -f2 | sed 's/^ //'), $(nproc) processors, commit $(git rev-parse --short HEAD 2>/dev/null || echo unknown)"
  echo "program,cell,layers,V,H,B,T,threads,median_ms,min_ms,max_ms,tokens_per_s,floor_ms"
} >"$rows"
for ((round = 1; round <= rounds; ++round)); do
  "$bench" "${flags[@]}" >>"$rows"
  "$python" benchmarks/pytorch_lm.py "${flags[@]}" >>"$rows"
done
[ -z "$csv" ] || cp "$rows" "$csv"
cat "$rows"
awk -F, '
  /^(unroll|pytorch)/ { side = $1 ~ /^unroll/ ? "unroll" : "pytorch"; n[side]++; m[side, n[side]] = $9
                        if (!(side in best) || $10 < best[side]) best[side] = $10; if ($13 != "") floor = $13 }
  function median(side,   i, j, t) {
    for (i = 1; i <= n[side]; i++) for (j = i + 1; j <= n[side]; j++)
      if (m[side, j] < m[side, i]) { t = m[side, i]; m[side, i] = m[side, j]; m[side, j] = t }
    return m[side, int((n[side] + 1) / 2)] }
  END {
    u = median("unroll"); p = median("pytorch")
    printf "\nmedian of %d rounds: unroll %.2f ms [%.2f to %.2f], pytorch %.2f ms [%.2f to %.2f]: %.2f times as fast\n",
      n["unroll"], u, m["unroll", 1], m["unroll", n["unroll"]], p, m["pytorch", 1], m["pytorch", n["pytorch"]], p / u
    printf "fastest single step: unroll %.2f ms, pytorch %.2f ms: %.2f times as fast; floor %.2f ms\n",
      best["unroll"], best["pytorch"], best["pytorch"] / best["unroll"], floor }' "$rows"
