#!/usr/bin/env bash
# scripts/install_dependencies.sh on systems with missing packages, made of stand-in commands: what
# it requests from apt-get, and what it prints if it may not use it. Nothing is installed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

system=$(mktemp -d)
trap 'rm -rf "$system"' EXIT
failures=0

# The commands that the script itself uses; all others exist only if a test adds them.
mkdir "$system/base"
for command in bash sh dirname sort head awk cat ln; do
  ln -s "$(command -v $command)" "$system/base/"
done
put() { # put name body
  printf '#!/bin/sh\n%s\n' "$2" >"$system/bin/$1"
  chmod +x "$system/bin/$1"
}
put_compiler() { put g++ "[ \"\$1\" = -dumpversion ] && echo $1; exit 0"; } # has every header

fresh() { # fresh release: everything present, apt-get records its arguments
  rm -rf "${system:?}/bin"
  mkdir "$system/bin"
  printf 'ID=%s\nVERSION_ID="%s"\n' "${1% *}" "${1#* }" >"$system/os-release"
  : >"$system/asked"
  put_compiler 12
  put cmake 'echo "cmake version 3.25.1"'
  put ninja 'exit 0'
  put strace 'exit 0'
  put python3 'exit 0'
  put clang-format 'exit 0'
  put id 'echo 0'
  put apt-get "echo \"apt-get \$*\" >>'$system/asked'"
}

run() { # sets said, asked, status
  status=0
  said=$(env -i HOME=/nonexistent PATH="$system/bin:$system/base" \
    UNROLL_OS_RELEASE="$system/os-release" \
    bash scripts/install_dependencies.sh "$@" 2>&1 </dev/null) || status=$?
  asked=$(cat "$system/asked")
}

expect() { # expect title condition...
  local title=$1
  shift
  if ! "$@"; then
    printf '%s: status %s\nsaid: %s\nasked: %s\n\n' "$title" "$status" "$said" "$asked"
    failures=$((failures + 1))
  fi
}
has() { [[ "$1" == *"$2"* ]]; }
equal() { [ "$1" = "$2" ]; }

fresh 'debian 12'
run --tests
expect 'nothing missing' equal "$status:$asked" '0:'

fresh 'debian 12'
rm "$system/bin/ninja"
put apt-get "echo \"apt-get \$*\" >>'$system/asked'; ln -sf /bin/true '$system/bin/ninja'"
run
expect 'root installs what is missing' equal "$status" 0
expect 'and that alone' has "$asked" 'install -y --no-install-recommends ninja-build'
expect 'after an update' has "$asked" 'apt-get update'

fresh 'debian 12'
rm "$system/bin/strace"
put apt-get "echo \"apt-get \$*\" >>'$system/asked'; ln -sf /bin/true '$system/bin/strace'"
run
expect 'what only tests need is not asked for without them' equal "$status:$asked" '0:'
run --tests
expect 'and with them is' has "$asked" 'install -y --no-install-recommends strace'

# shellcheck disable=SC2016  # the stand-in expands it
without_onednn='[ "$1" = -dumpversion ] && echo 12 && exit 0
case "$(cat)" in *dnnl*) exit 1 ;; esac'
fresh 'debian 12'
put g++ "$without_onednn"
run
expect 'a library to compare with is not asked for without tests' equal "$status:$asked" '0:'
run --tests
expect 'and with them is' has "$asked" 'install -y --no-install-recommends libdnnl-dev'
expect 'but need not be there' equal "$status" 0
put apt-get 'exit 1'
run --tests
expect 'nor installable' has "$status:$said" '0:'
expect 'which is said' has "$said" 'Not installed, but one can do without: libdnnl-dev'
fresh 'debian 12'
put g++ "$without_onednn"
rm "$system/bin/strace"
put apt-get "echo \"apt-get \$*\" >>'$system/asked'
case \"\$*\" in *dnnl*) exit 1 ;; *strace*) ln -sf /bin/true '$system/bin/strace' ;; esac"
run --tests
expect 'nor keep away what is needed' equal "$status" 0

fresh 'debian 13'
put g++ "$without_onednn"
rm "$system/bin/clang-format"
put apt-get "echo \"apt-get \$*\" >>'$system/asked'
case \"\$*\" in *clang*) exit 1 ;; esac"
run --tests
expect 'one wish that cannot be had does not keep away another' has "$status:$asked" 'libdnnl-dev'
expect 'and is said' has "$said" 'Not installed, but one can do without: clang-format-14'

fresh 'debian 12'
# shellcheck disable=SC2016  # the stand-in expands it
put g++ '[ "$1" = -dumpversion ] && echo 12 && exit 0
case "$*" in *-llapack*) exit 1 ;; esac'
run
expect 'LAPACK is asked for without tests' has "$status:$asked" '--no-install-recommends liblapack-dev'
expect 'but need not be there' equal "$status" 0

fresh 'debian 12'
rm "$system/bin/python3"
put apt-get "echo \"apt-get \$*\" >>'$system/asked'; ln -sf /bin/true '$system/bin/python3'"
run
expect 'nor is python3 without them' equal "$status:$asked" '0:'
run --tests
expect 'which tests need' has "$asked" 'install -y --no-install-recommends python3'

fresh 'debian 12'
rm "$system/bin/ninja"
put id 'echo 1000'
run
expect 'without root nothing is asked' equal "$status:$asked" '1:'
expect 'but said' has "$said" "su -c 'apt-get update && apt-get install -y --no-install-recommends ninja-build'"

fresh 'debian 12'
rm "$system/bin/ninja"
put id 'echo 1000'
put sudo "[ \"\$1\" = -n ] && exit 0; echo sudo >>'$system/asked'; exec \"\$@\""
put apt-get "echo \"apt-get \$*\" >>'$system/asked'; ln -sf /bin/true '$system/bin/ninja'"
run
expect 'through sudo' has "$status:$asked" '0:sudo'

fresh 'debian 12'
put g++ 'exit 1'
run
expect 'no compiler' has "$said" 'Missing: g++'
expect 'is an error if it stays away' equal "$status" 1

fresh 'ubuntu 22.04'
put_compiler 11
run
expect 'an old compiler' has "$asked" 'g++-12'

fresh 'ubuntu 22.04'
put cmake 'echo "cmake version 3.22.1"'
run
expect 'an old CMake without a newer package' equal "$status:$asked" '1:'
expect 'is explained' has "$said" 'got 3.22.1, expected 3.25 or newer'

fresh 'debian 11'
put cmake 'echo "cmake version 3.18.4"'
run
expect 'CMake still old after installation' has "$status:$said" '1:'
expect 'is explained too' has "$said" 'got 3.18.4, expected 3.25 or newer'

fresh 'fedora 40'
rm "$system/bin/apt-get" "$system/bin/ninja"
run
expect 'no apt-get' has "$status:$said" '1:'
expect 'names the packages' has "$said" 'ninja-build'

run --everything
expect 'an unknown argument' equal "$status" 2

[ "$failures" -eq 0 ] && echo "install_dependencies.sh asks for what is missing, and for nothing else."
