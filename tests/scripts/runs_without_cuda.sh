#!/usr/bin/env bash
# The program must work without an NVIDIA driver and toolkit, however it was built, and say what is
# missing. $1: the program. Hides both from it in a mount namespace.
set -euo pipefail

program=$1
module=$(dirname "$program")/../lib/libunroll_cuda.so
if [ "${2:-}" != hidden ]; then
  if ! unshare --map-root-user --mount true 2>/dev/null; then
    echo "SKIPPED: not permitted to hide files in a mount namespace"
    exit 77
  fi
  exec unshare --map-root-user --mount "$0" "$program" hidden
fi

libraries() {
  PATH=$PATH:/sbin:/usr/sbin ldconfig -p
  if [ -e "$module" ]; then ldd "$module"; fi
}
# Toolkit folders as a whole, and files among the system's libraries one by one.
for folder in /usr/local/cuda*/; do
  if [ -d "$folder" ]; then mount -t tmpfs none "$(realpath "$folder")"; fi
done
while read -r library; do
  if [ -e "$library" ]; then mount --bind /dev/null "$(realpath "$library")"; fi
done < <(libraries | grep -Eo '/[^ ]*/lib(cuda|cublas|cudart|cudnn|nvidia)[^ /]*[.]so[^ /]*' | sort -u)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
for ((k = 0; k < 200; ++k)); do echo "a b c d e f g"; done >text

expect() {  # expect FILE PATTERN
  if grep -qE -- "$2" "$1"; then return; fi
  echo "expected: $2"
  echo "got:"
  cat "$1"
  exit 1
}

reason='no CUDA module .*is installed with this build'
if [ -e "$module" ]; then reason='the CUDA module does not load: libcu[a-z]*[.]so[.0-9]*: '; fi
"$program" --help >help
expect help doctor
"$program" doctor >page
expect page "^CUDA module +$reason"
expect page "^--device auto +cpu; no GPU: $reason"
"$program" doctor --json >json
expect json '"auto":\{"device":"cpu"'
train=("$program" train --data text --save run --cache-dir cache --nhid 4 --emsize 4 --nlayers 1
  --batch-size 2 --bptt 5 --epochs 1)
if "${train[@]}" --device cuda >out 2>err; then
  echo "trained on a GPU that there is not"
  exit 1
fi
expect err "^unroll: --device cuda: $reason.*; --device cpu works without a GPU$"
"${train[@]}" >out 2>err
expect err "^device: cpu .*, no GPU: unroll doctor says why$"
expect out 'End of training'
echo "helps, reports and trains without CUDA"
