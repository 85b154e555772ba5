#!/usr/bin/env bash
# Everything that only a GPU can show, as one plan in the order of its value, for one call of nine minutes:
# what is there; each RNN algorithm by itself; the tests; whole training steps beside PyTorch; the
# recurrent node beside cuDNN; sanitizers; runs that must agree bit for bit; training, with what is left.
#   scripts/gpu_validate.sh OUT_DIR [--build DIR] [--seconds N] [--small] [--resume-plan]
# Every step has a limit of its own and needs no other: what fails, hangs or breaks the device costs one
# line. --seconds: for all together (default 535). --resume-plan goes on where the last call on this
# machine ended: first what there was no time for, then what failed; without it the plan begins anew.
# --build: a folder that is built or packed already (default build-gpu/pack, of scripts/gpu_pack.sh, if
# it runs here; else build/, built now). --small: tiny models, to rehearse the plan on an emulated device.
# Writes SUMMARY.md, a line for each step, and six files of logs and rows to OUT_DIR; all of it and the
# trainings stay in build-gpu/plan, too. Needs no network, no root and no packages; PYTHON (default
# python3) may have torch. Exit status 1 if something ran and failed; what cannot run says why. No setting
# of the GPU is changed. The steps themselves are in gpu_steps.sh. STEP_LIMIT in the environment, seconds,
# takes the place of all their limits: with it the test of this script is short.
# shellcheck disable=SC2054  # shapes have commas
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage="usage: scripts/gpu_validate.sh OUT_DIR [--build DIR] [--seconds N] [--small] [--resume-plan]"
out="" build="" small="" resumes="" time_for_all=535
while [ $# -gt 0 ]; do
  case "$1" in
    --build) build=${2:?$usage}; shift 2 ;;
    --seconds) time_for_all=${2:?$usage}; shift 2 ;;
    --small) small=1; shift ;;
    --resume-plan) resumes=1; shift ;;
    -*) die "$usage" ;;
    *) [ -z "$out" ] || die "$usage"; out=$1; shift ;;
  esac
done
[ -n "$out" ] || die "$usage"
[[ $time_for_all =~ ^[0-9]+$ ]] || die "--seconds: got $time_for_all, expected a number"
mkdir -p "$out"
out=$(cd "$out" && pwd)

runs_here() { [ -x "$1/bin/unroll" ] && timeout 30 "$1/bin/unroll" --version >/dev/null 2>&1; }
if [ -z "$build" ]; then
  build="build-gpu/pack"
  if ! runs_here "$build"; then
    build=build
    scripts/install_dependencies.sh --tests
    choose_compiler || die "no g++ of version $minimum_gcc or newer"
    cmake --preset dev
    cmake --build build --parallel "$(jobs)" \
      --target unroll_cli lm_step cublas_step unroll_tests
    if [ -e build/cuda ]; then cmake --build build --parallel "$(jobs)" --target unroll_cuda; fi
    SECONDS=0 # the time for all is without a build
  fi
fi
runs_here "$build" || die "$build/bin/unroll does not run here: $(timeout 30 "$build/bin/unroll" --version 2>&1)"
build=$(cd "$build" && pwd)

set +e # from here on nothing ends the plan
plan=$root/build-gpu/plan
[ -n "$resumes" ] || rm -rf "$plan"
mkdir -p "$plan"/{steps,out,runs}
work=$(mktemp -d)
mkdir "$work/ran"
python=${PYTHON:-python3}
export build small plan python work out
export XDG_CACHE_HOME=$work/cache PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 OMP_NUM_THREADS=2
export PATH=$PATH:/usr/local/cuda/bin
steps=$root/scripts/gpu_steps.sh

# ---- a step

step_group="" # its processes
end_group() { # a moment to end in good order for what a step left behind; then none is left
  local moments=5
  while [ $((moments--)) -gt 0 ]; do
    kill -TERM -- "-$1" 2>/dev/null || return 0
    sleep 0.3
  done
  kill -KILL -- "-$1" 2>/dev/null
}
warming=""
trap 'kill $warming 2>/dev/null; rm -rf "$work"' EXIT
trap '[ -z "$step_group" ] || end_group "$step_group"; exit 130' INT TERM

