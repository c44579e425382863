# crumb report: a page of real runs, well-formed and free of foreign addresses; unfinished and damaged runs; no gnuplot; the table alone.
. tests/cli/common.sh
small_recipe "$work/small.yaml"
cd "$work"
quick=(--set train.epochs=2 --set data.limit=256 --threads 1 -q)
expect 0 train small.yaml "${quick[@]}" --out runs/a
expect 0 train small.yaml "${quick[@]}" --set quantize.weights.name=twn --out runs/b
[[ -s runs/a/histograms.jsonl ]] || wrong "no histograms.jsonl"
layers=$(grep -c '"epoch":0,' runs/a/histograms.jsonl)
[[ $layers -gt 1 && $(wc -l <runs/a/histograms.jsonl) == $((3 * layers)) ]] || wrong "histograms of other epochs than 0, 1, 2"

# The table needs no gnuplot.
expect 0 report runs/a runs/b --json
json runs.0.folder runs.0.val_top1 runs.1.best_top1 runs.0.weight_bits runs.0.packed_weight_bytes runs.0.bytes comparisons
[[ ! -e report.html ]] || wrong "--json alone wrote a page"
[[ $("$JSON_CHECK" runs.0.val_top1 <stdout) == $(value runs/a/result.json val_top1) ]] || wrong "val_top1 is not the result's"

# Without gnuplot: one clear line, no page.
mkdir empty-path
code=0
PATH=$work/empty-path "$CRUMB" report runs/a >stdout 2>stderr || code=$?
[[ $code == 1 ]] || wrong "without gnuplot: exit status $code"
says "gnuplot is not installed (Debian package gnuplot-nox)"
[[ $(wc -l <stderr) == 1 && ! -e report.html ]] || wrong "without gnuplot: more than a line, or a page"

refuses 1 "nowhere: not a folder" report nowhere -o x.html
refuses 1 "empty-path: no run" report empty-path -o x.html
refuses 2 "is no epoch" report runs/a --epochs 1.5
refuses 2 "is missing" report
[[ ! -e x.html ]] || wrong "a refused report left a page"
if ! command -v gnuplot >/dev/null; then
    echo "no gnuplot: pages are not tested"
    finish
fi

page() { # FILE: well-formed, self-contained, with pictures
    [[ -s $1 ]] || wrong "no $1"
    if command -v xmllint >/dev/null; then
        xmllint --noout "$1" || wrong "$1 is not well-formed"
    fi
    ! grep -qE 'https?:|//[a-z]+\.|<script|src=|<link|@import|url\(' "$1" || wrong "$1 refers to something outside"
    grep -q '<svg class="plot"' "$1" || wrong "$1 has no picture"
    ! grep -q 'Not drawn' "$1" || wrong "$1: a picture was not drawn"
    [[ -z $(grep -oE ' id="[^"]*"' "$1" | sort | uniq -d) ]] || wrong "$1 has ids twice"
}

expect 0 report runs/a
page report.html
grep -q '^report.html' stdout || wrong "the page's name is not said"
for words in 'Top-1 accuracy' 'Learning rate' 'Quantization error' 'prefers-color-scheme' 'conv2' 'label_smoothing' 'Where training images were held out'; do
    grep -qF "$words" report.html || wrong "report.html lacks $words"
done
cp report.html again.html
expect 0 report runs/a
cmp -s report.html again.html || wrong "the same files give another page"
expect 0 report runs/* small.yaml -o all.html --json
page all.html
json out runs.1.name
grep -qF 'Where the recipes differ' all.html || wrong "all.html does not say how the runs differ"
grep -qF 'quantize.weights.name' all.html || wrong "all.html lacks the key that differs"

# A comparison, and what is left of runs that were damaged.
expect 0 compare small.yaml --set 'model={name: mlp, hidden: [8]}' --variant x --variant y:train.optimizer.lr=0.0001 --seeds 1,2 \
    --out cmp "${quick[@]}"
expect 0 report cmp -o cmp.html
page cmp.html
grep -q 'y, seed 2' cmp.html || wrong "cmp.html lacks a run"
verdict=$("$JSON_CHECK" variants.1.verdict <cmp/compare.json | tr -d '"')
grep -qF "$verdict" cmp.html || wrong "cmp.html lacks the verdict $verdict"
rm cmp/compare.json cmp/x/seed-1/result.json
head -c 300 cmp/y/seed-1/log.jsonl >short && mv short cmp/y/seed-1/log.jsonl
echo '{"epoch": "x"}' >cmp/y/seed-2/histograms.jsonl
head -c 5 cmp/x/seed-2/best.safetensors >short && mv short cmp/x/seed-2/best.safetensors
expect 0 report cmp -o cmp.html
page cmp.html
for words in unfinished 'log.jsonl: 1 of' 'histograms.jsonl: 1 of 1 lines' 'best.safetensors is damaged'; do
    grep -qF "$words" cmp.html || wrong "cmp.html does not say: $words"
done
says "best.safetensors is damaged"
expect 1 report runs/a -o /proc/nowhere/x.html
says "/proc/nowhere"
finish
