# Bad input of every command: a missing file, the wrong kind of file, nonsense values. Exit 1 or 2, one line that names the culprit.
. tests/cli/common.sh
small_recipe "$work/small.yaml"
cd "$work"
printf 'not a model\n' >text.safetensors
head -c 5000 /dev/urandom >noise.safetensors
: >empty.yaml
mkdir folder
train=(--out "$work/run")

# train
refuses 1 "missing.yaml" train missing.yaml
refuses 1 "folder" train folder
refuses 1 "empty.yaml" train empty.yaml
refuses 1 "noise.safetensors" train noise.safetensors
refuses 1 "did you mean" train small.yaml "${train[@]}" --set train.epoch=3
refuses 1 "resnet20" train small.yaml "${train[@]}" --set model.name=resnet21
refuses 1 "epochs" train small.yaml "${train[@]}" --set train.epochs=-1
refuses 1 "epochs" train small.yaml "${train[@]}" --set train.epochs=many
refuses 1 "bits" train small.yaml "${train[@]}" --set quantize.weights.bits=9
refuses 1 "nothing" train small.yaml "${train[@]}" --set nothing
refuses 1 "missing.safetensors" train small.yaml "${train[@]}" --set model.init=missing.safetensors
refuses 1 "missing-folder" train small.yaml "${train[@]}" --set data.train=cifar10:missing-folder:train
refuses 1 "digitz" train small.yaml "${train[@]}" --set data.train=digitz
refuses 1 "CRUMB_TEST_NOWHERE" train small.yaml "${train[@]}" --set 'model.init=${CRUMB_TEST_NOWHERE}/x'
refuses 2 "is not a whole number" train small.yaml --seed 1.5
expect 1 train small.yaml --quiet --out /proc/nowhere/run
says "/proc/nowhere"
[[ ! -e run/result.json ]] || wrong "a refused recipe left a result"
printf 'name: x\nmodel:\n  name: lenet5\n  widht: 2\n' >typo.yaml
refuses 1 "typo.yaml:4" train typo.yaml
says "width"
printf 'a: [1, 2\nb: {' >broken.yaml
refuses 1 "broken.yaml" train broken.yaml

# compare
for bad in missing.yaml folder empty.yaml small.yaml broken.yaml; do
    refuses 1 "$bad" compare "$bad"
done
refuses 1 "variant a: --set nothing" compare small.yaml --variant a:nothing

# eval
for bad in missing.safetensors text.safetensors noise.safetensors folder; do
    refuses 1 "$bad" eval "$bad" --data digits
    refuses 1 "$bad" import "$bad" --model resnet20 --out "$work/out.safetensors"
done
[[ ! -e out.safetensors ]] || wrong "a failed import left a file"
refuses 2 "is not a whole number" eval text.safetensors --data digits --batch x
refuses 2 "outside" eval text.safetensors --data digits --batch 0

# data
refuses 1 "digitz" data digitz
refuses 1 "cifar10" data cifar11:folder
refuses 1 "folder" data cifar10:folder
refuses 1 "missing-folder" data idx:missing-folder
refuses 1 "sideways" data digits:sideways
refuses 1 "/proc/nowhere" data digits:test --sheet /proc/nowhere/x.png
refuses 2 "outside" data digits --columns 0

# import
refuses 2 "--model is missing" import text.safetensors --out x
refuses 2 "--out is missing" import text.safetensors --model resnet20
refuses 2 "HEIGHTxWIDTHxCHANNELS" import text.safetensors --model resnet20 --out x --input 32x32
refuses 2 "numbers" import text.safetensors --model resnet20 --out x --mean 1,2
refuses 2 "list of numbers" import text.safetensors --model resnet20 --out x --mean 1,two,3
refuses 2 "not positive" import text.safetensors --model resnet20 --out x --mean 0,0,0 --deviation 1,0,1
refuses 1 "resnet20" import text.safetensors --model resnet21 --out x

# pack, verify
refuses 2 "--out is missing" pack text.safetensors
for bad in missing.safetensors text.safetensors noise.safetensors folder; do
    refuses 1 "$bad" pack "$bad" -o "$work/out.crumb"
    refuses 1 "$bad" verify "$bad" "$bad"
done
[[ ! -e out.crumb ]] || wrong "a failed pack left a file"
refuses 2 "outside" verify a b --images 0
refuses 2 "--ties: 0 is not above 0" verify a b --ties 0
refuses 2 "--agreement is one number, not 2" verify a b --agreement 90,95
refuses 2 "list of numbers" verify a b --ties some

# run, eval: the other half's file is called by its name, and what is left out is said
printf '\x89CRUMB\r\nrest' >packed.crumb
for command in "eval packed.crumb --data digits" "pack packed.crumb -o out.crumb" "verify packed.crumb packed.crumb"; do
    refuses 1 "this is a packed network" $command
done
refuses 1 "crumb pack makes one" run text.safetensors --data digits
refuses 1 "not a safetensors file" pack noise.safetensors -o out.crumb
refuses 2 "--top is for image files" run packed.crumb --data digits --top 3
refuses 2 "--limit is for --data" run packed.crumb x.png --limit 3
refuses 1 "nosuch" info nosuch
! grep -q "did you mean" stderr || wrong "nosuch is no slip"

# JSON names files, in UTF-8; other names are no trouble without it.
refuses 2 "is not UTF-8" run packed.crumb $'\xff.png' --json
refuses 2 "is not UTF-8" info --json $'\xff.crumb'
refuses 1 "cannot open" info $'\xff.crumb'

# The file that is read is not the file to write, and a device is not replaced.
cp text.safetensors kept
refuses 2 "text.safetensors is the file that is read" export text.safetensors -o ./text.safetensors
cp text.safetensors text
refuses 2 "is the file that is read" pack text -o ./text
refuses 2 "a .crumb file, not x.safetensors" pack text.safetensors -o x.safetensors
refuses 2 "a .safetensors file, not x.onnx" import x.onnx -o x.onnx
printf x >x.onnx
refuses 1 "crumb import makes" pack x.onnx -o out.crumb
refuses 2 "is the file that is read" export text.safetensors -o text.safetensors
refuses 2 "is the file that is read" import text.safetensors --model resnet20 -o text.safetensors
cmp -s kept text.safetensors || wrong "an input was replaced"
mkfifo pipe
timeout 20 "$CRUMB" run pipe --data digits >stdout 2>stderr && wrong "a pipe is a network"
says "pipe: not a regular file"
refuses 1 "pipe: not a regular file" data digits:test --sheet pipe
[[ -p pipe ]] || wrong "a pipe was replaced"

# bench
refuses 1 "missing.yaml" bench train missing.yaml
refuses 2 "outside" bench train small.yaml --steps 0
finish
