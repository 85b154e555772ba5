# The program with its CUDA module. From the root of the sources:
#   docker build -f docker/cuda.Dockerfile -t unroll:cuda .
#   docker run --rm --gpus all -v "$PWD:/work" unroll:cuda train --data text.txt --save runs/text
ARG CUDA=12.6.3
FROM nvidia/cuda:${CUDA}-devel-ubuntu24.04 AS build
COPY . /source
WORKDIR /source
RUN apt-get update && apt-get install -y --no-install-recommends dpkg-dev file \
  && scripts/install_dependencies.sh
RUN cmake --preset release -DUNROLL_CUDA=ON && cmake --build --preset release \
  && cd build && cpack -G DEB -B /packages

# With cuBLAS, and with cuDNN for --rnn-algorithm cudnn and bench.
FROM nvidia/cuda:${CUDA}-cudnn-runtime-ubuntu24.04
COPY --from=build /packages/*.deb /tmp/
RUN apt-get update && apt-get install -y --no-install-recommends /tmp/*.deb \
  && rm -rf /tmp/*.deb /var/lib/apt/lists/*
WORKDIR /work
ENTRYPOINT ["unroll"]
