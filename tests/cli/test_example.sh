# The example programs of examples/, run as their heads say.
. tests/cli/common.sh
small_recipe "$work/small.yaml"
[[ $(wc -l <examples/01_train.c) -lt 80 ]] || wrong "the example has 80 lines or more"
! grep -E '#include +"' examples/01_train.c || wrong "the example uses private headers"
"$BUILD/example_01_train" "$work/small.yaml" "$work/run" train.epochs=1 >"$work/stdout" 2>"$work/stderr" || wrong "the example fails"
grep -q '^epoch 1 of 1: loss' "$work/stdout" || wrong "no progress"
grep -qE '^1000 images: top-1 [0-9.]+ %' "$work/stdout" || wrong "no evaluation"
"$BUILD/example_01_train" "$work/missing.yaml" "$work/run" >"$work/stdout" 2>"$work/stderr" && wrong "a missing recipe goes unnoticed"
says "missing.yaml"

# A picture of the network's size: a contact sheet; its width and height are in the PNG's header.
[[ $(wc -l <examples/02_classify.c) -lt 60 ]] || wrong "the second example has 60 lines or more"
! grep -E '#include +"' examples/02_classify.c || wrong "the second example uses private headers"
crumb data digits --sheet "$work/sheet.png" --columns 3 --rows 2
width=$((16#$(od -An -tx1 -j16 -N4 "$work/sheet.png" | tr -d ' '))) height=$((16#$(od -An -tx1 -j20 -N4 "$work/sheet.png" | tr -d ' ')))
"$PACKED_SAMPLE" "$work/net.crumb" "$height" "$width" 3 10
"$BUILD/example_02_classify" "$work/net.crumb" "$work/sheet.png" >"$work/stdout" 2>"$work/stderr" || wrong "the second example fails"
grep -qE '^class [0-9]: [a-z]+$' "$work/stdout" || wrong "no class"
cp "$work/stdout" "$work/class"
expect 0 run "$work/net.crumb" "$work/sheet.png" --top 1 --json
[[ $(<"$work/class") == "class $(value "$work/stdout" images.0.top.0.class): $(value "$work/stdout" images.0.top.0.name)" ]] ||
    wrong "crumb run says another class"
"$BUILD/example_02_classify" "$work/net.crumb" "$work/missing.png" >"$work/stdout" 2>"$work/stderr" && wrong "a missing picture goes unnoticed"
says "missing.png"
"$BUILD/example_02_classify" "$work/sheet.png" "$work/sheet.png" >"$work/stdout" 2>"$work/stderr" && wrong "a bad network goes unnoticed"
says "sheet.png"
finish
