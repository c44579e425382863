# crumb export: ONNX in every form and weights for PyTorch, from packed and from trained networks; what is refused.
. tests/cli/common.sh
small_recipe "$work/small.yaml"
crumb train "$work/small.yaml" --out "$work/run" -q || wrong "no run"
model=$work/run/best.safetensors packed=$work/net.crumb
crumb pack "$model" -o "$packed" || wrong "not packed"

declare -A bytes
for form in float qcdq qdq nbits qonnx "qdq --opset 25"; do
    expect 0 export "$packed" -o "$work/a.onnx" --form $form --json
    json format file from model form
    expect 0 export "$model" --format onnx -o "$work/b.onnx" --form $form
    cmp -s "$work/a.onnx" "$work/b.onnx" || wrong "--form $form: the packed and the trained network give two files"
    grep -qF 'crumb.class_names' "$work/a.onnx" && grep -qF 'crumb.deviation' "$work/a.onnx" || wrong "--form $form: no metadata"
    bytes[$form]=$(stat -c %s "$work/a.onnx")
done
expect 0 export "$packed" -o "$work/a.onnx"
expect 0 export "$packed" -o "$work/b.onnx" --form qcdq --opset 13
cmp -s "$work/a.onnx" "$work/b.onnx" || wrong "qcdq is not the default"
((bytes[qdq --opset 25] < bytes[qdq] && bytes[qdq] < bytes[qcdq] && bytes[qcdq] < bytes[float])) || wrong "sizes: ${bytes[*]}"

# What comes back knows its classes and pixels, and its quantizers: it packs as small, runs as before, and gets no others.
expect 0 run "$packed" --data digits:test --limit 500 --json
top1=$(value "$work/stdout" top1)
for form in qonnx nbits qdq "qdq --opset 25" qcdq; do
    expect 0 export "$packed" -o "$work/a.onnx" --form $form
    expect 0 import "$work/a.onnx" -o "$work/back.safetensors"
    expect 0 pack "$work/back.safetensors" -o "$work/back.crumb"
    expect 0 verify "$work/back.safetensors" "$work/back.crumb"
    expect 0 run "$work/back.crumb" --data digits:test --limit 500 --json
    [[ $(value "$work/stdout" top1) == "$top1" ]] || wrong "--form $form: what comes back computes something else"
    ((10 * $(stat -c %s "$work/back.crumb") < 11 * $(stat -c %s "$packed"))) || wrong "--form $form: what comes back is larger"
done
expect 0 export "$packed" -o "$work/two.onnx" --form qdq --opset 25
expect 0 import "$work/two.onnx" -o "$work/two.safetensors"
expect 0 pack "$work/two.safetensors" -o "$work/two.crumb"
grep -qE '^fc1.* 2 +2 ' "$work/stdout" || wrong "int2 weights of a linear layer come back to floats"
crumb data digits --sheet "$work/sheet.png" --columns 3 --rows 2
expect 0 run "$work/back.crumb" "$work/sheet.png" --top 3
grep -qE "^ +[0-9.]+ % +([0-9]) +\\1\$" "$work/stdout" || wrong "no class names came back"
printf 'name: back\nmodel: {name: imported, init: %s}\ndata: {train: "digits:train", test: "digits:test"}\n' "$work/a.onnx" >"$work/back.yaml"
refuses 1 "came quantized" train "$work/back.yaml" --out "$work/twice" -q --set quantize.weights.name=lsq --set quantize.weights.bits=2

# The floats are those of the network: quantized weights, float inputs.
crumb train "$work/small.yaml" --out "$work/weights" -q --set quantize.activations.name=none --set quantize.first=same \
    --set quantize.last=same || wrong "no run of weights only"
weights=$work/weights/best.safetensors
expect 0 export "$weights" -o "$work/w.safetensors"
grep -qF '"format":"pt"' "$work/w.safetensors" || wrong "not marked as PyTorch's"
expect 0 pack "$weights" -o "$work/w.crumb" --json
mean=$(value "$work/stdout" mean.0) deviation=$(value "$work/stdout" deviation.0)
expect 0 import "$work/w.safetensors" --model lenet5 --params width=0.25 --input 28x28x1 --mean "$mean" --deviation "$deviation" \
    -o "$work/again.safetensors"
for file in "$weights" "$work/again.safetensors"; do
    expect 0 eval "$file" --data digits:test --limit 1000 --json
    json images top1 top5 loss
    cp "$work/values" "$work/values.$(basename "$file")"
done
cmp -s "$work/values.best.safetensors" "$work/values.again.safetensors" || wrong "the exported floats compute something else"
expect 0 export "$weights" -o "$work/c.safetensors" --form codes --json
json format file from model form
((2 * $(stat -c %s "$work/c.safetensors") < $(stat -c %s "$work/w.safetensors"))) || wrong "codes are not small"

refuses 2 "--out is missing" export "$packed" --format onnx
refuses 2 "did you mean \"onnx\"" export "$packed" --format onx -o "$work/x"
refuses 1 "did you mean \"qonnx\"" export "$packed" --form qonx -o "$work/x.onnx"
refuses 1 "with opset 13, not 14" export "$packed" --opset 14 -o "$work/x.onnx"
refuses 1 "is packed" export "$packed" -o "$work/x.safetensors"
refuses 2 "float and codes" export "$model" -o "$work/x.safetensors" --form qcdq
refuses 2 "--format onnx" export "$model" -o "$work/x.safetensors" --opset 13
refuses 2 "--format c" export "$model" -o "$work/x.onnx" --floats
refuses 2 "--form is for" export "$packed" -o "$work/x.c" --form qdq
refuses 1 "missing.crumb" export "$work/missing.crumb" -o "$work/x.onnx"
head -c 300 "$packed" >"$work/short.crumb"
refuses 1 "short.crumb" export "$work/short.crumb" -o "$work/x.onnx"
refuses 1 "nowhere" export "$packed" -o "$work/nowhere/x.onnx"
[[ ! -e $work/x.onnx && ! -e $work/x.safetensors && ! -e $work/x.c ]] || wrong "something was written"
finish
