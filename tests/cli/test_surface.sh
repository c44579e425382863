# crumb surface: three small models, a walk that is killed again and again and ends in the same bytes, the picture, what is refused.
. tests/cli/common.sh
small_recipe "$work/small.yaml"
cd "$work"
quick=(--set 'model={name: mlp, hidden: [8]}' --set train.epochs=1 --threads 1 -q)
for seed in 1 2 3; do
    expect 0 train small.yaml "${quick[@]}" --seed $seed --out m$seed
done
models=(m1/last.safetensors m2/last.safetensors m3/last.safetensors)
few=(--data digits --grid 4 --train-images 64 --test-images 64 --norm-images 64 --batch 32 --threads 1)

if ! command -v gnuplot >/dev/null; then
    echo "no gnuplot: the picture is not looked at"
    exit 77
fi
expect 0 surface "${models[@]}" "${few[@]}" -o whole
grep -q '^A  m1/last.safetensors  *0.00  *0.00' stdout || wrong "no row for the first model"
grep -q '<svg' whole/surface.svg || wrong "no picture"
for key in weights grid steps step_spread models.2.file models.1.x models.0.quantized.train_loss models.0.float.test_error x.3 \
    quantized.train_loss.3.3 float.test_error.0.0; do
    value whole/surface.json $key >/dev/null || wrong "surface.json has no $key"
done
[[ $(wc -l <whole/points.jsonl) == 39 ]] || wrong "points.jsonl has not 1 + 2 (3 + 16) lines"

pause=0.2 kills=0
while :; do
    "$CRUMB" surface "${models[@]}" "${few[@]}" -o kill -q >stdout 2>stderr &
    pid=$!
    sleep $pause
    kill -KILL $pid 2>/dev/null && kills=$((kills + 1))
    code=0
    wait $pid 2>/dev/null || code=$?
    if [[ $code == 0 ]]; then break; fi
    [[ $code == 137 ]] || { wrong "killed walk ends with $code"; break; }
    pause=$(awk "BEGIN { print $pause * 1.7 }")
done
echo "killed $kills times"
[[ $kills -gt 0 ]] || wrong "the walk was never killed"
cmp -s whole/surface.json kill/surface.json || wrong "killed and run again: another surface"
cmp -s whole/surface.svg kill/surface.svg || wrong "killed and run again: another picture"

expect 0 surface "${models[@]}" "${few[@]}" -o whole --json
json out models.0.file models.2.quantized.test_error grid
expect 0 surface "${models[@]}" --train digits:train --test digits:test "${few[@]:2}" -o whole -q
expect 0 report m1 whole -o page.html
for words in 'Loss surface' 'm2/last.safetensors' 'float weights' 'Quantization error'; do
    grep -qF "$words" page.html || wrong "the report lacks $words"
done
expect 0 report whole --json
json surfaces.0.models.2.quantized.train_loss surfaces.0.grid
refuses 1 "another surface (steps is \"refit\", was \"follow\")" surface "${models[@]}" "${few[@]}" -o whole --steps refit
refuses 1 "no plane" surface m1/last.safetensors m2/last.safetensors m1/last.safetensors "${few[@]}" -o other
refuses 1 "small.yaml" surface m1/last.safetensors m2/last.safetensors small.yaml "${few[@]}" -o other
refuses 2 "--data is missing" surface "${models[@]}"
refuses 2 "none of follow, shared, refit" surface "${models[@]}" "${few[@]}" --steps own
refuses 2 "number from 0 to 100" surface "${models[@]}" "${few[@]}" --margin wide
refuses 2 "outside 2" surface "${models[@]}" "${few[@]}" --grid 1
refuses 1 "digitz" surface "${models[@]}" --data digitz -o other
expect 1 surface "${models[@]}" "${few[@]}" -o /proc/nowhere -q
says "/proc/nowhere"
finish
