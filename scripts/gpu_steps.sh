#!/usr/bin/env bash
# The steps of gpu_validate.sh, which sets their variables and runs each as a process:
#   scripts/gpu_steps.sh FUNCTION ARGUMENT...                   runs a step, whose output is its log
#   scripts/gpu_steps.sh conclude STATUS FUNCTION ARGUMENT...   says what it found, also if it was stopped
# A step calls `number TEXT` for the summary and returns 0, 3 for "not run, because of the number", 4 for
# "goes on in the next call", 5 for "nothing found, but not all was looked at", else it failed. What it
# starts stays in its group of processes (timeout --foreground), which ends with it.
# shellcheck disable=SC2054,SC2154  # shapes have commas; gpu_validate.sh sets what is not set here
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
set +e

number() { printf '%s' "$*" >"$number_file"; }
last_line() { tr '\r' '\n' <"$1" 2>/dev/null | grep -v -e '^ *$' -e 'gpu_steps[.]sh: line' -e '^unroll: stopping after' | tail -n 1; }
unroll() { "$build/bin/unroll" "$@"; }
numbers() { timeout --foreground 15 "$python" scripts/gpu_numbers.py "$@" >"$number_file"; }
wrong() { [ "$1" -eq 0 ] || last_line "$log"; } # wrong STATUS: what the program said last, if it failed

# stdin to a file in OUT_DIR and in the plan's own folder; a full disk is noted, and ends nothing.
keep() {
  tee -a "$plan/out/$1" "$out/$1" >/dev/null 2>&1 || : >"$work/full"
}

if [ -n "$small" ]; then
  tiny=(--shapes 5,4,24,32,2) units=33 words=(--vocab-size 500) lines=300 shards=2
else
  tiny=(--shapes 5,4,24,32,2 35,20,200,200,2) units=200 words=(--vocab-size 10000) lines=1500 shards=6
fi
ptb=""
for folder in "$build/ptb" "${UNROLL_DATA:-/nonexistent}/ptb"; do
  if [ -z "$ptb" ] && [ -r "$folder/train.txt" ]; then ptb=$folder; fi
done

# ---- what is there

machine() {
  describe_machine "$build"
  date -u
  uname -a
  nvcc --version 2>&1 | tail -n 2
  command -v nvidia-smi >/dev/null || { number "no nvidia-smi"; return 3; }
  nvidia-smi && nvidia-smi -q -d CLOCK || return 1
  number "$(nvidia-smi --query-gpu=name,driver_version,clocks.sm,clocks.max.sm,power.limit --format=csv,noheader)"
}

# cuBLAS and cuDNN may be there only as Python packages. The module looks beside itself, too.
take_from_python() { # take_from_python NAME: libNAME*.so.*
  timeout --foreground 20 "$python" -c 'import glob, sys
for p in sys.path:
    for f in glob.glob(f"{p}/nvidia/**/lib{sys.argv[1]}*.so.*", recursive=True): print(f)' "$1" |
    xargs -r ln -sft "$build/lib"
}

doctor() { # the first program that starts CUDA: it reads libraries of hundreds of MB from the disk
  local status
  if ldd "$build/lib/libunroll_cuda.so" 2>/dev/null | grep -q 'libcublas.*not found'; then take_from_python cublas; fi
  unroll doctor >"$work/doctor"
  status=$?
  if grep -q '^cuDNN .*not found' "$work/doctor"; then
    take_from_python cudnn
    take_from_python nvrtc # with which cuDNN compiles
    unroll doctor >"$work/doctor"
    status=$?
  fi
  cat "$work/doctor"
  number "$(awk '/^(cuda:0|NVIDIA driver|cuBLAS|cuDNN) / { gsub(/  +/, " "); printf "%s%s", comma, $0; comma = "; " }' "$work/doctor")"
  return $status
}

first_kernel() {
  local status
  "$build/bin/lm_step" --device cuda --rnn-algorithm stepwise --vocabulary 100 --shapes 3,20,32,32,2 --samples 1
  status=$?
  [ $status -eq 0 ] || number "$(last_line "$log")"
  return $status
}

torch() {
  command -v "$python" >/dev/null || { number "no $python"; return 3; }
  timeout --foreground 50 "$python" -c 'import torch
print("PyTorch", torch.__version__, "cuDNN", torch.backends.cudnn.version(), "sees a GPU:", torch.cuda.is_available())'
  local status=$?
  number "$(last_line "$log")"
  if grep -q ModuleNotFoundError "$log"; then return 3; fi
  return $status
}

# ---- each algorithm by itself: against float64, called and in a graph

