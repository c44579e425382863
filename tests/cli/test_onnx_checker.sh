# Exported ONNX in the checker and shape inference of Debian's python3-onnx, as far as its opsets go; the files of younger ones are
# read as messages.
python=/usr/bin/python3
"$python" -c 'import onnx' 2>/dev/null || { echo "skipped: no python3-onnx"; exit 77; }
. tests/cli/common.sh
"$PACKED_SAMPLE" "$work/sample.crumb" 20 32 3 10 || wrong "no sample"
for form in float qcdq qdq nbits qonnx; do
    expect 0 export "$work/sample.crumb" -o "$work/sample.$form.onnx" --form $form
done
expect 0 export "$work/sample.crumb" -o "$work/sample.qdq25.onnx" --form qdq --opset 25
for seed in 1 2 3 4 5; do
    mkdir "$work/$seed"
    "$ONNX_SAMPLES" random $seed 1 "$work/$seed" || wrong "random $seed"
done
cat >"$work/check.py" <<'PYTHON'
import sys
import onnx
newest = onnx.defs.onnx_opset_version()
checked = read = 0
for path in sys.argv[1:]:
    model = onnx.load(path)
    opset = max(o.version for o in model.opset_import if o.domain == '')
    if opset <= newest:
        onnx.checker.check_model(model, full_check=not model.functions)
        checked += 1
    else:
        read += 1
    shape = [d.dim_param or d.dim_value for d in model.graph.output[0].type.tensor_type.shape.dim]
    assert model.graph.input[0].name == 'image' and model.graph.output[0].name == 'logits' and shape[0] == 'batch', path
print('checked', checked, 'read', read, 'opset', newest)
PYTHON
"$python" "$work/check.py" "$work"/*.onnx "$work"/*/*.onnx >"$work/stdout" 2>"$work/stderr" || wrong "the checker refuses"
cat "$work/stdout"
grep -q '^checked 24 read 12' "$work/stdout" || wrong "not every file was looked at"
finish
