#!/usr/bin/env bash
# Everything that only a GPU can show, in three groups, each of less than ten minutes:
#   correctness  tests, compute-sanitizer, runs that must agree bit for bit, resumed ones, CPU and back,
#                devices and memory that are not there
#   speed        the whole table of `unroll bench rnn` beside cuDNN and cuBLAS; training steps beside PyTorch
#   training     the published Penn Treebank recipes to their ends
#   scripts/gpu_validate.sh OUT_DIR [GROUP ...] [--build DIR] [--seconds N] [--small]
# Without a group all of them, in that order. --seconds: for all together (default 570): what does not fit
# is cut short or not run, and says so. Trainings lie in build-gpu/runs and go on in the next call.
# --build: a folder that is built or packed already (default build-gpu/pack, of scripts/gpu_pack.sh, if
# it runs here; else build/, built now). --small: tiny models, to rehearse it on an emulated device.
# Writes SUMMARY.md, logs and CSVs, eight files, to OUT_DIR. Needs no network, no root and no packages;
# PYTHON (default python3) may have torch. Exit status 1 if something ran and failed; what cannot run says
# why. No setting of the GPU is changed.
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage="usage: scripts/gpu_validate.sh OUT_DIR [correctness] [speed] [training] [--build DIR] [--seconds N] [--small]"
out="" build="" small="" groups=() time_for_all=570
while [ $# -gt 0 ]; do
  case "$1" in
    --build) build=${2:?$usage}; shift 2 ;;
    --seconds) time_for_all=${2:?$usage}; shift 2 ;;
    --small) small=1; shift ;;
    -*) die "$usage" ;;
    correctness | speed | training) groups+=("$1"); shift ;;
    *) [ -z "$out" ] || die "$usage"; out=$1; shift ;;
  esac