bench() { unroll bench rnn --device cuda "$@"; }

smoke() { # smoke PRECISION ALGORITHM
  local algorithms=("$2")
  [ "$2" != cudnn ] || algorithms=(cudnn:standard cudnn:persist_static)
  rm -f "$work/smoke.csv"
  bench "${tiny[@]}" --samples 3 --precision "$1" --algorithms "${algorithms[@]}" --csv "$work/smoke.csv"
}
conclude_smoke() { # without a time it was refused: cuDNN is not installed, or the device lets no blocks wait
  table_number "$1" "$work/smoke.csv"
  if [ "$1" -eq 0 ] && ! grep -q '^rnn,.*,ok,' "$work/smoke.csv"; then
    number "$(sed -n 's/^rnn,//p' "$work/smoke.csv" | tail -n 1 | cut -d , -f 10-)"
    return 3
  fi
}

table_number() { # table_number STATUS CSV: what was measured, and what went wrong
  if ! [ -s "$2" ] || ! numbers table "$2" "$(wrong "$1")"; then number "$(last_line "$log")"; fi
}

# ---- tests: a process for each suite and form, so that what breaks the device breaks only that

tests() { # tests [persistent]
  timeout --foreground 30 "$build/tests/unroll_tests" --gtest_list_tests --gtest_filter='*Cuda*' |
    awk '/^[^ ].*[.]/ { suite = $1 } /^ / { n = split($1, part, "/"); print suite, (n > 1 ? part[n] : "*") }' |
    sort -u >"$work/forms"
  # What the newest kernels are tested by comes last, and with them what takes longest.
  awk '{ print ($2 ~ /Persistent/ ? 2 : $1 ~ /Recurrent|Devices|Training/ ? 1 : 0), $0 }' "$work/forms" |
    sort -s -n -k 1,1 | cut -d ' ' -f 2- >"$work/all"
  [ -n "$1" ] || sed -i '/Persistent/d' "$work/all"
  [ -z "$small" ] || sed -i -nE '/^(CudaModule|On\/(SampleKernel|RecurrentPersistent))[.]/p' "$work/all"
  mv "$work/all" "$plan/forms"
  # Not those which passed in an earlier call.
  sed -n 's/ 0 [0-9]* passed.*//p' "$plan/out/tests.txt" 2>/dev/null | grep -vxFf - "$plan/forms" |
    xargs -r -P 8 -L 1 "$0" one_form
  [ -s "$plan/forms" ]
}

one_form() { # one_form SUITE. FORM
  local filter="$1*/$2" said=$work/form.$$ began=$SECONDS status
  [ "$2" != '*' ] || filter="$1*"
  case $2 in CudaCudnn*) export CUBLAS_WORKSPACE_CONFIG=:4096:2 ;; esac # what cuDNN needs to give the same bits twice
  UNROLL_REQUIRE_CUDA=1 UNROLL_REQUIRE_CUDNN=1 timeout --foreground -k 1 $((allowed < 60 ? allowed : 60)) \
    "$build/tests/unroll_tests" --gtest_filter="$filter" >"$said" 2>&1 </dev/null
  status=$?
  echo "$1 $2 $status $(grep -c '^\[       OK \]' "$said") passed, $(grep -cE '^\[  SKIPPED \] [^ ,]*$' "$said") skipped, $((SECONDS - began)) s" |
    keep tests.txt
  [ $status -eq 0 ] || { printf -- '---- %s %s: exit status %d\n' "$1" "$2" $status; grep -v '^\[ RUN\|^\[       OK' "$said" | head -c 6000; echo; } |
    keep tests_failed.log
  rm -f "$said"
}

conclude_tests() { # the last line of a form counts
  [ -s "$plan/out/tests.txt" ] || { number "no test ran"; return 1; }
  awk -v forms="$(wc -l <"$plan/forms")" '
    { last[$1 " " $2] = $3; passed[$1 " " $2] = $4; skipped[$1 " " $2] = $6 }
    END {
      for (form in last) {
        ++ran
        all += passed[form]
        skips += skipped[form]
        if (last[form]) { ++bad; failed = failed " " form " (" last[form] ")" }
      }
      printf "%d tests passed, %d skipped; %d of %d suites and forms ran", all, skips, ran, forms
      if (bad) printf ", failed:%s", failed
      exit !(ran >= forms && all && !bad)
    }' "$plan/out/tests.txt" >"$number_file"
}

# ---- whole training steps of a language model

