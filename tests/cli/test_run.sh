# crumb run: data sets, image files, profile, plan; the same figures whatever the threads, the pieces and the instructions.
. tests/cli/common.sh
"$PACKED_SAMPLE" "$work/net.crumb" 28 28 1 10 || wrong "no sample"
figures="images top1 top5 loss"

expect 0 run "$work/net.crumb" --data digits --limit 300 --threads 1 --json
json packed model threads data images top1 top5 loss images_per_second seconds
json $figures
cp "$work/values" "$work/wanted"
[[ $(value "$work/stdout" images) == 300 ]] || wrong "not 300 images"
for other in "--threads 2" "--threads 2 --batch 1" "--threads 1 --batch 7" "--threads 3 --batch 5"; do
    expect 0 run "$work/net.crumb" --data digits --limit 300 $other --json
    json $figures
    cmp -s "$work/values" "$work/wanted" || wrong "$other changes the figures"
done
for limit in scalar avx2; do
    CRUMB_CPU=$limit expect 0 run "$work/net.crumb" --data digits --limit 300 --json
    json $figures
    cmp -s "$work/values" "$work/wanted" || wrong "CRUMB_CPU=$limit changes the figures"
done

expect 0 run "$work/net.crumb" --data digits --limit 64 --profile --plan
grep -qE '^ *conv .*W2A2' "$work/stdout" || wrong "no 2-bit layer in the profile"
grep -qE '^ *conv .*W2A2.* [0-9]+ %' "$work/stdout" || wrong "no share of a limit in the profile"
grep -q 'conv2d + relu + quantize' "$work/stdout" || wrong "no fused chain in the plan"
expect 0 run "$work/net.crumb" --data digits --limit 64 --profile --plan --json
json profile plan limits limits.bytes.rate profile.0.seconds profile.0.least_seconds profile.0.limit
expect 0 run "$work/net.crumb" --plan
grep -q 'bytes of weights' "$work/stdout" || wrong "--plan alone shows nothing"

# Image files: of any size, gray or not; the digits' own sheet is one.
crumb data digits --sheet "$work/sheet.png" --columns 3 --rows 2
expect 0 run "$work/net.crumb" "$work/sheet.png" "$work/sheet.png" --top 3
[[ $(grep -c '%' "$work/stdout") == 6 ]] || wrong "not three classes of two images"
grep -qE '^ +[0-9.]+ % +[0-9] +(zero|one|two|three|four|five|six|seven|eight|nine)$' "$work/stdout" || wrong "no class names"
expect 0 run "$work/net.crumb" "$work/sheet.png" --json --profile --resize 32
json packed images profile
"$PACKED_SAMPLE" "$work/colour.crumb" 20 32 3 7 || wrong "no sample in colour"
expect 0 run "$work/colour.crumb" "$work/sheet.png" --top 1000
[[ $(grep -c '%' "$work/stdout") == 7 ]] || wrong "not seven classes"

refuses 2 "--data or image files" run "$work/net.crumb"
refuses 2 "either --data or image files" run "$work/net.crumb" "$work/sheet.png" --data digits
refuses 1 "missing.crumb" run "$work/missing.crumb" --data digits
refuses 1 "missing.png" run "$work/net.crumb" "$work/missing.png"
refuses 1 "neither PNG nor JPEG" run "$work/net.crumb" tests/cli/test_run.sh
refuses 1 "channels" run "$work/colour.crumb" --data digits
head -c 300 "$work/net.crumb" >"$work/short.crumb"
refuses 1 "short.crumb" run "$work/short.crumb" --data digits
finish
