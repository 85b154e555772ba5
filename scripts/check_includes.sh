#!/usr/bin/env bash
# Enforces the layers of docs/architecture.md: which folder may include what. Prints each violation as
# file:line and exits 1 if there is one.
#
#   scripts/check_includes.sh [root]     root: another copy of the sources, for this script's test
set -euo pipefail
cd "${1:-$(dirname "${BASH_SOURCE[0]}")/..}"

folders=()
for folder in include host cuda tests benchmarks; do
  if [ -d "$folder" ]; then folders+=("$folder"); fi
done
mapfile -t files < <(find "${folders[@]:-include}" -type f \
  \( -name '*.h' -o -name '*.cuh' -o -name '*.cpp' -o -name '*.cu' \) | sort)
if [ ${#files[@]} -eq 0 ]; then
  echo "no sources in $PWD" >&2
  exit 1
fi

awk '
# rule(layer, project headers, system headers): regular expressions of what it may include.
# Standard headers are those without a slash or a dot, <vector> for example.
function rule(layer, project, system_) {
  project_of[layer] = project
  system_of[layer] = system_
}

BEGIN {
  standard = "^[a-z_0-9]+$"
  anything = "."
  device = "unroll/((backend|tensor|recurrent_spec|host_device)[.]h|cells/)"

  rule("include/unroll/cells", "^unroll/(host_device[.]h|cells/)",
       "^(bit|cmath|concepts|cstddef|cstdint|limits|type_traits)$")
  rule("include/unroll", "^unroll/", standard)
  rule("host", "^unroll/(backend|cuda_module)[.]h", anything)
  rule("host/graph", "^(unroll|host/graph|host/ops)/", standard)
  rule("host/ops", "^(unroll|host/graph|host/ops)/", standard)
  rule("host/cpu", "^(host/cpu/|unroll/cpu_limits[.]h|" device ")", anything)
  rule("host/data", "^(unroll|host/data)/", anything)
  rule("host/models", "^(unroll|host/(models|data))/", anything)
  rule("host/train", "^(unroll|host/(train|models|data))/", anything)
  rule("host/cli", "^(unroll|benchmarks|host/(cli|train|models|data))/", anything)
  rule("cuda", "^(cuda/|unroll/cuda_(module|report)[.]h|" device ")", anything)
  rule("tests", anything, anything)
  rule("benchmarks", anything, anything)

  cuda_header = "^(cuda|cub/|cublas|cudnn|cufft|curand|cusolver|cusparse|cute/|cutlass|thrust/|nccl|" \
                "nvrtc|nvml|nvtx|nvToolsExt|nv/|mma[.]h|cooperative_groups|crt/|driver_types|" \
                "device_(launch_parameters|functions|types)|vector_(types|functions)|sm_[0-9])"
}

# The folder that decides: include/unroll, include/unroll/cells, host/X, and else the first.
function layer_of(file) {
  if (file ~ "^include/unroll/cells/") return "include/unroll/cells"
  if (file ~ "^include/") return "include/unroll"
  if (file ~ "^host/[^/]+/") return substr(file, 1, index(substr(file, 6), "/") + 4)
  return substr(file, 1, index(file, "/") - 1)
}

function violation(why) {
  printf "%s:%d: %s\n", FILENAME, FNR, why
  found = 1
}

function check(layer, quoted, target) {
  project = quoted || target ~ "^(unroll|host|tests|benchmarks)/"
  if (!(layer in project_of)) {
    violation("no rule for the folder " layer ": add one to scripts/check_includes.sh")
  } else if (target ~ "(^|/)[.][.]?/") {
    violation("\"" target "\": write the path from the project root")
  } else if (target ~ cuda_header && !(quoted && target ~ "^cuda/") && layer != "cuda") {
    violation("<" target ">: CUDA headers belong in cuda/ alone")
  } else if (quoted && layer !~ "^(tests|benchmarks)$" && target !~ "^(unroll|host|cuda|benchmarks)/") {
    violation("\"" target "\": expected a path from the project root, or <> for a library")
  } else if (target == "unroll/cuda_module.h" && layer != "cuda" && FILENAME != "host/cuda_module.cpp") {
    violation("\"" target "\" is between host/cuda_module.cpp and cuda/")
  } else if (project && target !~ project_of[layer]) {
    violation("\"" target "\": " layer " may include " project_of[layer])
  } else if (!project && target !~ system_of[layer] && target !~ cuda_header) {
    violation("<" target ">: " layer " may include " system_of[layer])
  }
}

{ sub(/\r$/, "") }
/^[ \t]*#[ \t]*include/ || /^[ \t]*#.*__has_include/ {
  text = $0
  if (match(text, /"[^"]*"/) && (text !~ /</ || RSTART < index(text, "<")))
    check(layer_of(FILENAME), 1, substr(text, RSTART + 1, RLENGTH - 2))
  else if (match(text, /<[^>]*>/))
    check(layer_of(FILENAME), 0, substr(text, RSTART + 1, RLENGTH - 2))
  else
    violation("an include that cannot be checked: " text)
}

END { exit found }
' "${files[@]}"
echo "Includes of ${#files[@]} files agree with the layers."
