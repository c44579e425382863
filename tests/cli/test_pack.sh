# crumb pack and verify: the file says what it holds, computes what was trained, and nothing else passes for it.
. tests/cli/common.sh
small_recipe "$work/small.yaml"
crumb train "$work/small.yaml" --out "$work/run" -q || wrong "no run"
crumb train "$work/small.yaml" --out "$work/other" --seed 9 -q || wrong "no other run"
crumb train "$work/small.yaml" --out "$work/wide" --set model.width=0.5 --set train.epochs=1 -q || wrong "no wide run"
model=$work/run/best.safetensors packed=$work/net.crumb

expect 0 pack "$model" -o "$packed" --json
json file model height width channels classes mean deviation file_bytes weight_bytes operations layers.0.name layers.0.weight_bits
cp "$work/stdout" "$work/said"
[[ $(value "$work/said" file_bytes) == $(stat -c %s "$packed") ]] || wrong "not the file's size"
[[ $(($(value "$work/said" weight_bytes) * 3)) -lt $(stat -c %s "$model") ]] || wrong "packed weights are not small"
expect 0 info "$packed" --json
cmp -s "$work/stdout" "$work/said" || wrong "info and pack say different things"
expect 0 info "$packed"
grep -qE '^conv2 +conv2d +[0-9x ]+ +2 +2 ' "$work/stdout" || wrong "no 2-bit layer"
cp "$packed" "$work/first.crumb"
expect 0 pack "$model" --out "$packed" # again, over the first
cmp -s "$packed" "$work/first.crumb" || wrong "packing twice gives two files"
! ls "$work" | grep -q '\.tmp' || wrong "a temporary file was left"

# What was trained is what runs: whatever images, threads, instructions.
for how in "" "--data digits --seed 3 --threads 1" "--data digits --images 100 --exact 7 --threads 3"; do
    expect 0 verify "$model" "$packed" $how --json
    json model packed images exact bounded codes inexact_codes inexact_logits differing share ties jumps largest equal_images layers.0.name
    [[ $("$JSON_CHECK" exact bounded inexact_codes inexact_logits <"$work/stdout" | xargs) == "true true 0 0" ]] || wrong "verify $how"
done
[[ $(value "$work/stdout" images) == 100 ]] || wrong "not 100 images"
[[ $(value "$work/stdout" exact_images) == 7 ]] || wrong "not 7 of them exactly"
for limit in scalar avx2; do
    CRUMB_CPU=$limit expect 0 verify "$model" "$packed" --images 4
    grep -q '^exact arithmetic *equal: 0 of [1-9]' "$work/stdout" || wrong "CRUMB_CPU=$limit verify"
done
expect 0 verify "$model" "$packed" --images 2 --verbose
grep -qE '^conv2 +2 +[0-9]+ +0 ' "$work/stdout" || wrong "--verbose shows no layer"

# Weights with a scale for each 32 inputs: linear layers compute with them; other convolutions are refused before any training.
quantize="quantize.weights={name: minmax, bits: 4, group: 32}"
crumb train "$work/small.yaml" --out "$work/groups" -q --set model="{name: mlp}" --set "$quantize" --set quantize.first=same \
    --set quantize.last=same --set quantize.activations=none --set train.epochs=1 || wrong "no run with groups"
expect 0 pack "$work/groups/best.safetensors" -o "$work/groups.crumb"
for limit in "" scalar avx2; do
    CRUMB_CPU=$limit expect 0 verify "$work/groups/best.safetensors" "$work/groups.crumb" --images 4 --json
    [[ $("$JSON_CHECK" exact bounded <"$work/stdout" | xargs) == "true true" ]] || wrong "verify groups ${limit:-all}"
done
refuses 1 "groups of 32 weights want a linear layer" train "$work/small.yaml" --out "$work/maps" -q --set "$quantize"

# Accuracy is that of eval; a rounding tie may move an image or two.
expect 0 eval "$model" --data digits:test --limit 2000 --json
trained=$("$JSON_CHECK" top1 <"$work/stdout")
expect 0 run "$packed" --data digits:test --limit 2000 --json
awk -v a="$trained" -v b="$("$JSON_CHECK" top1 <"$work/stdout")" 'BEGIN { exit !(a - b <= 0.1 && b - a <= 0.1) }' ||
    wrong "run and eval ($trained) differ"

# Verify says both of its images.
expect 0 run "$packed" --data digits:test --limit 50 --json
top1=$("$JSON_CHECK" top1 <"$work/stdout")
expect 0 eval "$model" --data digits:test --limit 50 --json
trained=$("$JSON_CHECK" top1 <"$work/stdout")
expect 0 verify "$model" "$packed" --data digits:test --images 50 --json
[[ $("$JSON_CHECK" top1 top1_simulated <"$work/stdout" | xargs) == "$top1 $trained" ]] || wrong "verify's top-1 is not $top1 and $trained"
expect 0 verify "$model" "$packed" --data digits:test --images 50
grep -q "^top-1 .*% packed, .*% simulated" "$work/stdout" || wrong "verify says no top-1"

# Another network's file is not exact; one of another shape is refused, and so is a damaged one.
expect 1 verify "$work/other/best.safetensors" "$packed" --images 2
grep -q '^exact arithmetic *NOT EQUAL' "$work/stdout" || wrong "another network passes"
expect 1 verify "$work/other/best.safetensors" "$packed" --images 2 --json
[[ $(value "$work/stdout" exact) == false ]] || wrong "another network passes in JSON"
refuses 1 "layer conv2" verify "$work/wide/best.safetensors" "$packed"
size=$(stat -c %s "$packed")
for at in 40 200 $((size / 2)) $((size - 70)); do
    cp "$packed" "$work/bad.crumb"
    byte=$(od -An -tu1 -j"$at" -N1 "$packed")
    printf "$(printf '\\x%02x' $((byte ^ 4)))" | dd of="$work/bad.crumb" bs=1 seek="$at" conv=notrunc status=none
    refuses 1 "bad.crumb" verify "$model" "$work/bad.crumb"
    refuses 1 "bad.crumb" info "$work/bad.crumb"
done

# Nothing is written where packing fails.
refuses 1 "/proc/nowhere" pack "$model" -o /proc/nowhere/net.crumb
refuses 1 "small.yaml" pack "$work/small.yaml" -o "$work/none.crumb"
refuses 1 "net.crumb" pack "$packed" -o "$work/none.crumb"
[[ ! -e $work/none.crumb ]] || wrong "a failed pack left a file"
crumb import "$model" --model lenet5 --set width=0.25 --input 28x28x1 --classes 10 --out "$work/bare.safetensors"
if [[ -e $work/bare.safetensors ]]; then
    refuses 1 "--mean" pack "$work/bare.safetensors" -o "$work/none.crumb"
    [[ ! -e $work/none.crumb ]] || wrong "a network without normalisation left a file"
fi
finish