done
[ -n "$out" ] || die "$usage"
mkdir -p "$out"
out=$(cd "$out" && pwd)
rm -f "$out"/{SUMMARY.md,machine.log,correctness.log,speed.log,training.log,recurrent.csv,recurrent.html,peers.csv}
[ ${#groups[@]} -gt 0 ] || groups=(correctness speed training)
[[ $time_for_all =~ ^[0-9]+$ ]] || die "--seconds: got $time_for_all, expected a number"
python=${PYTHON:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export XDG_CACHE_HOME=$work/cache

# ---- what to run

runs_here() { [ -x "$1/bin/unroll" ] && "$1/bin/unroll" --version >/dev/null 2>&1; }
if [ -z "$build" ]; then
  build="build-gpu/pack"
  if ! runs_here "$build"; then
    build=build
    scripts/install_dependencies.sh --tests
    choose_compiler || die "no g++ of version $minimum_gcc or newer"
    cmake --preset release -DUNROLL_BUILD_TESTS=ON
    cmake --build build --parallel "$(jobs)" \
      --target unroll_cli lm_step cublas_step unroll_tests
    if [ -e build/cuda ]; then cmake --build build --parallel "$(jobs)" --target unroll_cuda; fi
    SECONDS=0 # the time for all is without a build
  fi
fi
runs_here "$build" || die "$build/bin/unroll does not run here: $("$build/bin/unroll" --version 2>&1 || true)"
build=$(cd "$build" && pwd)

# cuBLAS and cuDNN may be there as Python packages alone. The module looks beside itself, too.
take_from_python() { # take_from_python NAME: libNAME*.so.*
  "$python" -c 'import glob, sys
for p in sys.path:
    for f in glob.glob(f"{p}/nvidia/**/lib{sys.argv[1]}*.so.*", recursive=True): print(f)' "$1" 2>/dev/null |
    xargs -r ln -sft "$build/lib" || true
}
if ldd "$build/lib/libunroll_cuda.so" 2>/dev/null | grep -q 'libcublas.*not found'; then
  take_from_python cublas
fi
if "$build/bin/unroll" doctor | grep -q '^cuDNN .*not found'; then
  take_from_python cudnn
  take_from_python nvrtc # with which cuDNN compiles
fi

units=650 words=(--vocab-size 10000) lines=1500
[ -z "$small" ] || units=33 words=(--vocab-size 500) lines=300
ptb=""
for folder in "$build/ptb" "${UNROLL_DATA:-/nonexistent}/ptb"; do
  if [ -z "$ptb" ] && [ -r "$folder/train.txt" ]; then ptb=$folder; fi
done
mkdir "$work/text"
if [ -n "$ptb" ]; then
  for text in train valid test; do
    head -n "$lines" "$ptb/$text.txt" >"$work/text/$text.txt"
  done
else # no corpus: the project's own prose
  for text in train valid test; do cat docs/*.md README.md CONTRIBUTING.md >"$work/text/$text.txt"; done
fi
short_run=(train --data "$work/text" "${words[@]}" --emsize "$units" --nhid "$units" --batch-size 20
  --bptt 20 --dropout 0.3 --optimizer adam --lr 0.002 --clip 1 --seed 7 --log-interval 50 --save-every 10 --keep 0)

# ---- parts: functions that print to a log, `number TEXT` for the summary, and return 0, 3 for "not
# run, because of the number", 4 for "not finished in its time", or anything else for a failure

runs="build-gpu/runs" # kept: what there was no time for goes on
[ -z "$small" ] || runs=$work/runs
export build small python work out units ptb runs
number() { printf '%s' "$*" >"$work/number"; }
last_line() { tr '\r' '\n' <"$1" | grep -v '^ *$' | tail -n 1; }
unroll() { "$build/bin/unroll" "$@"; }

run_suite() { # run_suite SUITE.: its tests on the GPU
  local filter="$1*Cuda*" log="$work/suite.${1//\//_}log"
  case $1 in *Cuda*) filter="$1*" ;; esac
  timeout 90 "$build/tests/unroll_tests" --gtest_filter="$filter" >"$log" 2>&1 ||
    echo "FAILED SUITE $1 (status $?)" >>"$log"
}

gpu_tests() { # suite by suite: a kernel that breaks the device ends its own suite's process alone
  local passed skipped failed suites
  export UNROLL_REQUIRE_CUDA=1 UNROLL_REQUIRE_CUDNN=1
  "$build/tests/unroll_tests" --gtest_list_tests --gtest_filter='*Cuda*' |
    awk '/^[^ ]+[.]/ { print $1 }' >"$work/suites"
  # shellcheck disable=SC2016  # expanded by the other shell
  xargs -r -P 8 -n 1 bash -c 'run_suite "$0"' <"$work/suites"
  cat "$work"/suite.*log
  suites=$(wc -l <"$work/suites")
  passed=$(cat "$work"/suite.*log | grep -c '^\[       OK \]' || true)
  failed=$(awk '/^FAILED SUITE/ { printf " %s", $3 }' "$work"/suite.*log)
  skipped=$(cat "$work"/suite.*log | sed -n 's/^\[  SKIPPED \] \([^ ,]*\)$/\1/p' | sort -u | wc -l)
  number "$passed tests of $suites suites passed, $skipped skipped${failed:+; failed:$failed}"
  [ -z "$failed" ] && [ "$passed" -gt 0 ]
}

sanitize_shard() { # sanitize_shard NUMBER: of $shards parts of $tests under $tool
  local status=0 only_ours
  read -ra only_ours <<<"$filter"
  GTEST_TOTAL_SHARDS=$shards GTEST_SHARD_INDEX=$1 timeout -k 5 "$allowed" \
    compute-sanitizer --tool "$tool" "${only_ours[@]}" --report-api-errors no --error-exitcode 9 \
    "$build/tests/unroll_tests" --gtest_filter="$tests" >"$work/sanitizer.$1" 2>&1 || status=$?
  [ $status -eq 0 ] || echo "SHARD $1 ENDED WITH $status" >>"$work/sanitizer.$1"
}

sanitizer() { # sanitizer TOOL TESTS: as many as there is time for
  local found passed ended all=$work/sanitizer
  command -v compute-sanitizer >/dev/null || {
    number "no compute-sanitizer"
    return 3
  }
  export tool=$1 tests=$2 shards=6 UNROLL_REQUIRE_CUDA=1
  rm -f "$all".*
  # The tools know of libraries' kernels less than of ours; what initcheck is not shown, it takes for not written.
  filter=""
  if [ "$tool" != initcheck ] && compute-sanitizer --help | grep -q -e '--kernel-name '; then
    filter="--kernel-name kns=unroll"
  fi
  export filter
  # shellcheck disable=SC2016  # expanded by the other shell
  seq 0 $((shards - 1)) | xargs -P "$shards" -n 1 bash -c 'sanitize_shard "$0"'
  cat "$all".*
  if grep -q 'Device not supported' "$all".*; then
    number "compute-sanitizer does not support this device"
    return 3
  fi
  passed=$(cat "$all".* | grep -c '^\[       OK \]' || true)
  found=$(cat "$all".* | sed -nE 's/^=+ (ERROR SUMMARY: ([0-9]+) error|RACECHECK SUMMARY: ([0-9]+) hazard).*/\2\3/p' |
    awk '{ n += $1 } END { print n + 0 }')
  ended=$(cat "$all".* | sed -n 's/^SHARD .* ENDED WITH //p' | sort | uniq -c | awk '{ printf " %s x %s", $1, $2 }')
  number "$found errors in $passed tests${ended:+; exit status (124: out of time):$ended}"
  [ "$found" -eq 0 ] && [ "$passed" -gt 0 ] && ! grep -qE '^(SHARD .* ENDED WITH (9|1|13[0-9])$|\[  FAILED  \])' "$all".*
}

steps_of() { basename "$(readlink "$1/latest")" | sed 's/^step-0*//'; }

same_result() { # do two run folders hold the same bits?
  local file
  for file in latest/model.safetensors latest/state.safetensors best/model.safetensors; do
    cmp "$1/$file" "$2/$file" || return 1
  done
}

algorithm_of() { # what a run chose by timing, which another need not choose
  grep -o '"recurrent_algorithm": *"[^"]*"' "$1/latest/config.json" | cut -d '"' -f 4 | grep . || echo auto
}

# shellcheck disable=SC2154  # part() makes `short`
repeated() {
  unroll "${short[@]}" --device cuda --epochs 2 --save "$work/a" || return 1
  unroll "${short[@]}" --device cuda --epochs 2 --save "$work/b" \
    --rnn-algorithm "$(algorithm_of "$work/a")" || return 1
  same_result "$work/a" "$work/b" || { number "the bits differ"; return 1; }
  number "2 runs of $(steps_of "$work/a") steps, $units units, $(algorithm_of "$work/a"): the same bits"
}

killed() { # after `repeated`, whose run it must equal
  local process kills=0 at=""
  [ -e "$work/a/latest" ] || { number "there is no run to compare with"; return 1; }
  for wanted in 2 5; do
    "$build/bin/unroll" "${short[@]}" --device cuda --epochs 2 --save "$work/k" --resume auto \
      --rnn-algorithm "$(algorithm_of "$work/a")" &
    process=$!
    while kill -0 "$process" 2>/dev/null; do
      if [ "$(find "$work/k" -maxdepth 1 -name 'step-*' 2>/dev/null | wc -l)" -gt "$wanted" ]; then
        kill -KILL "$process" 2>/dev/null && kills=$((kills + 1)) && at="$at $(steps_of "$work/k")"
        break
      fi
      sleep 0.01
    done
    wait "$process" 2>/dev/null || true
  done
  [ "$kills" -gt 0 ] || { number "the runs ended before they could be killed"; return 3; }
  unroll train --save "$work/k" --resume --device cuda || return 1
  same_result "$work/a" "$work/k" || { number "killed after steps$at; the bits differ"; return 1; }
  number "killed after steps$at and resumed: the same bits"
}

perplexities() { # of each epoch, from a run's metrics
  "$python" - "$1/metrics.jsonl" <<'PYTHON'
import json, math, sys
valid = [event["loss"] for event in map(json.loads, open(sys.argv[1])) if event["event"] == "valid"]
print(" ".join(f"{math.exp(loss):.2f}" for loss in valid))
PYTHON
}

cpu_and_back() {
  local run=$work/c gpu cpu
  unroll "${short[@]}" --device cuda --epochs 1 --save "$run" || return 1
  gpu=$(unroll eval --checkpoint "$run" --data "$work/text/test.txt" --device cuda --json) || return 1
  cpu=$(unroll eval --checkpoint "$run" --data "$work/text/test.txt" --device cpu --json) || return 1
  printf '%s\n' "$gpu" "$cpu"
  unroll train --save "$run" --resume --device cpu --epochs 2 || return 1
  unroll train --save "$run" --resume --device cuda --epochs 3 || return 1
  # A loss is a mean of float32 logarithms of some thousand tokens, summed in float64: roundings of
  # products of $units terms, 2^-24 sqrt(units) each, leave 1e-5 of it far behind.
  "$python" - "$gpu" "$cpu" "$(perplexities "$run")" >"$work/number" <<'PYTHON'
import json, sys
gpu, cpu = (json.loads(text)["loss"] for text in sys.argv[1:3])
apart = abs(gpu - cpu) / abs(cpu)
ppl = [float(p) for p in sys.argv[3].split()]
print(f"valid ppl GPU, CPU, GPU: {sys.argv[3]}; losses of one model {apart:.1e} apart", end="")
sys.exit(not (apart < 1e-5 and len(ppl) >= 3 and ppl[0] > ppl[1] > ppl[2]))
PYTHON
}

missing() { # missing WHAT TEXT FLAG...: one line with this text on stderr, and exit status 1
  local what=$1 expected=$2 status=0
  shift 2
  timeout 60 "$build/bin/unroll" train "$@" --epochs 1 --save "$work/missing" >"$work/said" 2>&1 || status=$?
  tail -n 3 "$work/said"
  if [ $status -ne 1 ] || ! last_line "$work/said" | grep -q "^unroll: .*$expected"; then
    number "$what: exit status $status, $(last_line "$work/said")"
    return 1
  fi
  number "$(cat "$work/number")$what: $(last_line "$work/said" | cut -c 1-120). "
}

nothing_there() {
  missing "no such device" "no CUDA device 99" --device cuda:99 &&
    missing "too large" "out of memory: asked for" --device cuda --nlayers 1 --emsize 8 --nhid 150000
}

recipe() { # recipe NAME PRECISION LIMIT: a published setting, to its end or as far as it gets
  local status=0 flags=() run=$runs/$1-$2 said=$work/recipe text seconds ppl
  [ -z "$ptb" ] || flags=(--data "$ptb")
  [ -z "$small" ] || flags=(--data "$work/text" --nhid 24 --emsize 24 --epochs 1 --vocab-size 500)
  timeout -s TERM -k 8 "$allowed" "$build/bin/unroll" train --recipe "$1" "${flags[@]}" --device cuda \
    --precision "$2" --resume auto --save "$run" >"$said" 2>&1 || status=$?
  cat "$said"
  text=$(grep -E '^\| (end of epoch|End of training)' "$said" | tail -n 2 | tr -d '|' | tr -s ' ' | paste -sd ';')
  seconds=$(sed -nE 's/^\| end of epoch.*time: *([0-9.]+)s.*/\1/p' "$said" | sort -n |
    awk '{ all[NR] = $1 } END { if (NR) print all[int((NR + 1) / 2)] }')
  number "${text:-no epoch ended}${seconds:+; an epoch took $seconds s}; $(grep -o 'peak memory.*' "$said" | head -n 1 || true)"
  case $status in 0) ;; 124 | 143) return 4 ;; *) return 1 ;; esac
  if [ -n "$small" ] || [ -z "$ptb" ]; then return 0; fi
  ppl=$(sed -nE 's/^\| End of training.*test ppl +([0-9.]+).*/\1/p' "$said" | tail -n 1)
  awk -v ppl="$ppl" -v limit="$3" 'BEGIN { exit !(ppl > 0 && ppl <= limit) }'
}

