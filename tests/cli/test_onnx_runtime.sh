# Exported ONNX in ONNX Runtime: every form of random networks of every op and of trained ones gives the packed network's logits.
# Needs node and tools/install-peers; with $CRUMB_DATA also CIFAR-10 images in an imported ResNet-20. A rounding tie moves a code:
# such images are counted, and few.
runtime=$BUILD/peers/node_modules/onnxruntime-node
command -v node >/dev/null && [[ -d $runtime ]] || { echo "skipped: no node, or no $runtime (tools/install-peers)"; exit 77; }
. tests/cli/common.sh

agrees() { # FOLDER LEAST FILE...: LEAST of the images of FOLDER have the packed network's top-1
    local folder=$1 least=$2
    shift 2
    node tests/onnx/compare.cjs "$runtime" "$folder" "$least" "$@" >"$work/stdout" 2>"$work/stderr" || wrong "$folder: $*"
    cut -c1-240 "$work/stdout"
}

for seed in $(seq 1 12); do
    mkdir "$work/random$seed"
    "$ONNX_SAMPLES" random "$seed" 20 "$work/random$seed" || wrong "random $seed"
    agrees "$work/random$seed" 1 "$work/random$seed"/{float13,qcdq13,qdq21,qdq25,qonnx13}.onnx >/dev/null
    ! grep -q '"moved":[^0]' "$work/stdout" || wrong "random $seed: logits differ"
    agrees "$work/random$seed" 0.9 "$work/random$seed/nbits13.onnx" >/dev/null # inputs of linear layers become 8 bits there
done

# NAME DATA COUNT: the network $work/NAME.crumb in every form.
compare_forms() {
    mkdir "$work/$1"
    for form in float qcdq qdq nbits qonnx; do
        expect 0 export "$work/$1.crumb" -o "$work/$1/$form.onnx" --form $form
    done
    expect 0 export "$work/$1.crumb" -o "$work/$1/qdq25.onnx" --form qdq --opset 25
    "$ONNX_SAMPLES" "$work/$1.crumb" "$2" "$3" "$work/$1" || wrong "$1: no samples"
    agrees "$work/$1" 0.97 "$work/$1"/*.onnx
}

small_recipe "$work/small.yaml"
for rule in "lsq 2 lsq 2" "dorefa 3 dorefa 3" "xnor 1 sign 1" "minmax 8 minmax 8" "twn 2 pact 4"; do
    read -r weights weight_bits activations activation_bits <<<"$rule"
    name=$weights$weight_bits
    crumb train "$work/small.yaml" --out "$work/run" -q --set quantize.weights.name="$weights" --set quantize.weights.bits="$weight_bits" \
        --set quantize.activations.name="$activations" --set quantize.activations.bits="$activation_bits" || wrong "no run: $rule"
    crumb pack "$work/run/last.safetensors" -o "$work/$name.crumb" || wrong "not packed: $rule"
    rm -r "$work/run"
    compare_forms "$name" digits:test 300
done

# Linear layers alone, 2-bit codes right into them; float weights between quantizers. The runtime rewrites both in its own way.
for rule in "codes {name: lsq, bits: 2}" "floats none"; do
    read -r name weights <<<"$rule"
    crumb train "$work/small.yaml" --out "$work/run" -q --set 'model={name: mlp, hidden: [64, 32], batch_norm: false}' \
        --set quantize.last=same --set "quantize.layers=[{match: fc2, weights: $weights}]" || wrong "no run: $rule"
    crumb pack "$work/run/last.safetensors" -o "$work/$name.crumb" || wrong "not packed: $rule"
    rm -r "$work/run"
    compare_forms "$name" digits:test 100
    ! grep '"file":"q[cd]' "$work/stdout" | grep -q '"moved":[1-9][0-9]' || wrong "$rule: logits differ"
done

weights=${CRUMB_DATA:-}/weights/resnet20-cifar10.safetensors
if [[ -e $weights ]]; then
    expect 0 import "$weights" --model resnet20 -o "$work/resnet20.safetensors" --mean 0.4914,0.4822,0.4465 --deviation 0.2023,0.1994,0.201
    expect 0 pack "$work/resnet20.safetensors" -o "$work/resnet20.crumb"
    compare_forms resnet20 "cifar10:$CRUMB_DATA/cifar-10-batches-bin" 100
fi
finish
