#!/bin/sh
# compute-sanitizer's memcheck over the tests that run engines (builds happen beforehand, and unchecked: they are
# TensorRT's alone). Ends with what the sanitizer ends with: 1 if it found anything.
#
#   sh bench/engines/memcheck.sh
set -eu
cd "$(dirname "$0")/../.."
: "${TENSORRT_NODE_TEST_ENGINES:=$(mktemp -d)}"
# Instrumented kernels are slow; the slow engine need only be slower than a JavaScript timer.
: "${TENSORRT_NODE_TEST_SLOW:=512}"
export TENSORRT_NODE_TEST_ENGINES TENSORRT_NODE_TEST_SLOW
node --input-type=module --eval "await (await import('./test/gpu/engines/fixture.mjs')).buildAll()"
# Calls that fail are the library's to see, and the tests' to look for.
exec compute-sanitizer --tool memcheck --report-api-errors no --error-exitcode 1 --target-processes all node test/gpu/engines.test.mjs
