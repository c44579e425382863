#!/bin/bash
# A network of your own, from PyTorch to 2 bits and out again, with its accuracy at each step:
#
#     CRUMB_DATA=data examples/03_bring_your_own.sh [BUILD [OUT [OPTION...]]]
#
# $CRUMB_DATA holds weights/resnet20-cifar10.safetensors and cifar-10-batches-bin; BUILD (build) the command; OUT (runs/own) what is
# made; options go to crumb train ("--set train.epochs=1 --set data.limit=5000" for a quick look). IMAGES: so many test images only.
# Needs python3-torch and python3-onnx; the last row needs tools/install-peers BUILD.
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build} out=${2:-runs/own}
shift $(($# < 2 ? $# : 2))
crumb=$build/crumb python=/usr/bin/python3 torch=examples/resnet20_torch.py
folder=$CRUMB_DATA/cifar-10-batches-bin images=${IMAGES:-10000} runtime=$build/peers/node_modules/onnxruntime-node
mkdir -p "$out"

row() { # step, accuracy, file
    printf '%-42s %7.2f %% %10d bytes\n' "$1" "$2" "$(stat -c %s "$3")"
}
top1() { # COMMAND ARGUMENT...: accuracy that eval or run reports
    "$crumb" "$@" --data "cifar10:$folder" --limit "$images" --json |
        $python -c 'import json, sys; print(json.load(sys.stdin)["top1"])'
}

row "PyTorch, float" "$($python $torch eval "$CRUMB_DATA/weights/resnet20-cifar10.safetensors" "$folder" "$images")" \
    "$CRUMB_DATA/weights/resnet20-cifar10.safetensors"
$python $torch export "$CRUMB_DATA/weights/resnet20-cifar10.safetensors" "$out/net.onnx"

"$crumb" import "$out/net.onnx" -o "$out/net.safetensors" --mean 0.485,0.456,0.406 --deviation 0.229,0.224,0.225 >/dev/null
row "crumb, imported from ONNX" "$(top1 eval "$out/net.safetensors")" "$out/net.onnx"

NET=$out/net.onnx "$crumb" train examples/03_bring_your_own.yaml --out "$out/run" "$@" --json >"$out/train.json"
row "2 bits, trained" "$(top1 eval "$out/run/last.safetensors")" "$out/run/last.safetensors"

"$crumb" pack "$out/run/last.safetensors" -o "$out/net.crumb" >/dev/null
"$crumb" verify "$out/run/last.safetensors" "$out/net.crumb" --data "cifar10:$folder" --images 16 >"$out/verify.txt"
row "packed, verified: crumb run" "$(top1 run "$out/net.crumb")" "$out/net.crumb"

"$crumb" export "$out/run/last.safetensors" -o "$out/weights.safetensors" >/dev/null
row "exported weights, PyTorch" "$($python $torch eval "$out/weights.safetensors" "$folder" "$images")" "$out/weights.safetensors"

"$crumb" export "$out/net.crumb" -o "$out/low.onnx" --form qdq --opset 25 >/dev/null
if [[ -d $runtime ]] && command -v node >/dev/null; then
    row "exported ONNX (qdq), ONNX Runtime" "$(node examples/onnx_top1.cjs "$runtime" "$out/low.onnx" "$folder" "$images")" "$out/low.onnx"
fi
