#!/usr/bin/env bash
# Everything that has to pass: set-up, formatting, and all tests in a Release build (with the CUDA
# module if there is an nvcc).
#
#   scripts/run_tests.sh             without the tests that have the label `weekly`. Several sources
#                                    are compiled as one, the CUDA module for one architecture
#   scripts/run_tests.sh --sanitize  then the unit tests again under AddressSanitizer and UBSan, which
#                                    see what is tested, not the tests' own sources: these are
#                                    compiled once for both builds
#   scripts/run_tests.sh --weekly    both with all tests, every source by itself, all architectures,
#                                    sanitizers in the tests, too
#
#   UNROLL_DATA   corpora for the tests that use real text; they are skipped where it is absent
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

architecture=90-real
if nvidia-smi -L >/dev/null 2>&1; then architecture=native; fi
unity=ON architectures=(-DCMAKE_CUDA_ARCHITECTURES=$architecture)
sanitize=0 test_options=(-DUNROLL_TEST_ARCHIVE="$PWD/build/lib/libunroll_test_sources.a")
selection=(--label-exclude '^weekly$')
case "${1:-}" in
  '') ;;
  --weekly)
    sanitize=1 unity=OFF architectures=() selection=()
    test_options=(-DUNROLL_TEST_OPTIONS=-fno-sanitize=undefined)
    ;;
  --sanitize) sanitize=1 ;;
  *)
    echo "usage: ${BASH_SOURCE[0]} [--sanitize | --weekly]: got '$1'" >&2
    exit 2
    ;;
esac

started=$SECONDS
summaries=$(mktemp)
log=$(mktemp)
trap 'rm -f "$summaries" "$log"' EXIT

phase_started=$started
end_phase() { # end_phase title: writes down how long it took
  printf '%6d s  %s\n' $((SECONDS - phase_started)) "$1" >>"$summaries"
  phase_started=$SECONDS
}

run_ctest() { # run_ctest title arguments...
  local title=$1 status=0
  shift
  # One more than processors: some tests sleep.
  ctest --output-on-failure --parallel $(($(nproc) + 1)) "$@" 2>&1 | tee "$log" || status=$?
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

end_phase "Set-up and formatting"

step "Release build in build/"
cmake --preset dev -DUNROLL_UNITY=$unity "${architectures[@]}"
cmake --build build --parallel "$(jobs)"
end_phase "Release build"

step "All tests"
run_ctest "Release" --test-dir build "${selection[@]}"
end_phase "Release tests"

if ((sanitize)); then
  step "Build with AddressSanitizer and UBSan in build-asan/"
  cmake --preset asan -DUNROLL_UNITY=$unity "${test_options[@]}"
  cmake --build build-asan --parallel "$(jobs)" --target unroll_unit_tests
  end_phase "Build with sanitizers"

  step "Unit tests with AddressSanitizer and UBSan"
  run_ctest "AddressSanitizer and UBSan" --test-dir build-asan --label-regex '^(unit|weekly)$' \
    "${selection[@]}"
  end_phase "Tests with sanitizers"
fi

step "Done in $((SECONDS - started)) s"
cat "$summaries"
