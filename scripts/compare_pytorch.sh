#!/usr/bin/env bash
# Times recurrent stacks (task rnn) and whole training steps of language models (task lm) in Unroll and in
# PyTorch, in turn, on this machine's CPU or GPU, and prints the ratios. Builds what it needs; PyTorch is
# the caller's: PYTHON names an interpreter that has torch (default python3).
#   scripts/compare_pytorch.sh [--device cpu|cuda] [--task rnn|lm|both] [--shapes NAME|T,B,I,H,L ...]
#     [--cell NAME ...] [--precision fp32|tf32|bf16 ...] [--rounds N] [--samples N] [--threads N]
#     [--csv FILE] [--build DIR] [--vocabulary V] [--dropout P] [--compile] [--rnn-algorithm NAME]
# --csv appends. --build takes the programs from a folder that is built already. The last four are of
# language models only, --compile of PyTorch's and --rnn-algorithm of ours. What fails leaves the others be.
# Exit status 1 if something failed, 3 if there is no such device, or no PyTorch.
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

rounds=5 csv="" threads=2 built="" device=cpu task=both samples=()
shapes=() cells=() precisions=() lm_flags=() compile=() algorithm=()
while [ $# -gt 0 ]; do
  flag=$1
  shift
  case "$flag" in
    --compile) compile=(--compile) ;;
    --shapes | --cell | --precision)
      while [ $# -gt 0 ] && [[ $1 != --* ]]; do
        case "$flag" in
          --shapes) shapes+=("$1") ;;
          --cell) cells+=("$1") ;;
          --precision) precisions+=("$1") ;;
        esac
        shift
      done
      ;;
    *)
      [ $# -gt 0 ] || die "$flag: expected a value"
      case "$flag" in
        --device) device=$1 ;;
        --task) task=$1 ;;
        --rounds) rounds=$1 ;;
        --samples) samples=(--samples "$1") ;;
        --threads) threads=$1 ;;
        --csv) csv=$1 ;;
        --build) built=$1 ;;
        --rnn-algorithm) algorithm=("$flag" "$1") ;;
        --vocabulary | --dropout) lm_flags+=("$flag" "$1") ;;
        *) die "$flag: no such flag; see the head of $0" ;;
      esac
      shift
      ;;
  esac
done
case "$task" in
  rnn | lm) tasks=("$task") ;;
  both) tasks=(rnn lm) ;;
  *) die "--task: got $task, expected rnn, lm or both" ;;
esac
[ ${#precisions[@]} -gt 0 ] || precisions=(fp32)
if [ ${#shapes[@]} -eq 0 ]; then
  shapes=(wlm200 wlm200gru wlm650)
  [ "$device" != cuda ] || shapes+=(wlm1500)
fi

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
  cmake --preset dev >/dev/null
  targets=(lm_step unroll_cli)
  [ "$device" != cuda ] || targets+=(unroll_cuda)
  cmake --build "$built" --parallel "$(jobs)" --target "${targets[@]}"
fi

# Both get the threads asked for and no variable that ties a library to other kernels.
unset OPENBLAS_CORETYPE OPENBLAS_L2_SIZE OMP_WAIT_POLICY
export OMP_NUM_THREADS=$threads PYTHONDONTWRITEBYTECODE=1

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
rows=$work/rows

compare() { # compare TASK PRECISION NAME=CELL,T,B,I,H1/H2: both programs once
  local name=${3%%=*} cell=${3#*=} ours=() status=0
  local flags=(--device "$device" --precision "$2" --threads "$threads" "${samples[@]}")
  [[ ! $name =~ ^[0-9]+(x[0-9]+){4}$ ]] || name=${name//x/,} # not of the table: T,B,I,H,L
  ours=("${flags[@]}" --shapes "$name" --cell "${cell%%,*}")
  if [ "$1" = rnn ]; then
    : >"$work/rnn"
    "$built/bin/unroll" bench rnn --direction both "${ours[@]}" --csv "$work/rnn" >&2 || status=1
    cat "$work/rnn"
    "$python" benchmarks/pytorch_rnn.py "${flags[@]}" --shape "$3" || status=1
  else
    "$built/bin/lm_step" "${ours[@]}" "${lm_flags[@]}" "${algorithm[@]}" || status=1
    "$python" benchmarks/pytorch_lm.py "${flags[@]}" "${lm_flags[@]}" "${compile[@]}" --shape "$3" || status=1
  fi
  return $status
}

# Says so, with the status for it, if there is no such device.
"$built/bin/lm_step" --device "$device" --shapes 1,1,1,1,1 --vocabulary 2 --samples 1 --rnn-algorithm stepwise >/dev/null

chosen=(--shapes "${shapes[@]}")
[ ${#cells[@]} -eq 0 ] || chosen+=(--cell "${cells[@]}")
listed=$("$built/bin/lm_step" --list "${chosen[@]}")
mapfile -t stacks <<<"$listed"
keep() { tee -a "$rows" >>"${csv:-/dev/null}"; } # at once: a run that ends early leaves its rows

step "Measuring: $rounds rounds of each"
load=$(cut -d ' ' -f 1 /proc/loadavg)
{
  describe_machine "$built"
  echo "# load average before: $load"
} | keep
# Where processors are shared, a program that spins at barriers loses more, and a ratio would show only that.
if [ "$device" = cpu ] && awk -v load="$load" 'BEGIN { exit !(load > 0.5) }'; then
  echo "the machine is busy, load average $load: times and ratios mean little" >&2
fi
failed=""
for ((round = 1; round <= rounds; ++round)); do
  for stack in "${stacks[@]}"; do
    for precision in "${precisions[@]}"; do
      for one in "${tasks[@]}"; do
        echo "round $round: $one $stack $precision" >&2
        compare "$one" "$precision" "$stack" | keep || failed="$failed; $one $stack $precision"
      done
    done
  done
done
"$python" scripts/ratio_table.py "$rows"
[ -z "$failed" ] || die "failed: ${failed#; }"
