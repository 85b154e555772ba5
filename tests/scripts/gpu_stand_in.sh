#!/usr/bin/env bash
# Replaces every program that scripts/gpu_validate.sh runs, by the name of the call, and answers
# like it. CALLS is a file for the calls. FAULTS has lines "PATTERN ACTION". If the pattern matches
# the call ("bench wlm650 bf16 persistent", "lm wlm200 tf32", "tests On/A. Cuda", "shard memcheck 2"),
# the stand-in does this:
#   wrong, fail   reports a wrong result, or a failed device, and exit status 1
#   crash         ends by SIGSEGV
#   hang          runs forever, ignoring all signals except KILL
#   found-hang    like a sanitizer that has found an error and then hangs
#   found         like one that has found an error and ends with status 0
#   killed        ends by SIGKILL at once
set -u
echo "$(basename "$0") $*" >>"$CALLS"
row_end=",,,,0,,,,,,,,,"

action_for() { # action_for WHAT
  local pattern action
  while read -r pattern action; do
    # shellcheck disable=SC2053  # a pattern
    if [ -n "$pattern" ] && [[ ${1// /_} == $pattern ]]; then echo "$action"; return; fi
  done <<<"${FAULTS:-}"
}

act() { # act WHAT: actions that end the program
  case $(action_for "$1") in
    crash) kill -SEGV $$ ;;
    killed) kill -KILL $$ ;;
    hang) hang ;;
  esac
}
hang() {
  trap '' TERM INT
  echo $$ >>"$CALLS.pids"
  while :; do sleep 0.2; done
}

value_of() { # value_of FLAG ARGUMENT...: prints the argument that follows the flag
  local flag=$1
  shift
  while [ $# -gt 0 ] && [ "$1" != "$flag" ]; do shift; done
  [ $# -eq 0 ] || shift
  while [ $# -gt 0 ] && [[ $1 != --* ]]; do
    printf '%s\n' "$1"
    shift
  done
}

header="task,shape,cell,T,B,I,hidden,precision,pass,program,algorithm,execution,status,us_per_step,us_min,us_max,samples,noise,prepare_us,speed,tflops,peak_share,floor_us,floor_ratio,reserve_mib,work_mib"

bench() { # rows are saved after each precision; a failed device runs no other algorithm
  local csv shape precision algorithm pass program status=0 lost rows="" text
  csv=$(value_of --csv "$@")
  for shape in $(value_of --shapes "$@"); do
    for precision in $(value_of --precision "$@"); do
      lost=""
      for algorithm in $(value_of --algorithms "$@"); do
        act "bench $shape $precision $algorithm"
        if [ "$(action_for "bench $shape $precision $algorithm")" = fail ]; then lost=$algorithm; fi
      done
      for algorithm in $(value_of --algorithms "$@"); do
        program=unroll
        case $algorithm in cudnn*) program=cudnn ;; esac
        case $lost:$(action_for "bench $shape $precision $algorithm") in
          *:fail) text="failed: unspecified launch failure$row_end" status=1 ;;
          ?*:*) text="not measured: the device no longer works$row_end" ;;
          :wrong) text="wrong: y is 1 off$row_end" status=1 ;;
          *) text="ok,2.5,2,3,3,,,,,,,,," ;;
        esac
        for pass in forward backward; do
          rows="$rows"$'\n'"rnn,${shape//,/x},lstm,35,20,650,650,$precision,$pass,$program,$algorithm,graph,$text"
        done
      done
      printf '%s%s\n' "$header" "$rows" >"$csv"
      [ -z "$lost" ] || break 2
    done
  done
  [ $status -eq 0 ] || echo "unroll: rows are faults" >&2
  exit $status
}