recurrent() { # all named shapes at all precisions, or as many as there is time for
  local status=0 precision all=() some=(--shapes wlm200 wlm650 wlm1500)
  [ -z "$small" ] || { all=(--shapes "5,4,24,32,2") && some=("${all[@]}"); }
  for precision in fp32 tf32 bf16; do # on an emulated device there is no such program
    "$build/bin/cublas_step" --precision "$precision" "${some[@]}" >>"$out/peers.csv" || true
  done
  # What cuDNN compiles anew for each shape, persist_dynamic, takes seconds of it: not here.
  timeout -s TERM -k 8 "$allowed" "$build/bin/unroll" bench rnn --device cuda --precision fp32 tf32 bf16 "${all[@]}" --samples 8 \
    --algorithms stepwise persistent cudnn:standard cudnn:persist_static \
    --csv "$out/recurrent.csv" --html "$out/recurrent.html" || status=$?
  "$python" - "$out/recurrent.csv" "$out/peers.csv" >"$work/number" <<'PYTHON' || return 1
import csv, math, sys
best = {}  # (precision, shape, pass, program): us per timestep
for file in sys.argv[1:]:
    for row in csv.DictReader(line for line in open(file) if not line.startswith("#")):
        if row["task"] == "rnn" and row["us_per_step"]:
            key = row["precision"], row["shape"], row["pass"], row["program"]
            best[key] = min(float(row["us_per_step"]), best.get(key, math.inf))
for precision in "fp32", "tf32", "bf16":
    ours = {key[:3]: us for key, us in best.items() if key[0] == precision and key[3] == "unroll"}
    def ratios(program):
        return {case: best[*case, program] / us for case, us in ours.items() if (*case, program) in best}
    cudnn, products = ratios("cudnn"), ratios("cublas")
    mean = math.exp(sum(map(math.log, cudnn.values())) / len(cudnn)) if cudnn else math.nan
    slow = [f"{shape} {pas} {r:.2f}" for (_, shape, pas), r in cudnn.items() if r < 0.5]
    print(f"{precision}: {len(ours)} cases; cuDNN's time / ours {mean:.2f}, faster than cuDNN in "
          f"{sum(r > 1 for r in cudnn.values())} of {len(cudnn)}, more than 2 times slower in",
          ", ".join(slow) or "none", "- times the products alone:",
          ", ".join(f"{shape} {pas} {1 / r:.2f}" for (_, shape, pas), r in products.items()) or "not known",
          end=". ")
sys.exit(not best)
PYTHON
  case $status in 0) ;; 124 | 143) return 4 ;; *) return 1 ;; esac
}

