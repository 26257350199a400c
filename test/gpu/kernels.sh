#!/bin/sh
# Compiles the kernels for this machine's GPU and runs their tests on it. Needs the CUDA toolkit and g++, nothing else.
#
#   sh test/gpu/kernels.sh [PART_OF_A_NAME] [--bench]
#   KERNELS_UNDER="compute-sanitizer --tool racecheck" sh test/gpu/kernels.sh
#
# CUDA_HOME is where the toolkit is, ARCHITECTURE what to compile for, BUILD where to put the result.
set -eu
cd "$(dirname "$0")/../.."
cuda=${CUDA_HOME:-/usr/local/cuda}
build=${BUILD:-build-kernels/gpu-test}
architecture=${ARCHITECTURE:-native}
mkdir -p "$build"

: >"$build/images.S"
names=
for source in native/kernels/*.cu; do
  name=$(basename "$source" .cu)
  names="$names $name"
  "$cuda/bin/nvcc" -fatbin -arch="$architecture" -std=c++20 -O3 -lineinfo --expt-relaxed-constexpr -I native "$source" \
    -o "$build/$name.fatbin" &
  printf '.section .rodata\n.balign 64\nimage_%s: .incbin "%s"\nname_%s: .asciz "%s"\n' \
    "$name" "$build/$name.fatbin" "$name" "$name" >>"$build/images.S"
done
printf '.section .data.rel.ro, "aw"\n.balign 8\n.globl tensorrtNodeKernelImages\ntensorrtNodeKernelImages:\n' >>"$build/images.S"
for name in $names; do printf '.quad name_%s\n.quad image_%s\n' "$name" "$name" >>"$build/images.S"; done
printf '.globl tensorrtNodeKernelImageCount\ntensorrtNodeKernelImageCount: .quad %d\n.section .note.GNU-stack, "", %%progbits\n' \
  "$(echo "$names" | wc -w)" >>"$build/images.S"
wait

sources="test/gpu/kernels.cc test/gpu/kernels_gptq.cc test/gpu/kernels_quantized.cc native/cuda/context.cc
  native/cuda/driver.cc native/cuda/error.cc native/cuda/event.cc native/cuda/graph.cc native/cuda/stream.cc
  native/cuda/stream_names.cc native/kernels/gptq.cc native/kernels/images.cc native/kernels/kernels.cc
  native/kernels/launch.cc native/quantize/scale.cc
  native/simulator/kernels/*.cc"
# The references of the simulated driver: the sampler is compared with its own.
# shellcheck disable=SC2086
g++ -std=c++20 -O2 -pthread -I native -isystem "$cuda/include" \
  $sources "$build/images.S" -ldl -o "$build/kernels"
# shellcheck disable=SC2086
${KERNELS_UNDER:-} "$build/kernels" "$@"
