#!/usr/bin/env bash
# Times a whole training step in Unroll and in PyTorch, in turn, on this machine's CPU or GPU, and
# prints the ratio. Builds what it needs; PyTorch is the caller's: PYTHON names an interpreter that has
# torch (default python3).
#   scripts/compare_pytorch.sh [--rounds N] [--csv FILE] [--threads N] [--build DIR]
#                              [flags of pytorch_lm.py: --device cuda --precision bf16 --hidden 650 ...]
# --csv appends. --build takes lm_step from a folder that is built already. Exit status 3: there is no
# such device, or no PyTorch.
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

rounds=5 csv="" threads=2 built="" flags=()
while [ $# -gt 0 ]; do
  case "$1" in
    --rounds) rounds=$2; shift 2 ;;
    --csv) csv=$2; shift 2 ;;
    --threads) threads=$2; shift 2 ;;
    --build) built=$2; shift 2 ;;
    *) flags+=("$1"); shift ;;
  esac
done
flags+=(--threads "$threads")
python=${PYTHON:-python3}
"$python" -c 'import torch' 2>/dev/null || {
  echo "not run: $python has no torch: pip install torch, or set PYTHON to an interpreter that has it" >&2
  exit 3
}

if [ -z "$built" ]; then
  step "Set-up and build"
  built=build
  scripts/install_dependencies.sh --tests
  choose_compiler || die "no g++ of version $minimum_gcc or newer"
  cmake --preset release -DUNROLL_BUILD_TESTS=ON >/dev/null
  targets=(lm_step)
  case " ${flags[*]} " in *" cuda "*) targets+=(unroll_cuda) ;; esac
  cmake --build "$built" --parallel "$(jobs)" --target "${targets[@]}"
fi
bench=$built/bin/lm_step

step "Measuring: $rounds rounds of each"

# Both get the threads asked for and no variable that ties a library to other kernels.
unset OPENBLAS_CORETYPE OPENBLAS_L2_SIZE OMP_WAIT_POLICY
export OMP_NUM_THREADS=$threads

rows=$(mktemp)
trap 'rm -f "$rows"' EXIT
describe_machine "$built" >"$rows"
for ((round = 1; round <= rounds; ++round)); do
  header=()
  [ "$round" -gt 1 ] || header=(--header)
  "$bench" "${header[@]}" "${flags[@]}" >>"$rows"
  "$python" benchmarks/pytorch_lm.py "${flags[@]}" >>"$rows"
done
[ -z "$csv" ] || cat "$rows" >>"$csv"
cat "$rows"
awk -F, '
  /^program/ { for (i = 1; i <= NF; i++) column[$i] = i }
  /^(unroll|pytorch)/ {
    side = $1 ~ /^unroll/ ? "unroll" : "pytorch"
    m[side, ++n[side]] = $column["median_ms"]
    if (!(side in best) || $column["min_ms"] < best[side]) best[side] = $column["min_ms"]
    mib[side] = $column["peak_mib"]
    if ($column["floor_ms"] != "") floor = $column["floor_ms"]
  }
  function median(side,   i, j, t) {
    for (i = 1; i <= n[side]; i++) for (j = i + 1; j <= n[side]; j++)
      if (m[side, j] < m[side, i]) { t = m[side, i]; m[side, i] = m[side, j]; m[side, j] = t }
    return m[side, int((n[side] + 1) / 2)] }
  END {
    u = median("unroll"); p = median("pytorch")
    printf "\nmedian of %d rounds: unroll %.2f ms [%.2f to %.2f], pytorch %.2f ms [%.2f to %.2f]: %.2f times as fast\n",
      n["unroll"], u, m["unroll", 1], m["unroll", n["unroll"]], p, m["pytorch", 1], m["pytorch", n["pytorch"]], p / u
    printf "fastest single step: unroll %.2f ms, pytorch %.2f ms: %.2f times as fast; floor %.2f ms\n",
      best["unroll"], best["pytorch"], best["pytorch"] / best["unroll"], floor
    if (mib["pytorch"] != "")
      printf "peak memory: unroll %.0f MiB, pytorch %.0f MiB\n", mib["unroll"], mib["pytorch"] }' "$rows"
