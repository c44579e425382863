# Stopping and resuming through the command: a run that got SIGTERM, or SIGKILL at any moment, ends in the same bits as one that
# was left alone.
. tests/cli/common.sh
small_recipe "$work/small.yaml"
recipe=("$work/small.yaml" --set train.epochs=3 --set train.checkpoint_every=5 --set data.limit=1200)

expect 0 train "${recipe[@]}" --out "$work/whole" -q

# SIGTERM: a checkpoint, exit status 1, and a line that tells how to go on.
"$CRUMB" train "${recipe[@]}" --out "$work/term" >"$work/stdout" 2>"$work/stderr" &
pid=$!
until [[ -s $work/term/log.jsonl ]] || ! kill -0 $pid 2>/dev/null; do sleep 0.02; done
kill -TERM $pid
code=0
wait $pid || code=$?
if [[ $code == 0 ]]; then
    echo "the run was over before the signal"
else
    [[ $code == 1 ]] || wrong "SIGTERM: exit status $code"
    says "--out $work/term --resume"
    [[ ! -e $work/term/result.json ]] || wrong "a stopped run has a result"
    refuses 1 "holds an unfinished run" train "${recipe[@]}" --out "$work/term"
    expect 0 train "${recipe[@]}" --out "$work/term" --resume -q
    cmp -s "$work/whole/last.safetensors" "$work/term/last.safetensors" || wrong "SIGTERM and --resume: other bits"
fi

# SIGKILL, again and again, each time a little later.
pause=0.15 kills=0
while :; do
    "$CRUMB" train "${recipe[@]}" --out "$work/kill" --resume -q >"$work/stdout" 2>"$work/stderr" &
    pid=$!
    sleep $pause
    kill -KILL $pid 2>/dev/null && kills=$((kills + 1))
    code=0
    wait $pid 2>/dev/null || code=$?
    if [[ $code == 0 ]]; then break; fi
    [[ $code == 137 ]] || { wrong "killed run ends with $code"; break; }
    pause=$(awk "BEGIN { print $pause * 1.7 }")
done
echo "killed $kills times"
[[ $kills -gt 0 ]] || wrong "the run was never killed"
cmp -s "$work/whole/last.safetensors" "$work/kill/last.safetensors" || wrong "SIGKILL and --resume: other bits"
cmp -s "$work/whole/best.safetensors" "$work/kill/best.safetensors" || wrong "SIGKILL and --resume: another best network"
finish
