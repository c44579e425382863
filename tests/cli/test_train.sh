# A run through the command: what the run folder holds, what the JSON says, eval and info on the outcome, no silent overwriting.
. tests/cli/common.sh
small_recipe "$work/small.yaml"
run=$work/run

expect 0 train "$work/small.yaml" --dry-run
grep -q 'label_smoothing' "$work/stdout" || wrong "--dry-run does not write every key out"
grep -q '^# timeline' "$work/stdout" || wrong "--dry-run shows no timeline"
expect 0 train "$work/small.yaml" --dry-run --json
json name recipe timeline

expect 0 train "$work/small.yaml" --out "$run" --json
json out val_top1 val_top5 val_loss best_top1 epochs seconds images_per_second weight_bits activation_bits direct_top1 float_top1
[[ $("$JSON_CHECK" weight_bits epochs <"$work/stdout" | xargs) == "2 2" ]] || wrong "bits and epochs of the result"
[[ $(grep -c '^epoch ' "$work/stderr") == 2 ]] || wrong "not one line an epoch on stderr"
! grep -q $'\033' "$work/stderr" || wrong "escape sequences without a terminal"
for file in recipe.yaml log.jsonl last.safetensors best.safetensors result.json; do
    [[ -s $run/$file ]] || wrong "the run folder has no $file"
done
ls "$run" | grep -q tfevents || wrong "the run folder has no event file"
! ls "$run" | grep -q '\.tmp' || wrong "a temporary file was left"
for key in val_top1 val_top5 val_loss epochs seconds images_per_second weight_bits activation_bits; do
    value "$run/result.json" $key >/dev/null || wrong "result.json has no $key"
done
epochs=0
while read -r line; do
    "$JSON_CHECK" epoch step loss lr <<<"$line" >/dev/null || wrong "log.jsonl: $line"
    "$JSON_CHECK" train_top1 val_top1 <<<"$line" >/dev/null 2>&1 && epochs=$((epochs + 1))
done <"$run/log.jsonl"
[[ $epochs -ge 2 ]] || wrong "log.jsonl tells of $epochs epochs"

# The effective recipe is a recipe, and the seed option is an override of it.
expect 0 train "$run/recipe.yaml" --dry-run --seed 77
grep -qE 'seed: 77' "$work/stdout" || wrong "--seed does not reach the recipe"

refuses 1 "holds a finished run" train "$work/small.yaml" --out "$run"
cp "$run/result.json" "$work/before.json"
expect 1 train "$work/small.yaml" --out "$run"
cmp -s "$run/result.json" "$work/before.json" || wrong "a refused run changed the result"

# The same seed gives the same bits.
expect 0 train "$work/small.yaml" --out "$work/again" --quiet
[[ ! -s $work/stderr ]] || wrong "--quiet says something"
cmp -s "$run/last.safetensors" "$work/again/last.safetensors" || wrong "two equal runs differ"

expect 0 eval "$run/last.safetensors" --data digits --seed 3 --limit 2000 --json
json images top1 top5 loss images_per_second seconds model data
[[ $("$JSON_CHECK" images <"$work/stdout") == 2000 ]] || wrong "--limit"
expect 0 eval "$run/best.safetensors" --data digits --limit 500
expect 0 info "$run/last.safetensors"
grep -q 'lsq 2' "$work/stdout" || wrong "info does not show the quantizer"
expect 0 info "$run/last.safetensors" --json
json model classes parameters flops float_bytes packed_bytes layers.0.name layers.0.weight_bits
floats=$(value "$work/stdout" float_bytes) packed=$(value "$work/stdout" packed_bytes)
[[ $packed -lt $((floats / 4)) ]] || wrong "packed $packed bytes of $floats"

# Default folder: runs/<recipe name>.
(cd "$work" && "$CRUMB" train small.yaml --set train.epochs=1 -q >/dev/null) && [[ -s $work/runs/small/result.json ]] ||
    wrong "no run in runs/small"

expect 0 bench train "$work/small.yaml" --steps 3 --json
json train_images_per_second eval_images_per_second load_images_per_second train_gflops plan_bytes peak_bytes
expect 0 bench train "$work/small.yaml" --steps 2 --plan
grep -q conv2d "$work/stdout" || wrong "--plan shows no plan"

expect 0 data digits:test --sheet "$work/sheet.png" --json
json images classes.9.images height mean.0
[[ $(head -c 4 "$work/sheet.png" | tail -c 3) == PNG ]] || wrong "the sheet is no PNG"
finish
