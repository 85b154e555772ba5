#!/usr/bin/env bash
# Neither the start of the program nor commands without a device may load the CUDA module, which
# costs tens of milliseconds. $1: the program. Asks the dynamic loader, which prints the files that
# it opens.
set -euo pipefail

for arguments in --version --help 'train --help' 'train --device cpu --model none'; do
  # shellcheck disable=SC2086
  loaded=$(LD_DEBUG=files "$1" $arguments 2>&1 || true)  # the last one is refused
  if ! grep -q 'libc[.]so' <<<"$loaded"; then
    echo "the loader reports no files, so nothing is known:"
    echo "$loaded"
    exit 1
  fi
  if grep -E 'lib[^/ ]*(cuda|cublas|cudnn|nvidia)[^/ ]*[.]so' <<<"$loaded"; then
    echo "loaded by unroll $arguments"
    exit 1
  fi
done
echo "no CUDA library is loaded at start"