keep() { "$steps" keep "$1"; } # stdin to a file in OUT_DIR and in the plan's own folder
result_of() { cat "$plan/steps/${1//[^a-zA-Z0-9]/_}" 2>/dev/null; }
passed() { [ "$(result_of "$1")" = passed ]; }

is_due() { # is_due NAME: in this round of the plan?
  local before
  before=$(result_of "$1")
  [ ! -e "$work/ran/${1//[^a-zA-Z0-9]/_}" ] || return 1
  case $round:$before in
    open: | open:"no time" | open:unfinished | failed:FAILED | failed:STOPPED) return 0 ;;
    *) return 1 ;;
  esac
}

outcome() { # outcome STATUS SECONDS LIMIT: in a word
  case $1 in
    0) echo passed ;;
    3) echo "not run" ;;
    4) echo unfinished ;;
    5) echo partly ;;
    124 | 137) if [ "$2" -ge "$3" ]; then echo STOPPED; else echo FAILED; fi ;;
    *) echo FAILED ;;
  esac
}

# step NAME LIMIT FUNCTION...: a function of gpu_steps.sh, if it is due. Its log is kept, and its line.
step() {
  local name=$1 limit=${STEP_LIMIT:-$2} key=${1//[^a-zA-Z0-9]/_} began=$SECONDS
  local left=$((time_for_all - SECONDS)) cut="" status conclusion result number
  shift 2
  is_due "$name" || return 0
  : >"$work/ran/$key"
  [ "$limit" -le "$left" ] || { limit=$left; cut=1; }
  # What can end in good order gets this long for its work.
  export log=$work/$key.log number_file=$work/$key.number allowed=$((limit > 30 ? limit - 10 : limit * 2 / 3))
  : >"$number_file"
  if [ "$left" -lt 15 ]; then
    result="no time"
  else
    timeout -k 3 "$limit" "$steps" "$@" >"$log" 2>&1 </dev/null &
    step_group=$!
    wait "$step_group"
    status=$?
    end_group "$step_group"
    step_group=""
    # What it found, also if it was stopped.
    timeout -k 3 20 "$steps" conclude "$status" "$@" >>"$log" 2>&1 </dev/null
    conclusion=$?
    [ $status -ne 0 ] || status=$conclusion
    result=$(outcome "$status" $((SECONDS - began)) "$limit")
    number=$(tr '|\n' '; ' <"$number_file" | cut -c 1-600)
    case $result in
      STOPPED)
        number="after $limit s; $number"
        [ -z "$cut" ] || result=unfinished # it would have had more time
        ;;
      FAILED) [ "$status" -le 128 ] || number="signal $((status - 128)); $number" ;;
    esac
    { printf '\n==== %s: %s, exit status %d, %d s\n' "$name" "$result" "$status" $((SECONDS - began)); tail -c 100000 "$log"; } | keep plan.log
  fi
  printf '%s\n' "$result" >"$plan/steps/$key"
  line "$name" "$result" $((SECONDS - began)) "${number:-}"
}

line() { # line NAME RESULT SECONDS NUMBER
  printf '%-32s %-10s %4d s  %s\n' "$1" "$2" "$3" "$4"
  printf '| %s | %s | %d | %s |\n' "$@" | keep SUMMARY.md
}

# ---- the plan

# The persistent kernels have met no device yet: where they do not work by themselves, nothing else tries them.
persistent() { passed "persistent $1"; }
persistent_precisions() { for precision in bf16 tf32 fp32; do if persistent $precision; then echo $precision; fi; done; }
any_persistent() { [ -n "$(persistent_precisions)" ]; }
algorithm_for() { if persistent "$1"; then echo auto; else echo stepwise; fi; }

what_is_there() {
  timeout 60 "$python" -c 'import torch' >/dev/null 2>&1 & # from a cold disk, while others are at work
  warming=$!
  step "nvidia-smi" 20 machine
  step "doctor" 90 doctor
  step "first kernel" 60 first_kernel
}

each_algorithm() {
  local precision
  for precision in fp32 tf32 bf16; do step "stepwise $precision" 45 smoke $precision stepwise; done
  for precision in fp32 tf32 bf16; do step "cudnn $precision" 60 smoke $precision cudnn; done
  for precision in fp32 tf32 bf16; do step "persistent $precision" 25 smoke $precision persistent; done
}

