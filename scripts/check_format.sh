#!/usr/bin/env bash
# Are the sources formatted as .clang-format says? With --fix: make them so. Other versions of
# clang-format break lines in other places, so only the one that is in use here decides.
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

readonly version=14
formatter=$(command -v clang-format-$version || command -v clang-format || true)
if [ -z "$formatter" ]; then
  echo "Skipped: clang-format is not installed."
  exit 0
fi
if ! "$formatter" --version | grep -q "version $version\."; then
  echo "Skipped: this is $("$formatter" --version), expected version $version."
  exit 0
fi

case "${1:-}" in
  '') arguments=(--dry-run -Werror) ;;
  --fix) arguments=(-i) ;;
  *)
    echo "usage: ${BASH_SOURCE[0]} [--fix]: got '$1'" >&2
    exit 2
    ;;
esac
find . \( -name '.git' -o -name 'build*' -o -name runs \) -prune -o -type f \
  \( -name '*.h' -o -name '*.cpp' -o -name '*.cu' -o -name '*.cuh' \) -print0 |
  xargs -0 -r "$formatter" "${arguments[@]}"
[ "${1:-}" = --fix ] || echo "Formatted as .clang-format says."
