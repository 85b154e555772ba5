# The program for CPUs. From the root of the sources:
#   docker build -f docker/cpu.Dockerfile -t unroll .
#   docker run --rm -v "$PWD:/work" unroll train --data text.txt --save runs/text
FROM debian:12-slim AS build
COPY . /source
WORKDIR /source
RUN apt-get update && apt-get install -y --no-install-recommends dpkg-dev file \
  && scripts/install_dependencies.sh
RUN cmake --preset release -DUNROLL_CUDA=OFF && cmake --build --preset release \
  && cd build && cpack -G DEB -B /packages

FROM debian:12-slim
COPY --from=build /packages/*.deb /tmp/
RUN apt-get update && apt-get install -y --no-install-recommends /tmp/*.deb \
  && rm -rf /tmp/*.deb /var/lib/apt/lists/*
WORKDIR /work
ENTRYPOINT ["unroll"]
