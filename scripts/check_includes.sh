#!/usr/bin/env bash
# Enforces the layers of docs/architecture.md: which folder may include what, and that what lies below
# the command line names none of its flags and prints nothing. Prints each violation as file:line and
# exits 1 if there is one.
#
#   scripts/check_includes.sh [root]     root: another copy of the sources, for this script's test
set -euo pipefail
cd "${1:-$(dirname "${BASH_SOURCE[0]}")/..}"

folders=()
for folder in include host cuda examples tests benchmarks; do
  if [ -d "$folder" ]; then folders+=("$folder"); fi
done
mapfile -t files < <(find "${folders[@]:-include}" -type f \
  \( -name '*.h' -o -name '*.cuh' -o -name '*.cpp' -o -name '*.cu' \
  -o -name '*.hpp' -o -name '*.inc' \) | sort)
if [ ${#files[@]} -eq 0 ]; then
  echo "no sources in $PWD" >&2
  exit 1
fi

failed=false
awk '
# rule(folder, project headers, system headers): regular expressions of what it may include.
# Standard headers are those without a slash or a dot, <vector> for example.
function rule(layer, project, system_) {
  project_of[layer] = "^(" project ")"
  system_of[layer] = system_
}

# room(folder, rooms below it): a folder of cuda/.
function room(name, below) {
  rule("cuda/" name, "cuda/(" name (below == "" ? "" : "|" below) ")/|unroll/(cuda_report[.]h|" device ")", anything)
}

BEGIN {
  standard = "^[a-z_0-9]+$"
  anything = "."
  formulas = "(cells|math)/|host_device[.]h"
  device = "kernels/|(backend|device|loop_nest|optimizer_spec|recurrent_(algorithm|spec)|tensor|version)[.]h|" formulas
  public = "unroll/[a-z_]+[.]h|unroll/(math|ops)/"

  rule("include/unroll/cells", "unroll/(cell_kind[.]h|host_device[.]h|cells/)",
       "^(bit|cmath|concepts|cstddef|cstdint|limits|stdexcept|type_traits)$")
  rule("include/unroll/math", "unroll/(host_device[.]h|math/)",
       "^(bit|cmath|concepts|cstddef|cstdint|limits|type_traits)$")
  rule("include/unroll/kernels",
       "unroll/(kernels/|math/|cells/activations[.]h|host_device[.]h|(optimizer_spec|recurrent_algorithm|recurrent_spec|tensor)[.]h)", standard)
  rule("include/unroll/ops", "unroll/(ops/|(graph|initializer|tensor)[.]h)", standard)
  rule("include/unroll", "unroll/", "^([a-z_0-9]+|std(def|int)[.]h)$")  # the latter for C

  # libunroll
  rule("host", "unroll/(backend|device|cuda_module|version)[.]h|host/base/module[.]h", anything)
  rule("host/base", "host/base/|unroll/(tensor|version)[.]h", anything)
  rule("host/graph", "unroll/|host/(graph|base)/", standard)
  rule("host/ops", "unroll/|host/(ops|graph)/", standard)
  rule("host/cpu", "unroll/(" device "|cpu_limits[.]h)|host/(cpu/|base/module[.]h)", anything)
  rule("host/lapack", "unroll/(" device ")|host/cpu/", anything)

  # libunroll_cuda.so
  room("kernels", "")
  room("device", "kernels")
  room("ops", "kernels|device")
  room("recurrent", "kernels|device")
  room("cudnn", "kernels|device|recurrent")
  rule("cuda/nccl", "host/parallel/nccl_module[.]h|unroll/(backend|version)[.]h", anything)
  rule("cuda", "cuda/|unroll/(cuda_module[.]h|cuda_report[.]h|" device ")", anything)

  # the program
  rule("host/data", public "|host/(data|base)/", anything)
  rule("host/parallel", "host/(parallel|base)/|unroll/(backend|device|tensor|version)[.]h", anything)
  rule("host/models", public "|host/(models|parallel|data|base)/", anything)
  rule("host/infer", public "|host/(infer|models|data|base)/", anything)
  rule("host/train", public "|host/(train|models|parallel|data|base)/", anything)
  rule("host/pages", public "|host/(pages|models|data|base)/", anything)
  rule("host/bench", "unroll/|host/(bench|pages|cpu|base)/", anything)
  rule("host/serve", public "|host/(serve|infer|models|data|base)/", anything)
  rule("host/cli", public "|host/(cli|serve|bench|pages|train|infer|models|parallel|data|base)/", anything)

  rule("examples", "examples/common/|unroll/ops/|unroll/(cpu_limits|cuda_report|device|gradients|graph|initializer|language_model|" \
       "layers|ops|optimizer|recurrent|recurrent_algorithm|session|tensor|unroll|variable_store|version)[.]h", standard)
  rule("tests", "", anything)
  rule("benchmarks", "", anything)

  cuda_header = "^(cuda|cub/|cublas|cudnn|cufft|curand|cusolver|cusparse|cute/|cutlass|thrust/|nccl|" \
                "nvrtc|nvml|nvtx|nvToolsExt|nv/|mma[.]h|cooperative_groups|crt/|driver_types|" \
                "device_(launch_parameters|functions|types)|vector_(types|functions)|sm_[0-9])"
}

# The folder that decides: include/unroll/X, host/X, cuda/X, and else the first.
function layer_of(file) {
  if (match(file, "^(include/unroll|host|cuda)/[^/]+/")) return substr(file, 1, RLENGTH - 1)
  if (file ~ "^include/") return "include/unroll"
  return substr(file, 1, index(file, "/") - 1)
}

# Whether the headers of CUDA may be included here.
function is_cuda(layer) { return layer ~ "^cuda(/|$)" }

# libunroll and the CUDA module have no dependency but the system, so that a program that uses them has
# none. Three files of host/base are for the program.
function is_foreign(target) { return target ~ "^(boost/|fmt/|nlohmann/|CLI/|xxhash[.]h|utf8proc[.]h)" }
function is_light(file, layer) {
  return layer ~ "^(include/|host$|host/(graph|ops|cpu|lapack|base)$|cuda|examples)" &&
         file !~ "^host/base/(hash[.]h|file_hash[.]cpp|strict_json[.](h|cpp))$"
}

# The seam is between the engine and its devices: a user of the library never meets it.
function meets_seam(file, layer) {
  return is_cuda(layer) || layer ~ "^(host(/(graph|ops|cpu|lapack|models|infer|train|parallel|bench|cli))?|tests|benchmarks)$" ||
         file ~ "^include/unroll/((backend|cuda_module)[.]h$|kernels/)"
}

function violation(why) {
  printf "%s:%d: %s\n", FILENAME, FNR, why
  found = 1
}

function check(layer, quoted, target) {
  project = quoted || target ~ "^(unroll|host|tests|benchmarks|cuda/(kernels|device|ops|recurrent|cudnn))/"
  if (!(layer in project_of)) {
    violation("no rule for the folder " layer ": add one to scripts/check_includes.sh")
  } else if (target ~ "(^|/)[.][.]?/") {
    violation("\"" target "\": write the path from the project root")
  } else if (target ~ cuda_header && !(quoted && target ~ "^cuda/") && !is_cuda(layer)) {
    violation("<" target ">: only cuda/ may include headers of CUDA")
  } else if (is_foreign(target) && is_light(FILENAME, layer)) {
    violation("<" target ">: " layer " uses no other library")
  } else if (target ~ "^boost/" && FILENAME !~ "^host/serve/http_(connection|server)[.]") {
    violation("<" target ">: only the sockets of host/serve use it, because it takes long to compile")
  } else if (quoted && layer !~ "^(tests|benchmarks)$" && target !~ "^(unroll|host|cuda|examples)/") {
    violation("\"" target "\": expected a path from the project root, or <> for a library")
  } else if (target == "unroll/cuda_module.h" && !is_cuda(layer) && FILENAME != "host/cuda_module.cpp") {
    violation("\"" target "\" is between host/cuda_module.cpp and cuda/")
  } else if (target ~ "^unroll/(backend[.]h$|kernels/)" && !meets_seam(FILENAME, layer)) {
    violation("\"" target "\" is between the engine and its devices: unroll/device.h is for users")
  } else if (project && target !~ project_of[layer]) {
    violation("\"" target "\": " layer " may include " project_of[layer])
  } else if (!project && target !~ system_of[layer] && target !~ cuda_header) {
    violation("<" target ">: " layer " may include " system_of[layer])
  }
}

FNR == 1 { layer = layer_of(FILENAME) }
{ sub(/\r$/, "") }
/^[ \t]*#[ \t]*include/ || /^[ \t]*#.*__has_include/ {
  text = $0
  if (match(text, /"[^"]*"/) && (text !~ /</ || RSTART < index(text, "<")))
    check(layer, 1, substr(text, RSTART + 1, RLENGTH - 2))
  else if (match(text, /<[^>]*>/))
    check(layer, 0, substr(text, RSTART + 1, RLENGTH - 2))
  else
    violation("an include that cannot be checked: " text)
}

END { exit found }
' "${files[@]}" || failed=true

# Style sheets have variables that look like flags.
mapfile -t below < <(printf '%s\n' "${files[@]}" | grep -E '^(include|host|cuda)/' |
  grep -vE '^host/cli/|_style[.]h$')
refuse() { # refuse why expression: no line of the files below the command line may match
  local said
  said=$(grep -nE "$2" /dev/null "${below[@]}") || return 0
  awk -v why="$1" '{ print $0 "  <- " why }' <<<"$said"
  failed=true
}
refuse 'only host/cli may name flags' '("([^"\\]|\\.)*[^-a-zA-Z0-9_]|"|//(.*[^-a-zA-Z0-9_])?)--[a-z]{2}'
refuse 'only host/cli may print' \
  '\b(stdout|stderr|v?f?printf|f?puts[(]|putchar|perror|std::w?(cout|cerr|clog)|STD(OUT|ERR)_FILENO)'

if $failed; then exit 1; fi
echo "The layers of ${#files[@]} files are kept."
