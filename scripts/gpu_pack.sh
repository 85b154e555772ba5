#!/usr/bin/env bash
# Builds for one kind of GPU (sm_90) and puts what scripts/gpu_validate.sh needs into build-gpu/pack/,
# small enough to carry to a machine that has a GPU and can build nothing: programs, module, tests and
# benchmarks, stripped, the libraries that such a machine lacks, and the Penn Treebank if UNROLL_DATA
# has it. The machine needs a glibc and a libstdc++ at least as new as this one's.
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

pack=build-gpu/pack
programs=(bin/unroll bin/lm_step bin/cublas_step tests/unroll_tests lib/libunroll_cuda.so)

step "Set-up and build in build-gpu/"
scripts/install_dependencies.sh --tests
choose_compiler || die "no g++ of version $minimum_gcc or newer"
cmake --preset gpu
cmake --build build-gpu --parallel "$(jobs)" \
  --target unroll_cli lm_step cublas_step unroll_tests unroll_cuda

step "Packing"
rm -rf "$pack"
mkdir -p "$pack"/{bin,lib,tests}
for program in "${programs[@]}"; do
  strip -o "$pack/$program" "build-gpu/$program"
  # Not what comes with the system, its compiler or CUDA.
  ldd "build-gpu/$program" |
    awk '$2 == "=>" && $3 ~ "^/" && $3 !~ "/lib(c|m|dl|rt|pthread|stdc[+][+]|gcc_s|cu[a-zA-Z]+)[.]so" { print $3 }' |
    xargs -r cp -Lt "$pack/lib"
done
commit_name >"$pack/COMMIT"
if [ -d "${UNROLL_DATA:-}/ptb" ]; then
  mkdir "$pack/ptb"
  cp "$UNROLL_DATA"/ptb/{train,valid,test}.txt "$pack/ptb/"
  chmod u+w "$pack"/ptb/*
fi
du -ah "$pack" | sort -k 2
echo "Carry $pack/ ($(du -sm "$pack" | cut -f 1) MB) and run scripts/gpu_validate.sh OUT_DIR there."