training_step() { # training_step SHAPE DROPOUT PRECISION ALGORITHM
  local shape=$1 vocabulary=()
  [ -z "$small" ] || { shape=4,3,16,16,2; vocabulary=(--vocabulary 100); }
  "$build/bin/lm_step" --device cuda --precision "$3" --shapes "$shape" --dropout "$2" --rnn-algorithm "$4" \
    --samples 10 "${vocabulary[@]}"
}

pytorch_step() { # pytorch_step SHAPE DROPOUT PRECISION
  "$python" benchmarks/pytorch_lm.py --device cuda --precision "$3" --dropout "$2" --samples 10 \
    --shape "$("$build/bin/lm_step" --list --shapes "$1")"
}

keep_rows() { grep -aE '^(#|task,|lm,|rnn,)' "$log" | keep peers.csv; }
conclude_training_step() {
  keep_rows
  numbers step "$log" "$(wrong "$1")" || number "$(last_line "$log")"
}
conclude_pytorch_step() { # conclude_pytorch_step STATUS SHAPE DROPOUT PRECISION
  keep_rows
  if [ "$1" -ne 0 ] || ! numbers beside "$plan/out/peers.csv" "$2" "$4"; then number "$(last_line "$log")"; fi
}

# ---- the recurrent node beside cuDNN