pytorch() { # pytorch SHAPE DROPOUT
  local precision status=0 text=""
  for precision in fp32 tf32 bf16; do
    PYTHON=$python scripts/compare_pytorch.sh --build "$build" --rounds 1 --csv "$out/peers.csv" \
      --device cuda --task lm --precision "$precision" --shapes "$1" --dropout "$2" --samples 10 --compile \
      >"$work/compare" 2>&1 || status=$?
    cat "$work/compare"
    if [ $status -ne 0 ]; then
      number "$(last_line "$work/compare" | sed 's/^not run: //')"
      return $status
    fi
    text="$text${text:+; }$precision $(times_as_fast "$1" "$precision")"
    number "$text"
  done
}

times_as_fast() { # times_as_fast SHAPE PRECISION: as each way to run PyTorch
  "$python" - "$out/peers.csv" "$1" "$2" <<'PYTHON'
import csv, sys
us = {}
for row in csv.DictReader(line for line in open(sys.argv[1]) if not line.startswith("#")):
    if [row["task"], row["shape"], row["precision"]] == ["lm", *sys.argv[2:]]:
        name = row["algorithm"] if row["program"] == "pytorch" else "ours"
        us[name] = float(row["us_per_step"]) if row["status"] == "ok" else None
ours = us.pop("ours")
print(", ".join(f"{ours and them and them / ours:.2f} times as fast as {name}" if them else f"{name} failed"
                for name, them in us.items()))
PYTHON
}

