#!/usr/bin/env bash
# Starting the program must not load the CUDA module, which costs tens of milliseconds. $1: the
# program. Asks the dynamic loader, which says which files it opens.
set -euo pipefail

loaded=$(LD_DEBUG=files "$1" --version 2>&1)
if ! grep -q 'libc[.]so' <<<"$loaded"; then
  echo "the loader reports no files, so nothing is known:"
  echo "$loaded"
  exit 1
fi
if grep -E 'lib[^/ ]*(cuda|cublas|cudnn|nvidia)[^/ ]*[.]so' <<<"$loaded"; then
  echo "loaded at start"
  exit 1
fi
echo "no CUDA library is loaded at start"
