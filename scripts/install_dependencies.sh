#!/usr/bin/env bash
# Installs what building Unroll needs, and with --tests what its tests need, on Debian 12 and 13 and
# Ubuntu 22.04 and 24.04. Looks first: where nothing is missing it neither asks nor installs.
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

case "${1:-}" in
  '') tests=false ;;
  --tests) tests=true ;;
  *)
    echo "usage: ${BASH_SOURCE[0]} [--tests]: got '$1'" >&2
    exit 2
    ;;
esac

# "ubuntu 22.04", for instance. Another file can stand in for the system's: the test needs that.
release() {
  awk -F= '{ gsub(/"/, "") } $1 == "ID" { id = $2 } $1 == "VERSION_ID" { version = $2 }
           END { print id, version }' "${UNROLL_OS_RELEASE:-/etc/os-release}" 2>/dev/null || true
}

has_header() {
  if [ -n "${CXX:-}" ]; then
    "$CXX" -std=c++20 -E -x c++ - >/dev/null 2>&1 <<<"
#if !__has_include(<$1>)
#error
#endif"
  else
    [ -e "/usr/include/$1" ] || [ -e "/usr/local/include/$1" ]
  fi
}

has_library() {
  if [ -n "${CXX:-}" ]; then
    "$CXX" -x c++ - "-l$1" -o /dev/null >/dev/null 2>&1 <<<'int main() {}'
  else
    compgen -G "/usr/lib/*/lib$1.so" >/dev/null
  fi
}

# Sets `missing` to the packages that are, and `wished` to those that one can do without: LAPACK for
# inverses, libedit for lines that are typed, oneDNN to compare with, and the clang-format that scripts/check_format.sh runs.
find_missing() {
  missing=()
  wished=()
  if ! choose_compiler; then
    if [ "$(release)" = "ubuntu 22.04" ]; then missing+=(g++-12); else missing+=(g++); fi
  fi
  at_least "$minimum_cmake" "$(cmake_version)" || missing+=(cmake)
  command -v ninja >/dev/null || missing+=(ninja-build)
  has_header CLI/CLI.hpp || missing+=(libcli11-dev)
  has_header nlohmann/json.hpp || missing+=(nlohmann-json3-dev)
  has_header fmt/format.h || missing+=(libfmt-dev)
  has_header xxhash.h || missing+=(libxxhash-dev)
  has_header utf8proc.h || missing+=(libutf8proc-dev)
  has_header boost/beast/http/parser.hpp || missing+=(libboost-dev)
  has_library lapack || wished+=(liblapack-dev)
  has_header histedit.h || wished+=(libedit-dev)
  if $tests; then
    has_header gtest/gtest.h || missing+=(libgtest-dev)
    command -v python3 >/dev/null || missing+=(python3)
    command -v strace >/dev/null || missing+=(strace)
    has_header oneapi/dnnl/dnnl.hpp || wished+=(libdnnl-dev)
    command -v clang-format-14 >/dev/null || command -v clang-format >/dev/null ||
      wished+=(clang-format-14)
  fi
}

is_missing() { [[ " ${missing[*]} " == *" $1 "* ]]; }

no_newer_cmake() {
  local version
  version=$(cmake_version)
  cat >&2 <<TEXT
CMake: got ${version:-none}, expected $minimum_cmake or newer, and this system's packages have none.
Get it in another way and run this again. One way, without root:
  python3 -m pip install --user cmake && export PATH="\$HOME/.local/bin:\$PATH"
Another is Kitware's package repository for Ubuntu: https://apt.kitware.com
TEXT
  exit 1
}

# Sets `as_root` to what runs a line of shell as root; fails if nothing does without being asked.
choose_root() {
  if [ "$(id -u)" -eq 0 ]; then
    as_root=(sh -c)
  elif command -v sudo >/dev/null && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
    as_root=(sudo sh -c)
  else
    return 1
  fi
}
install_line() { echo "apt-get update && apt-get install -y --no-install-recommends $*"; }
apt_install() {
  local install
  install=$(install_line "$@")
  echo "Running as root: $install"
  "${as_root[@]}" "export DEBIAN_FRONTEND=noninteractive; $install"
}

# Each on its own: not every system has them all.
install_wished() {
  local package
  for package in "${wished[@]}"; do
    if ! command -v apt-get >/dev/null || ! choose_root || ! apt_install "$package"; then
      echo "Not installed, but one can do without: $package."
    fi
  done
}

find_missing
if [ ${#missing[@]} -eq 0 ]; then
  if [ ${#wished[@]} -eq 0 ]; then
    echo "Nothing to install: $CXX $("$CXX" -dumpfullversion 2>/dev/null || true), CMake $(cmake_version), Ninja and the libraries are here."
  fi
  install_wished
  exit 0
fi
echo "Missing: ${missing[*]}"
# Its package is known to be too old, so nothing is installed in vain.
if is_missing cmake && [ "$(release)" = "ubuntu 22.04" ]; then no_newer_cmake; fi

command -v apt-get >/dev/null ||
  die "This system has no apt-get. Install what Debian calls ${missing[*]}, then run this again."
if ! choose_root; then
  echo "Only root can install them, and there is no sudo to ask. Run this, then start again:" >&2
  echo "  su -c '$(install_line "${missing[@]}")'" >&2
  exit 1
fi
apt_install "${missing[@]}" ||
  die "apt-get could not install ${missing[*]}; its own messages above say why."
install_wished

find_missing
if is_missing cmake; then no_newer_cmake; fi
[ ${#missing[@]} -eq 0 ] ||
  die "Installed, and yet not found: ${missing[*]}. Is CXX set, or another version first in PATH?"
