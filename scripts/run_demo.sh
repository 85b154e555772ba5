#!/usr/bin/env bash
# From a fresh clone to a trained language model: sets up, builds the program, trains on the built-in
# corpus, and asks the model. The CUDA module is built only where there is a GPU to use it.
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

unroll=build-demo/bin/unroll
run=runs/demo

show() { # prints a command as one would type it, and runs it
  local word
  printf '\n$'
  for word in "$@"; do
    case $word in
      *[!A-Za-z0-9_./=-]*) printf " '%s'" "$word" ;;
      *) printf ' %s' "$word" ;;
    esac
  done
  printf '\n'
  "$@"
}

step "Set-up"
scripts/install_dependencies.sh
choose_compiler || die "no g++ of version $minimum_gcc or newer"
cuda=OFF
if nvidia-smi -L >/dev/null 2>&1; then cuda=AUTO; fi
echo "CUDA module: $cuda"

step "Building the program in build-demo/"
cmake --preset release -DUNROLL_CUDA=$cuda -B build-demo
cmake --build build-demo --parallel "$(jobs)"

step "Training a language model on the built-in corpus, into $run/"
show $unroll train --save $run --overwrite --nlayers 1 --nhid 192 --emsize 64 --dropout 0 \
  --batch-size 64 --epochs 2 --lr 0.006 --lr-schedule cosine --warmup 100 --clip 1

step "How good is it? Perplexity of text that it has not seen"
show $unroll eval --checkpoint $run

step "What comes next? P(fork | he ate the cake with the), and the ten likeliest words"
show $unroll predict --checkpoint $run --text "he ate the cake with the" --word fork
show $unroll predict --checkpoint $run --text "he ate the cake with the" --top 10

step "Sentences of its own, and how many of them the grammar accepts"
show $unroll generate --checkpoint $run --length 120 --seed 1

step "Done. The model is in $run/; the program is $unroll."
