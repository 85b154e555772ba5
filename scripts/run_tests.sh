#!/usr/bin/env bash
# Everything that has to pass: set-up, formatting, all tests in a Release build (with the CUDA module
# if there is an nvcc), and the unit tests again under AddressSanitizer and UBSan.
#
#   UNROLL_DATA   corpora for the tests that use real text; they are skipped where it is absent
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

started=$SECONDS
summaries=$(mktemp)
log=$(mktemp)
trap 'rm -f "$summaries" "$log"' EXIT

run_ctest() { # run_ctest title arguments...
  local title=$1 status=0
  shift
  ctest --output-on-failure --parallel 2 "$@" 2>&1 | tee "$log" || status=$?
  printf '%s: %s\n' "$title" "$(grep '% tests passed' "$log" | tail -n 1 || echo 'no summary from ctest')" >>"$summaries"
  [ "$status" -eq 0 ] || {
    cat "$summaries"
    exit "$status"
  }
}

step "Set-up"
scripts/install_dependencies.sh --tests
choose_compiler || die "no g++ of version $minimum_gcc or newer"
if [ -z "${UNROLL_DATA:-}" ] && [ -d ../shared/data ]; then
  UNROLL_DATA=$(cd ../shared/data && pwd)
  export UNROLL_DATA
fi
echo "Corpora (UNROLL_DATA): ${UNROLL_DATA:-none, so the tests that need them are skipped}"

step "Formatting"
scripts/check_format.sh

step "Release build in build/"
cmake --preset release -DUNROLL_CUDA=AUTO -DUNROLL_BUILD_TESTS=ON
cmake --build build --parallel "$(jobs)"

step "All tests"
run_ctest "Release" --test-dir build

step "Build with AddressSanitizer and UBSan in build-asan/"
cmake --preset asan -DUNROLL_BUILD_TESTS=ON
cmake --build build-asan --parallel "$(jobs)" --target unroll_unit_tests

step "Unit tests with AddressSanitizer and UBSan"
run_ctest "AddressSanitizer and UBSan" --test-dir build-asan --label-regex '^unit$'

step "Done in $((SECONDS - started)) s"
cat "$summaries"