export -f number last_line unroll run_suite gpu_tests sanitize_shard sanitizer same_result repeated algorithm_of steps_of killed \
  perplexities cpu_and_back missing nothing_there recipe recurrent pytorch times_as_fast describe_machine commit_name

# ---- running them

# After each part: what is there counts if the rest is cut off.
write_summary() {
  {
    echo "# Validation on a GPU"
    echo
    grep '^#' "$out/machine.log" | sed 's/^# /* /'
    grep -E '^(unroll [0-9]|PyTorch) ' "$out/machine.log" | sed 's/^/* /' || true
    echo "* $(nvcc --version 2>/dev/null | grep release || echo 'no nvcc')"
    echo
    echo "| part | result | number | seconds |"
    echo "|---|---|---|---|"
    cat "$work/table"
    echo
    echo "$failures failed, $SECONDS s."
  } >"$out/SUMMARY.md"
}

failures=0 no_device=""
report() { # report NAME RESULT START
  printf '| %s | %s | %s | %d |\n' "$1" "$2" "$(tr '|\n' '; ' <"$work/number")" $((SECONDS - $3)) >>"$work/table"
  printf '%-28s %-9s %s\n' "$1" "$2" "$(cat "$work/number")"
  write_summary
}

part() { # part NAME LOG SECONDS FUNCTION...
  local name=$1 log=$out/$2 limit=$3 left=$((time_for_all - SECONDS)) started=$SECONDS status=0
  shift 3
  : >"$work/number"
  if [ -n "$no_device" ]; then
    number "$no_device"
    status=3
  elif [ "$left" -lt 20 ]; then
    number "no time left"
    status=3
  else
    [ "$limit" -le "$left" ] || limit=$left
    export allowed=$((limit - 10)) # for what can be cut short
    printf '\n==== %s, at most %d s\n' "$name" "$limit" >>"$log"
    # shellcheck disable=SC2016  # expanded in the other shell, with what is in the array here
    timeout -k 5 "$limit" bash -c 'short=('"$(printf '%q ' "${short_run[@]}")"'); "$@"' - "$@" \
      >>"$log" 2>&1 </dev/null || status=$?
  fi
  case $status in
    0) report "$name" passed "$started" ;;
    3) report "$name" "not run" "$started" ;;
    4) report "$name" unfinished "$started" ;;
    124 | 137)
      number "stopped after $limit s; $(cat "$work/number")"
      failures=$((failures + 1))
      report "$name" FAILED "$started"
      ;;
    *)
      [ -s "$work/number" ] || last_line "$log" >"$work/number"
      failures=$((failures + 1))
      report "$name" FAILED "$started"
      ;;
  esac
}

