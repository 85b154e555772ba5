# shellcheck shell=bash
# What the scripts share. Source it; it changes to the project's root.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"

# shellcheck disable=SC2034  # the scripts that source this use them
readonly minimum_gcc=12 minimum_cmake=3.25

step() { printf '\n== %s\n' "$*"; }
die() {
  printf '%s\n' "$*" >&2
  exit 1
}

# at_least 3.25 3.22.1: is the second version the first or newer?
at_least() { [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]; }

# Sets CXX, unless the caller has, to a g++ that is new enough; fails if there is none.
choose_compiler() {
  local candidate version
  for candidate in ${CXX:-g++ g++-14 g++-13 g++-12}; do
    version=$("$candidate" -dumpversion 2>/dev/null) || continue
    # Only g++'s versions are known here: a compiler given in CXX is not checked.
    if [ -n "${CXX:-}" ] || at_least "$minimum_gcc" "$version"; then
      export CXX=$candidate
      return 0
    fi
  done
  return 1
}

cmake_version() { cmake --version 2>/dev/null | awk 'NR == 1 { print $3 }'; }

# How many compilers at once: one per processor, and 1.5 GB of memory for each.
jobs() {
  local processors memory
  processors=$(nproc)
  memory=$(awk '/^MemAvailable:/ { print int($2 / 1500000) }' /proc/meminfo 2>/dev/null || true)
  [ -n "$memory" ] || memory=$processors
  [ "$memory" -ge 1 ] || memory=1
  echo $((memory < processors ? memory : processors))
}

# The commit that the build in folder $1 is of: a packed one says so, else it is of these sources.
commit_name() {
  cat "${1:-build}/COMMIT" 2>/dev/null || git rev-parse --short HEAD 2>/dev/null || echo unknown
}

# What measured times depend on, in lines for the head of a CSV. $1: the build that is measured.
describe_machine() {
  echo "# $(grep -m1 'model name' /proc/cpuinfo | cut -d: -f2 | sed 's/^ //'), $(nproc) processors, commit $(commit_name "${1:-build}")"
  timeout 20 nvidia-smi --format=csv,noheader \
    --query-gpu=name,driver_version,clocks.sm,clocks.max.sm,clocks.mem,power.limit 2>/dev/null |
    sed 's/^/# GPU, driver, clocks (SM, at most, memory), power limit: /' || true
}
