# crumb compare: budgets, a comparison that is killed again and again and ends in the same outcome, verdicts, what is refused.
. tests/cli/common.sh
small_recipe "$work/small.yaml"
cd "$work"
cat >compare.yaml <<'YAML'
recipe: small.yaml
seeds: [1, 2]
control: plain
variants:
  plain:
  slow: {train.optimizer.lr: 0.0001}
YAML
quick=(--set 'model={name: mlp, hidden: [8]}' --set train.checkpoint_every=3 --set train.epochs=2 --set train.evaluate_every=2)

expect 0 compare compare.yaml --dry-run "${quick[@]}"
grep -q '^slow: 768 training images a run in 2 epochs; 0 of 2 runs finished' stdout || wrong "--dry-run does not show the budget"
[[ ! -e runs ]] || wrong "--dry-run made a folder"
expect 0 compare compare.yaml --dry-run --json "${quick[@]}"
json out seeds variants.0.name variants.1.images variants.0.timeline

expect 0 compare small.yaml --variant a --variant b:train.optimizer.name=adam --seeds 1,2,3 --dry-run
grep -q 'b: .* training images' stdout && grep -q ', adam lr ' stdout || wrong "a variant with another optimizer is not planned"
[[ $(grep -c '^crumb compare: --set train.optimizer.name=adam: leaves out momentum; keeps lr = ' stderr) == 1 ]] ||
    wrong "not said once what another optimizer leaves out"

expect 0 compare compare.yaml "${quick[@]}" --out whole --threads 1
grep -qE '^slow +[0-9.]+ ± [0-9.]+ +-' stdout || wrong "no row for slow"
[[ $(grep -cE '^[1-4]/4 .* % in ' stderr) == 4 ]] || wrong "not one line a run"
[[ -s whole/compare.json && -s whole/slow/seed-2/result.json ]] || wrong "files are missing"

# SIGKILL in the middle, each time a little later.
pause=0.15 kills=0
while :; do
    "$CRUMB" compare compare.yaml "${quick[@]}" --out kill --threads 1 -q >stdout 2>stderr &
    pid=$!
    sleep $pause
    kill -KILL $pid 2>/dev/null && kills=$((kills + 1))
    code=0
    wait $pid 2>/dev/null || code=$?
    if [[ $code == 0 ]]; then break; fi
    [[ $code == 137 ]] || { wrong "killed comparison ends with $code"; break; }
    pause=$(awk "BEGIN { print $pause * 1.5 }")
done
echo "killed $kills times"
[[ $kills -gt 0 ]] || wrong "the comparison was never killed"
keys=(recipe control measure confidence seeds)
for v in 0 1; do
    for key in name set top1 mean deviation difference low high verdict epochs images extra_images weight_bits; do
        keys+=(variants.$v.$key)
    done
done
"$JSON_CHECK" "${keys[@]}" <whole/compare.json >whole.values || wrong "compare.json lacks a key"
"$JSON_CHECK" "${keys[@]}" <kill/compare.json >kill.values || wrong "compare.json lacks a key"
cmp -s whole.values kill.values || wrong "killed and run again: another outcome"
for run in plain/seed-1 plain/seed-2 slow/seed-1 slow/seed-2; do
    cmp -s whole/$run/last.safetensors kill/$run/last.safetensors || wrong "$run: other bits"
done

# A changed recipe is named; nothing is lost.
refuses 1 "train.batch is 16, was 32" compare compare.yaml "${quick[@]}" --set train.batch=16 --out whole
expect 0 compare compare.yaml "${quick[@]}" --out whole --threads 1 --json
json variants.1.verdict variants.0.seconds
says "finished before"

# On the command line; one seed shows nothing.
expect 0 compare small.yaml "${quick[@]}" --variant plain --variant low:train.optimizer.lr=0.0001 --seeds 5 --out words --threads 1
grep -q 'no difference shown (one seed)' stdout || wrong "one seed has a verdict"
[[ -s words/low/seed-5/result.json ]] || wrong "no run of seed 5"

refuses 1 "variant b trains on 2304 images (6 epochs), a on 768 (2)" compare small.yaml "${quick[@]}" --variant a --variant b:train.epochs=6
expect 0 compare small.yaml "${quick[@]}" --variant a --variant b:train.epochs=6 --epochs 6 --dry-run
refuses 1 "no mapping 'variants'" compare small.yaml
refuses 1 "missing.yaml" compare missing.yaml
refuses 2 "whole numbers" compare compare.yaml --seeds 1,x
refuses 1 "none of last, best" compare compare.yaml --measure worst
refuses 1 "did you mean 'slow'" compare compare.yaml --control slo
expect 1 compare compare.yaml "${quick[@]}" --out /proc/nowhere -q
says "/proc/nowhere"
finish
