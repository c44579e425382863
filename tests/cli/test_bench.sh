# crumb bench run and kernels: what they report; bad input. bench train has its own place in test_train.
. tests/cli/common.sh
"$PACKED_SAMPLE" "$work/net.crumb" 28 28 1 10 || wrong "no sample"

expect 0 bench run "$work/net.crumb" --threads 2 --json
json limits networks networks.0.seconds networks.0.median_seconds networks.0.processor_seconds networks.0.images_per_second networks.0.gops networks.0.least_seconds
[[ $(value "$work/stdout" networks.1.batch) == 128 ]] || wrong "no batch of 128"
[[ $(value "$work/stdout" networks.0.threads) == 2 ]] || wrong "not two threads"
[[ $(value "$work/stdout" networks.0.model) == sample ]] || wrong "no model"
expect 0 bench run "$work/net.crumb" "$work/net.crumb" --threads 1 --batch 3 --profile
[[ $(grep -cE "net.crumb +1 +3 +[0-9.]+ +[0-9.]+ +[0-9.]+ +[0-9]+ +[0-9]+ +[0-9]+ %$" "$work/stdout") == 2 ]] || wrong "not a line a network"
grep -qE '^ *conv .*W2A2.* %' "$work/stdout" || wrong "no 2-bit layer in the profile"
grep -q 'look-ups/s\|plain' "$work/stdout" || wrong "no limits"

refuses 2 "no kernel's line has nonsense" bench kernels nonsense --threads 1
CRUMB_CPU=scalar expect 0 bench kernels W2A2 8x8x64 --threads 1 --json
json limits kernels kernels.0.gops kernels.0.limit kernels.0.least_seconds
[[ $(value "$work/stdout" kernels.0.bits) == W2A2 ]] || wrong "not the words' figures"
expect 0 bench kernels W2A2 8x8x64 --threads 1 --chosen
[[ $(grep -c '\*$' "$work/stdout") == 1 && $(grep -c W2A2 "$work/stdout") == 1 ]] || wrong "not one chosen kernel"

refuses 2 "there are: train, run, kernels" bench fly
refuses 2 "needs packed networks" bench run
refuses 2 "needs one recipe" bench train
refuses 2 "outside" bench run "$work/net.crumb" --batch 0
refuses 1 "missing.crumb" bench run "$work/missing.crumb"
head -c 300 "$work/net.crumb" >"$work/short.crumb"
refuses 1 "short.crumb" bench run "$work/short.crumb"
finish