training_steps() {
  local precision shape
  for precision in bf16 tf32 fp32; do
    for shape in wlm650:0.5 wlm200:0.2 wlm1500:0.65; do
      step "step ${shape%:*} $precision" 30 training_step "${shape%:*}" "${shape#*:}" $precision "$(algorithm_for $precision)"
      step "PyTorch ${shape%:*} $precision" 40 pytorch_step "${shape%:*}" "${shape#*:}" $precision
    done
  done
}

# Where a fault of the persistent kernels took a table along, the rest of it is measured without them.
table() { # table SHAPE
  step "table $1" 40 recurrent "$1" "$(persistent_precisions | paste -sd ' ')"
  case $(result_of "table $1") in
    FAILED | STOPPED)
      if any_persistent && [ ! -e "$plan/whole.$1" ]; then step "rest of table $1" 30 recurrent "$1" ""; fi
      ;;
  esac
}

# What our kernels do, without long runs; and of the real cuDNN nothing.
sanitizers() { # sanitizers TOOL...
  local tool persistent='On/RecurrentKernel.*/CudaPersistent:On/RecurrentPersistent.*:On/RecurrentPrecision.*/CudaPersistent*'
  for tool in "$@"; do
    step "$tool" 40 sanitizer "$tool" \
      'On/*Kernel*.*/Cuda:On/RecurrentKernel.*/CudaWavefront:On/RecurrentPrecision.*/CudaBf16'
    if any_persistent; then step "$tool persistent" 40 sanitizer "$tool" "$persistent"; fi
  done
}

everything() {
  local shape shapes=(wlm650 wlm200 wlm1500 flashrnn768 wlm656 wlm1504 mt1024 char256 wlm650gru awd1150)
  [ -z "$small" ] || shapes=(wlm650 wlm200)
  each_algorithm
  step "tests" 130 tests "$(if any_persistent; then echo persistent; fi)"
  step "PyTorch" 60 torch
  training_steps
  for shape in "${shapes[@]}"; do table "$shape"; done
  step "cuBLAS products" 30 products
  sanitizers memcheck racecheck
  step "the same run twice" 40 repeated "$(algorithm_for fp32)"
  step "resumed after kills" 40 killed "$(algorithm_for fp32)"
  step "to the CPU and back" 40 cpu_and_back "$(algorithm_for fp32)"
  step "what is not there" 40 nothing_there
}

what_is_left() { # trainings as far as they get; limits: 2 % above what was published
  step "zaremba-small bf16" 90 recipe zaremba-small bf16 116.5 "$(algorithm_for bf16)"
  step "zaremba-medium bf16" 300 recipe zaremba-medium bf16 84.5 "$(algorithm_for bf16)"
  sanitizers initcheck synccheck
}

if [ -n "$resumes" ]; then
  for file in "$plan"/out/*; do [ ! -e "$file" ] || cp "$file" "$out/"; done
  echo | keep SUMMARY.md
else
  rm -f "$out"/{SUMMARY.md,plan.log,tests.txt,tests_failed.log,sanitizers.log,recurrent.csv,peers.csv}
fi
printf '# Validation on a GPU%s\n\n%s, commit %s, %s s\n\n| step | result | seconds | number |\n|---|---|---|---|\n' \
  "${resumes:+, resumed}" "$(date -u '+%F %R UTC')" "$(commit_name "$build")" "$time_for_all" | keep SUMMARY.md

round=open
what_is_there
if [ "$(result_of "first kernel")" = "not run" ]; then
  echo "no CUDA device: nothing else is run"
else
  everything
  if [ -n "$resumes" ]; then
    round=failed
    what_is_there
    everything
    what_is_left
    round=open
  fi
  what_is_left
fi

[ ! -e "$work/full" ] || echo "not all could be written to $out; it is in $plan/out" | tee "$work/note"
failures=0
for ran in "$work"/ran/*; do
  case $(cat "$plan/steps/$(basename "$ran")" 2>/dev/null) in FAILED | STOPPED) failures=$((failures + 1)) ;; esac
done
{ cat "$work/note" 2>/dev/null; printf '\n%d failed, %d s.\n' "$failures" "$SECONDS"; } | keep SUMMARY.md
echo "$failures failed, $SECONDS s"
[ "$failures" -eq 0 ]
