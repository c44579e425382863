# crumb info: kinds, rows and parameters; each as text and as JSON, from the same tables.
. tests/cli/common.sh

expect 0 info --json
json version models quantizers strategies optimizers schedules loaders augments ops formats
kinds=$("$JSON_CHECK" models quantizers strategies optimizers schedules loaders augments ops formats <"$work/stdout" | tr -d '[]"' | tr ',\n' '  ')
[[ $(wc -w <<<"$kinds") -gt 40 ]] || wrong "only $(wc -w <<<"$kinds") things exist"

for kind in models quantizers strategies optimizers schedules loaders augments ops formats; do
    expect 0 info $kind
    [[ -s $work/stdout ]] || wrong "info $kind is empty"
    expect 0 info $kind --json
    json kind entries.0.name entries.0.doc entries.0.params
done
expect 0 info strategies # each in full, with its parameters
for words in 'sqwa (strategies)' 'sqwa.average_top1' 'tune_rate ' 'sinreq (strategies)' 'max_bits ' 'exp|ave|tune' 'stochastic|deterministic|fixed'; do
    grep -qF -- "$words" "$work/stdout" || wrong "info strategies lacks $words"
done
for name in $kinds; do
    expect 0 info "$name"
    grep -qE "^$name \(" "$work/stdout" || wrong "info $name does not show it"
    expect 0 info "$name" --json
    json name entries.0.kind entries.0.doc
done
refuses 1 "did you mean" info lsqq
refuses 1 "no such file" info qqqqqqqqqqqq
refuses 1 "missing.safetensors" info missing.safetensors
refuses 1 "CMakeLists.txt" info CMakeLists.txt
refuses 1 "tests" info ./tests
finish
