#!/usr/bin/env bash
# What every kernel of cuda/ takes of a multiprocessor, as ptxas says: writes a page beside the
# results. Exit status 1 if one of ours spills registers to memory, which costs more than any launch
# bound gains.
# Needs nvcc; takes a minute or two.
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

page=benchmarks/results/sm90-sass/kernels.md architectures=(80 90)
nvcc=$(command -v nvcc || ls /usr/local/cuda/bin/nvcc 2>/dev/null || true)
[ -n "$nvcc" ] || die "there is no nvcc"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# With what CMake compiles them with.
# shellcheck disable=SC2016  # expanded by the other shell
for source in cuda/*/*.cu; do
  for architecture in "${architectures[@]}"; do
    printf '%s %s\n' "$source" "$architecture"
  done
done | xargs -P "$(jobs)" -L 1 bash -c '
  "$0" -std=c++20 -O3 -DNDEBUG -I. -Iinclude -Xcompiler=-fPIC -Xptxas -v "-arch=sm_$3" \
    -cubin -o /dev/null "$2" 2>"$1/${2//\//+}.$3" || { cat "$1/${2//\//+}.$3"; exit 255; }
' "$nvcc" "$work" >&2

# One line per kernel and architecture: file, kernel, architecture, registers, spilled bytes, shared.
for said in "$work"/*; do
  file=$(basename "$said" | tr + /)
  c++filt <"$said" | awk -v file="${file%.*}" -v architecture="${file##*.}" '
    /Compiling entry function/ {
      kernel = $0
      sub(/.*entry function .(void )?/, "", kernel)
      sub(/. for .sm_[0-9a-z]+.$/, "", kernel)
    }
    /bytes spill stores/ { for (i = 1; i < NF; i++) if ($(i + 2) == "spill") spilled[$(i + 3)] = $i }
    /: Used [0-9]+ registers/ {
      registers = shared = 0
      for (i = 1; i < NF; i++) {
        if ($(i + 1) ~ /^registers/) registers = $i
        if ($(i + 1) == "bytes" && $(i + 2) ~ /^smem/) shared = $i
      }
      printf "%s\t%s\t%s\t%d\t%d\t%d\n", file, kernel, architecture, registers,
        spilled["stores,"] + spilled["loads"], shared
    }'
done >"$work/kernels"

status=0
python3 - "$work/kernels" "$work/page" "${architectures[@]}" <<'PYTHON' || status=$?
"""The page from the lines; exit status 1 if a kernel of ours spills."""
import glob
import re
import sys

enumerators = {}  # "(Kind)3" -> "kMultiply"
for header in glob.glob("include/unroll/*.h") + glob.glob("cuda/*/*.*"):
    text = re.sub("//.*", "", open(header).read())
    for kind, names in re.findall(r"enum class (\w+)[^{;]*{([^}]*)}", text):
        for value, name in enumerate(re.findall(r"\w+", names)):
            enumerators[f"({kind}){value}"] = name


def short(name):
    """A kernel's name with its template arguments, without parameters and our namespaces."""
    depth = end = 0
    for end, character in enumerate(name):
        depth += {"<": 1, ">": -1}.get(character, 0)
        if character == "(" and depth == 0 and not name.startswith("(anonymous namespace)", end):
            break
    else:
        end = len(name)
    name = re.sub(r"unroll::(gpu::|cells::)?|\(anonymous namespace\)::", "", name[:end])
    return re.sub(r"\(\w+\)\d+", lambda match: enumerators.get(match[0], match[0]), name)


lines, page, architectures = sys.argv[1], sys.argv[2], sys.argv[3:]
kernels, libraries, spills = {}, 0, []
for line in open(lines):
    file, name, architecture, *numbers = line.rstrip("\n").split("\t")
    registers, spilled, shared = map(int, numbers)
    if not name.startswith("unroll::"):
        libraries += architecture == architectures[0]
        continue
    kernels.setdefault((file, short(name)), {})[architecture] = (registers, spilled, shared)
    if spilled:
        spills.append(f"{file}: {short(name)} spills {spilled} bytes on sm_{architecture}")
with open(page, "w") as out:
    out.write("# Kernels\n\nWhat `scripts/kernel_resources.sh` made of ptxas's report: registers of a "
              "thread, bytes spilled, bytes of shared\nmemory of a block. The file's other kernels "
              f"({libraries}) are CUB's.\n")
    last = ""
    for (file, name), values in sorted(kernels.items()):
        if file != last:
            out.write(f"\n## {file}\n\n| kernel | " +
                      " | ".join(f"sm_{a}: registers | spilled | shared" for a in architectures) +
                      " |\n|---|" + "---:|" * (3 * len(architectures)) + "\n")
            last = file
        cells = [str(n) for a in architectures for n in values.get(a, ("", "", ""))]
        out.write(f"| `{name}` | " + " | ".join(cells) + " |\n")
print(f"{len(kernels)} kernels of ours, {libraries} of CUB")
print("\n".join(spills) or "none of ours spills")
sys.exit(bool(spills))
PYTHON
cp "$work/page" "$page"
exit $status