recurrent() { # recurrent SHAPE "PRECISION ...": those at which persistent is run, too
  local precision status=0 with=() without=() shape=$1
  [ -z "$small" ] || shape=5,4,24,32,2
  for precision in bf16 tf32 fp32; do
    case " $2 " in *" $precision "*) with+=("$precision") ;; *) without+=("$precision") ;; esac
  done
  rm -f "$work"/table.*.csv
  if [ ${#without[@]} -gt 0 ]; then recurrent_at "" "${without[@]}" || status=$?; fi
  if [ ${#with[@]} -gt 0 ]; then recurrent_at persistent "${with[@]}" || status=$?; fi
  return $status
}

recurrent_at() { # recurrent_at [persistent] PRECISION...; cuDNN's persist_dynamic compiles for seconds for each shape
  bench --shapes "$shape" --samples 8 --precision "${@:2}" --csv "$work/table.${1:-stepwise}.csv" \
    --algorithms stepwise cudnn:standard cudnn:persist_static ${1:+"$1"}
}

conclude_recurrent() {
  cat "$work"/table.*.csv 2>/dev/null >"$work/table"
  keep recurrent.csv <"$work/table"
  table_number "$1" "$work/table"
  # Nothing else is needed if all precisions have been measured.
  if [ "$(awk -F , '/^rnn,/ && $11 == "stepwise" && $13 == "ok" { print $8, $9 }' "$work/table" | sort -u | wc -l)" -eq 6 ]; then
    : >"$plan/whole.$2"
  fi
}

products() { # on an emulated device there is no such program
  local precision status=0
  [ -x "$build/bin/cublas_step" ] || { number "no cublas_step"; return 3; }
  for precision in bf16 tf32 fp32; do
    "$build/bin/cublas_step" --precision $precision --shapes wlm200 wlm650 wlm1500 || status=$?
  done
  return $status
}
conclude_products() {
  keep_rows
  [ "$1" -eq 3 ] || number "$(grep -c '^rnn,' "$log") rows of products without the rest; $(wrong "$1")"
}

# ---- sanitizers: a shard may be stopped; what it found before counts

one_shard() { # one_shard TOOL TESTS NUMBER
  local said=$work/shard.$3 began=$SECONDS status only_ours=()
  # The tools know of libraries' kernels less than of ours; what initcheck is not shown, it takes for not written.
  if [ "$1" != initcheck ] && compute-sanitizer --help | grep -q -e '--kernel-name '; then
    only_ours=(--kernel-name kns=unroll)
  fi
  GTEST_TOTAL_SHARDS=$shards GTEST_SHARD_INDEX=$3 UNROLL_REQUIRE_CUDA=1 timeout --foreground -k 1 "$allowed" \
    compute-sanitizer --tool "$1" "${only_ours[@]}" --report-api-errors no --error-exitcode 9 \
    "$build/tests/unroll_tests" --gtest_filter="$2" >"$said" 2>&1 </dev/null
  status=$?
  case $status in
    0) ;;
    124 | 137) if [ $((SECONDS - began)) -ge "$allowed" ]; then status=stopped; fi ;;
  esac
  echo "SHARD $3 ENDED $status" >>"$said"
}

sanitizer() { # sanitizer TOOL TESTS
  rm -f "$work"/shard.*
  command -v compute-sanitizer >/dev/null || { number "no compute-sanitizer"; return 3; }
  seq 0 $((shards - 1)) | xargs -P "$shards" -I @ "$0" one_shard "$1" "$2" @
}

conclude_sanitizer() {
  local all=$work/sanitizer lines summaries found passed ended stopped bad
  [ "$1" -ne 3 ] || return 3
  cat "$work"/shard.* >"$all" 2>/dev/null
  { echo "==== $2 $3"; cut -c 1-300 "$all" | head -c 400000; } | keep sanitizers.log
  if grep -q 'Device not supported' "$all"; then number "compute-sanitizer does not support this device"; return 3; fi
  lines=$(grep -acE '^=+ (Invalid|Uninit|Race reported|Error: Race|Barrier error|Program hit)' "$all")
  summaries=$(sed -nE 's/^=+ (ERROR SUMMARY: ([0-9]+) error|RACECHECK SUMMARY: ([0-9]+) hazard).*/\2\3/p' "$all" | awk '{ n += $1 } END { print n + 0 }')
  found=$((lines > summaries ? lines : summaries)) # a shard that was stopped has no summary
  passed=$(grep -c '^\[       OK \]' "$all")
  stopped=$(grep -c '^SHARD [0-9]* ENDED stopped' "$all")
  ended=$(grep -c '^SHARD [0-9]* ENDED' "$all")
  bad=$(sed -nE 's/^SHARD ([0-9]+) ENDED ([1-9][0-9]*)$/ \1 (\2)/p' "$all" | tr -d '\n')
  number "$found errors in $passed tests; of $shards shards $((shards - ended + stopped)) did not come to their end${bad:+; ended by exit status:$bad}"
  if [ "$found" -gt 0 ] || [ -n "$bad" ] || [ "$passed" -eq 0 ] || grep -q '^\[  FAILED  \]' "$all"; then return 1; fi
  [ $((shards - ended + stopped)) -eq 0 ] || return 5
}

# ---- runs that must agree

short=(train --data "$plan/text" "${words[@]}" --emsize "$units" --nhid "$units" --batch-size 20 --bptt 20
  --dropout 0.3 --optimizer adam --lr 0.002 --clip 1 --seed 7 --log-interval 50 --save-every 40 --keep 0)

make_text() {
  local part
  mkdir -p "$plan/text"
  for part in train valid test; do
    if [ -n "$ptb" ]; then head -n "$lines" "$ptb/$part.txt"; else cat docs/*.md README.md CONTRIBUTING.md; fi >"$plan/text/$part.txt"
  done
}

steps_of() { basename "$(readlink "$1/latest")" | sed 's/^step-0*//'; }
algorithm_of() { # what a run chose by timing, which another need not choose
  grep -o '"rnn_algorithm_used": *"[^"]*"' "$1/latest/config.json" | cut -d '"' -f 4 | grep . || echo auto
}
same_result() { # do two run folders hold the same bits?
  local file
  for file in latest/model.safetensors latest/state.safetensors best/model.safetensors; do
    cmp "$1/$file" "$2/$file" || return 1
  done
}
first_run() { # first_run ALGORITHM: what the others are compared with
  [ ! -e "$plan/runs/a.done" ] || return 0
  rm -rf "$plan/runs/a"
  make_text
  unroll "${short[@]}" --device cuda --epochs 2 --rnn-algorithm "$1" --save "$plan/runs/a" && : >"$plan/runs/a.done"
}

repeated() { # repeated ALGORITHM
  local a=$plan/runs/a b=$plan/runs/b
  first_run "$1" || return
  rm -rf "$b"
  unroll "${short[@]}" --device cuda --epochs 2 --rnn-algorithm "$(algorithm_of "$a")" --save "$b" || return
  same_result "$a" "$b" || { number "the bits differ"; return 1; }
  number "2 runs of $(steps_of "$a") steps, $units units, $(algorithm_of "$a"): the same bits"
}

killed() { # killed ALGORITHM
  local a=$plan/runs/a k=$plan/runs/k process kills=0 at=""
  first_run "$1" || return
  rm -rf "$k"
  for wanted in 1 3; do
    "$build/bin/unroll" "${short[@]}" --device cuda --epochs 2 --rnn-algorithm "$(algorithm_of "$a")" \
      --save "$k" --resume auto &
    process=$!
    while kill -0 "$process" 2>/dev/null; do
      if [ "$(find "$k" -maxdepth 1 -name 'step-*' 2>/dev/null | wc -l)" -gt "$wanted" ]; then
        kill -KILL "$process" 2>/dev/null && kills=$((kills + 1)) && at="$at $(steps_of "$k")"
        break
      fi
      sleep 0.01
    done
    wait "$process" 2>/dev/null
  done
  [ "$kills" -gt 0 ] || { number "the runs ended before they could be killed"; return 3; }
  unroll train --save "$k" --resume --device cuda || return
  same_result "$a" "$k" || { number "killed after steps$at; the bits differ"; return 1; }
  number "killed after steps$at and resumed: the same bits"
}

cpu_and_back() { # cpu_and_back ALGORITHM
  local run=$plan/runs/c
  make_text
  rm -rf "$run"
  unroll "${short[@]}" --device cuda --epochs 1 --rnn-algorithm "$1" --save "$run" || return
  unroll eval --checkpoint "$run" --data "$plan/text/test.txt" --device cuda --json >"$work/gpu.json" || return
  unroll eval --checkpoint "$run" --data "$plan/text/test.txt" --device cpu --json >"$work/cpu.json" || return
  cat "$work/gpu.json" "$work/cpu.json"
  unroll train --save "$run" --resume --device cpu --epochs 2 || return
  unroll train --save "$run" --resume --device cuda --epochs 3 || return
  numbers devices "$work/gpu.json" "$work/cpu.json" "$run/metrics.jsonl"
}

missing() { # missing WHAT TEXT FLAG...: one line with this text on stderr, and exit status 1
  local what=$1 expected=$2 status
  shift 2
  unroll "${short[@]}" "$@" --epochs 1 --save "$work/missing" >"$work/said" 2>&1
  status=$?
  tail -n 3 "$work/said"
  if [ $status -ne 1 ] || ! last_line "$work/said" | grep -q "^unroll: .*$expected"; then
    number "$what: exit status $status, $(last_line "$work/said")"
    return 1
  fi
  number "$(cat "$number_file")$what: $(last_line "$work/said" | cut -c 1-120). "
}

nothing_there() {
  make_text
  missing "no such device" "no CUDA device 99" --device cuda:99 &&
    missing "too large" "out of memory: asked for" --device cuda --nlayers 1 --emsize 8 --nhid 150000
}

# ---- training

recipe() { # recipe NAME PRECISION LIMIT ALGORITHM: a published setting, to its end or as far as it gets
  local flags=(--data "$ptb") status
  if [ -n "$small" ]; then
    make_text
    flags=(--data "$plan/text" --nhid 24 --emsize 24 --epochs 1 --vocab-size 500)
  elif [ -z "$ptb" ]; then
    number "no Penn Treebank: UNROLL_DATA or the pack has none"
    return 3
  fi
  timeout --foreground -s TERM -k 8 "$allowed" "$build/bin/unroll" train --recipe "$1" "${flags[@]}" --device cuda \
    --precision "$2" --rnn-algorithm "$4" --resume auto --save "$plan/runs/$1-$2"
  status=$?
  [ "$status" -ne 124 ] || status=4
  return $status
}

conclude_recipe() { # conclude_recipe STATUS NAME PRECISION LIMIT ALGORITHM
  local text seconds ppl
  [ "$1" -ne 3 ] || return 3
  text=$(grep -aE '^\| (end of epoch|End of training)' "$log" | tail -n 2 | tr -d '|' | tr -s ' ' | paste -sd ';')
  seconds=$(sed -nE 's/^\| end of epoch.*time: *([0-9.]+)s.*/\1/p' "$log" | sort -n |
    awk '{ all[NR] = $1 } END { if (NR) print all[int((NR + 1) / 2)] }')
  number "${text:-no epoch ended}${seconds:+; an epoch took $seconds s}; $(grep -ao 'peak memory.*' "$log" | head -n 1)"
  if [ "$1" -ne 0 ] && [ "$1" -ne 4 ]; then number "$(cat "$number_file"); $(wrong "$1")"; fi
  if [ "$1" -ne 0 ] || [ -n "$small" ]; then return 0; fi
  ppl=$(sed -nE 's/^\| End of training.*test ppl +([0-9.]+).*/\1/p' "$log" | tail -n 1)
  awk -v ppl="$ppl" -v limit="$4" 'BEGIN { exit !(ppl > 0 && ppl <= limit) }'
}

# ---- what is asked for

if [ "$1" = conclude ]; then
  status=$2 function=$3
  shift 3
  if declare -F "conclude_$function" >/dev/null; then
    "conclude_$function" "$status" "$@"
    exit
  fi
  if [ "$status" -ne 0 ] && [ ! -s "$number_file" ]; then number "$(last_line "$log")"; fi
  exit 0
fi
"$@"
