# The example program of examples/, run as its head says.
. tests/cli/common.sh
small_recipe "$work/small.yaml"
[[ $(wc -l <examples/01_train.c) -lt 80 ]] || wrong "the example has 80 lines or more"
! grep -E '#include +"' examples/01_train.c || wrong "the example uses private headers"
"$BUILD/example_01_train" "$work/small.yaml" "$work/run" train.epochs=1 >"$work/stdout" 2>"$work/stderr" || wrong "the example fails"
grep -q '^epoch 1 of 1: loss' "$work/stdout" || wrong "no progress"
grep -qE '^1000 images: top-1 [0-9.]+ %' "$work/stdout" || wrong "no evaluation"
"$BUILD/example_01_train" "$work/missing.yaml" "$work/run" >"$work/stdout" 2>"$work/stderr" && wrong "a missing recipe goes unnoticed"
says "missing.yaml"
finish