train() {
  local save k
  save=$(value_of --save "$@")
  case " $* " in
    *" cuda:99 "*) echo "unroll: no CUDA device 99" >&2; exit 1 ;;
    *" 150000 "*) echo "unroll: out of memory: asked for 9 MB" >&2; exit 1 ;;
  esac
  act "train $(basename "$save")"
  mkdir -p "$save/best"
  for k in 1 2 3 4 5; do
    mkdir -p "$save/step-$k"
    for file in model.safetensors state.safetensors; do echo same >"$save/step-$k/$file"; done
    echo '{"rnn_algorithm_used": "stepwise"}' >"$save/step-$k/config.json"
    ln -sfn "step-$k" "$save/latest"
    case " $* " in *" auto "*) sleep 0.1 ;; esac
  done
  echo same >"$save/best/model.safetensors"
  printf '{"event": "valid", "loss": %s}\n' 5 4 3 >"$save/metrics.jsonl"
  echo "| end of epoch 1 | time: 1.50s | valid loss 1"
  echo "| End of training | test loss 1 | test ppl 80.0"
}

lm_step() {
  local shape precision
  shape=$(value_of --shapes "$@")
  case " $* " in *" --list "*) echo "$shape=lstm,35,20,650,650/650"; exit ;; esac
  precision=$(value_of --precision "$@")
  [ -z "${NO_DEVICE:-}" ] || { echo "not run: no CUDA device: none" >&2; exit 3; }
  act "lm $shape $precision"
  echo "$header"
  if [ "$(action_for "lm $shape $precision")" = fail ]; then
    echo "lm,$shape,lstm,35,20,650,650,$precision,step,unroll,auto,graph,failed: unspecified$row_end"
    exit 1
  fi
  echo "lm,$shape,lstm,35,20,650,650,$precision,step,unroll,stepwise:4,graph,ok,20,19,21,10,,,,,,,,,40"
}

unroll_tests() {
  case " $* " in
    *--gtest_list_tests*)
      printf '%s\n' "On/A." "  X/Cuda  # GetParam() = 1" "  Y/Cuda" "  X/CudaCudnn" "On/RecurrentB." "  X/Cuda" "  X/CudaPersistent" "CudaModule." "  Is"
      exit ;;
  esac
  local filter=${*##*--gtest_filter=}
  act "tests $filter"
  echo "Note: CUBLAS ${CUBLAS_WORKSPACE_CONFIG:-none}"
  if [ "$(action_for "tests $filter")" = fail ]; then
    echo "[  FAILED  ] $filter (1 ms)"
    exit 1
  fi
  echo "[       OK ] $filter (1 ms)"
}

sanitize() {
  case " $* " in *" --help "*) echo "  --kernel-name"; exit ;; esac
  local what
  what="shard $(value_of --tool "$@") $GTEST_SHARD_INDEX"
  case $* in *CudaWavefront*) ;; *) what="$what persistent" ;; esac
  echo "[       OK ] A (1 ms)"
  case $(action_for "$what") in
    found*) echo "========= Invalid __global__ read of size 4 bytes" ;;
  esac
  if [ "$(action_for "$what")" = found-hang ]; then hang; fi
  act "$what"
  if [ "$(action_for "$what")" != found ]; then echo "========= ERROR SUMMARY: 0 errors"; fi
}

python() {
  case $1 in
    *gpu_numbers.py) exec "$REAL_PYTHON" "$@" ;;
    -c) echo "PyTorch 2" ;;
    *pytorch_lm.py)
      local shape precision
      shape=$(value_of --shape "$@")
      precision=$(value_of --precision "$@")
      act "pytorch ${shape%%=*} $precision"
      echo "$header"
      echo "lm,${shape%%=*},lstm,35,20,650,650,$precision,step,pytorch,eager,stream,ok,60,59,61,10,,,,,,,,,90"
      ;;
  esac
}

case $(basename "$0") in
  unroll)
    case $1 in
      --version) echo "unroll 0" ;;
      doctor) act doctor; echo "cuDNN          9"; echo "cuda:0         a GPU" ;;
      bench) bench "$@" ;;
      train) train "$@" ;;
      eval) echo '{"loss": 3}' ;;
    esac
    ;;
  lm_step) lm_step "$@" ;;
  cublas_step) echo "$header"; echo "rnn,wlm200,lstm,35,20,200,200,$(value_of --precision "$@"),forward,cublas,products,graph,ok,1,1,1,9,,,,,,,,," ;;
  unroll_tests) unroll_tests "$@" ;;
  compute-sanitizer) sanitize "$@" ;;
  python) python "$@" ;;
  nvidia-smi) act nvidia-smi; echo "a GPU, 580" ;;
esac
