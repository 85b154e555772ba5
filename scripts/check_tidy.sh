#!/usr/bin/env bash
# Runs clang-tidy, with what .clang-tidy asks for, over the .cpp files that changed since a commit.
#
#   scripts/check_tidy.sh BASE     BASE: a commit, origin/main for instance
#
# Exit status 1 if clang-tidy complains.
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

if [ $# -ne 1 ] || ! git rev-parse --quiet --verify "$1^{commit}" >/dev/null; then
  echo "usage: ${BASH_SOURCE[0]} BASE: got '$*', expected a commit" >&2
  exit 2
fi
tidy=$(command -v clang-tidy-14 || command -v clang-tidy || true)
[ -n "$tidy" ] || die "clang-tidy is not installed (Debian's package is clang-tidy)."

# A folder of its own, in which every source has a command.
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
cmake --preset dev -DUNROLL_CUDA=OFF -B "$build" >/dev/null
cmake --build "$build" --target unroll_commit >/dev/null # writes a header
mapfile -t changed < <(git diff --name-only --diff-filter=d "$1" -- '*.cpp')
files=()
for file in "${changed[@]}"; do
  if grep -qF "\"file\": \"$PWD/$file\"" "$build/compile_commands.json"; then files+=("$file"); fi
done
if [ ${#files[@]} -eq 0 ]; then
  echo "No .cpp file that is compiled has changed since $1."
  exit 0
fi
printf '%s\0' "${files[@]}" | xargs -0 -n 1 -P "$(jobs)" "$tidy" -p "$build" --quiet \
  --extra-arg=-Wno-unknown-warning-option
echo "clang-tidy has no complaint about ${#files[@]} files."