{
  describe_machine "$build"
  date -u
  uname -a
  "$build/bin/unroll" --version
  "$build/bin/unroll" doctor
  nvcc --version 2>&1 | tail -n 2
  nvidia-smi 2>&1
  nvidia-smi -q -d CLOCK 2>&1
  timeout 60 "$python" -c 'import torch; print("PyTorch", torch.__version__, "cuDNN", torch.backends.cudnn.version())' 2>&1 | tail -n 1
} >"$out/machine.log" 2>&1 || true

# The first step of all also tells whether there is a device.
status=0
"$build/bin/lm_step" --device cuda --vocabulary 100 --shapes 3,20,32,32,2 --samples 1 \
  >"$work/first" 2>&1 || status=$?
if [ $status -eq 3 ]; then no_device=$(last_line "$work/first" | sed 's/^not run: //'); fi

# What our kernels do, without long runs; and of the real cuDNN nothing but conversions.
kernels='On/*Cuda*:-*CudaCudnn*:*RatesOfDevice*:*DevicesAgree*:*TrainingOnDevice*:*Waiting*:*Trainer*:*Session*'
for group in "${groups[@]}"; do
  log=$group.log
  case $group in
    correctness)
      part "tests on the GPU" "$log" 150 gpu_tests
      part "memcheck" "$log" 50 sanitizer memcheck "$kernels"
      part "racecheck" "$log" 40 sanitizer racecheck "$kernels"
      part "initcheck" "$log" 40 sanitizer initcheck "$kernels"
      part "synccheck" "$log" 40 sanitizer synccheck "$kernels"
      part "the same run twice" "$log" 40 repeated
      part "resumed after kills" "$log" 40 killed
      part "to the CPU and back" "$log" 60 cpu_and_back
      part "what is not there" "$log" 60 nothing_there
      ;;
    speed)
      part "PyTorch, 650 units" "$log" 70 pytorch wlm650 0.5
      part "PyTorch, 200 units" "$log" 70 pytorch wlm200 0.2
      part "PyTorch, 1500 units" "$log" 70 pytorch wlm1500 0.65
      part "recurrent node" "$log" 500 recurrent
      ;;
    training) # limits: 2 % above what was published
      part "zaremba-small, fp32" "$log" 120 recipe zaremba-small fp32 116.5
      part "zaremba-small, bf16" "$log" 120 recipe zaremba-small bf16 116.5
      part "zaremba-medium, bf16" "$log" 300 recipe zaremba-medium bf16 84.5
      part "zaremba-large, bf16" "$log" 500 recipe zaremba-large bf16 80.0
      part "zaremba-medium, tf32" "$log" 300 recipe zaremba-medium tf32 84.5
      part "zaremba-large, tf32" "$log" 500 recipe zaremba-large tf32 80.0
      ;;
  esac
done

[ "$failures" -eq 0 ]
