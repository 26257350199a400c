#!/bin/sh
# compute-sanitizer's memcheck and racecheck over the tests of the kernels, in parts side by side: one process would
# take half an hour. Prints a line a part; ends with 1 if a test failed or anything was found.
#
#   sh bench/generate/sanitizer.sh        with BUILD, CUDA_HOME and ARCHITECTURE as of test/gpu/kernels.sh
set -eu
cd "$(dirname "$0")/../.."
: "${BUILD:=build-kernels/gpu-test}"
export BUILD
sh test/gpu/kernels.sh "nothing but the build" >/dev/null
logs=$(mktemp -d)
for type in float16 bfloat16; do
  for digit in 1 2 3 4 5 6 7 8 9; do echo "linear $type $digit"; done
done >"$logs/parts"
cat >>"$logs/parts" <<'PARTS'
linear rows
attention
sample greedy
sample all
sample logprobs
sample top-k
sample top-p
sample min-p
sample ties
sample cold
sample problem
rms_norm
gated_activation
begin_step
embed
convert
dequantize
PARTS
while read -r part; do
  for tool in memcheck racecheck; do
    compute-sanitizer --tool "$tool" --error-exitcode 1 "$BUILD/kernels" "$part" >"$logs/$tool $part" 2>&1 || echo FAILED >>"$logs/$tool $part" &
  done
done <"$logs/parts"
wait
status=0
while read -r part; do
  for tool in memcheck racecheck; do
    log="$logs/$tool $part"
    echo "$tool $part: $(grep -c '^PASS' "$log") passed, $(grep SUMMARY "$log" | cut -c11-)"
    ! grep -q '^FAIL' "$log" || status=1
  done
done <"$logs/parts"
rm -r "$logs"
exit $status
