# Weights from crumb in PyTorch: a plain module takes the exported file whole and, with the inputs of its layers quantized as the file
# says, has the accuracy of crumb's network; codes and floats are the same weights. A network that PyTorch writes as ONNX comes back.
python=/usr/bin/python3
weights=${CRUMB_DATA:-}/weights/resnet20-cifar10.safetensors images=${CRUMB_DATA:-}/cifar-10-batches-bin
[[ -e $weights && -d $images ]] || { echo "skipped: no weights and images in \$CRUMB_DATA"; exit 77; }
"$python" -c 'import torch' 2>/dev/null || { echo "skipped: no python3-torch"; exit 77; }
. tests/cli/common.sh
export OMP_NUM_THREADS=1
limit=400

torch() { "$python" examples/resnet20_torch.py eval "$1" "$images" $limit 2>"$work/stderr" || wrong "PyTorch refuses $1"; }
near() { # A B: percentages that a rounding tie or two may tell apart
    awk -v a="$1" -v b="$2" 'BEGIN { exit !(a != "" && b != "" && a - b <= 0.51 && b - a <= 0.51) }'
}

crumb train recipes/resnet20-lsq-w2a2.yaml --out "$work/run" -q --threads 1 --set data.limit=512 --set train.epochs=1 \
    --set quantize.weights.bits=4 --set quantize.activations.bits=4 --set train.optimizer.lr=0.001 --set train.measure_direct=false \
    --set train.evaluate_every=1000 || wrong "no run"
model=$work/run/last.safetensors
expect 0 export "$model" -o "$work/floats.safetensors"
expect 0 export "$model" -o "$work/codes.safetensors" --form codes
expect 0 eval "$model" --data "cifar10:$images" --limit $limit --threads 1 --json
ours=$(value "$work/stdout" top1) floats=$(torch "$work/floats.safetensors") codes=$(torch "$work/codes.safetensors")
near "$ours" "$floats" || wrong "crumb has $ours, PyTorch $floats"
[[ $floats == "$codes" ]] || wrong "floats have $floats, codes $codes"
echo "W4A4: crumb $ours, PyTorch $floats, from codes $codes"

if "$python" -c 'import onnx' 2>/dev/null; then
    "$python" examples/resnet20_torch.py export "$weights" "$work/net.onnx" 2>"$work/stderr" || wrong "PyTorch writes no ONNX"
    expect 0 import "$work/net.onnx" -o "$work/net.safetensors" --mean 0.485,0.456,0.406 --deviation 0.229,0.224,0.225
    expect 0 eval "$work/net.safetensors" --data "cifar10:$images" --limit $limit --threads 1 --json
    ours=$(value "$work/stdout" top1) floats=$(torch "$weights")
    near "$ours" "$floats" || wrong "imported: crumb has $ours, PyTorch $floats"
    echo "float: crumb $ours, PyTorch $floats"
fi
finish
