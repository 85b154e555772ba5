#!/usr/bin/env bash
# scripts/get_data.sh with a folder in place of the network: what it fetches, what it refuses, and
# what it leaves. With UNROLL_DATA also that real files are the ones it expects.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/scripts" "$folder/mirror"
cp scripts/get_data.sh scripts/lib.sh "$folder/scripts"
failures=0

run() { # sets said, status
  status=0
  said=$(UNROLL_DATA_URL="file://$folder/mirror" bash "$folder/scripts/get_data.sh" "$@" 2>&1) || status=$?
}
expect() { # expect status text
  if [ "$status" -ne "$1" ] || [[ $said != *"$2"* ]]; then
    printf 'got status %s and\n%s\nexpected status %s and: %s\n\n' "$status" "$said" "$1" "$2"
    failures=$((failures + 1))
  fi
}

run
expect 2 "usage: "
run shakespeare
expect 2 "tinyshakespeare|ptb: got 'shakespeare'"
run wikitext-2
expect 1 "wikitext-2: is not fetched here"
if ! command -v curl >/dev/null; then
  echo "SKIPPED: curl is missing, and wget does not read file:// addresses"
  [ $failures -eq 0 ] || exit 1
  exit 77
fi
run tinyshakespeare
expect 1 "input.txt: cannot be fetched. Without a network, copy the file"
echo "another text" >"$folder/mirror/input.txt"
run tinyshakespeare
expect 1 "expected 86c4e6aa"
if [ -n "$(find "$folder/data" -type f)" ]; then
  echo "a refused file was left behind"
  failures=$((failures + 1))
fi

if [ -e "${UNROLL_DATA:-}/ptb/train.txt" ] && [ -e "$UNROLL_DATA/tinyshakespeare/input.txt" ]; then
  cp "$UNROLL_DATA/tinyshakespeare/input.txt" "$folder/mirror"
  for split in train valid test; do cp "$UNROLL_DATA/ptb/$split.txt" "$folder/mirror/ptb.$split.txt"; done
  run tinyshakespeare
  expect 0 "unroll train --data data/tinyshakespeare --tokenizer char"
  run ptb
  expect 0 "data/ptb/train.txt: 5101618 bytes"
  rm -r "$folder/mirror"
  run ptb
  expect 0 "data/ptb/train.txt: is there"
fi
[ $failures -eq 0 ]
