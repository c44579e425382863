# The command's contract: exit codes, help with examples first, --version, --json, one line for every mistake.
. tests/cli/common.sh

expect 0 --version
grep -qE '^crumb [0-9]+\.[0-9]+\.[0-9]+$' "$work/stdout" || wrong "--version"
expect 0 --help
[[ $(head -1 "$work/stdout") == Examples ]] || wrong "--help does not begin with examples"
expect 2
[[ ! -s $work/stdout && -s $work/stderr ]] || wrong "crumb alone: help belongs on stderr"

for command in train compare surface eval pack verify run export info data import bench report; do
    expect 0 "$command" --help
    [[ $(head -1 "$work/stdout") == Examples ]] || wrong "$command --help does not begin with examples"
    sed -n 2p "$work/stdout" | grep -qE "^  crumb $command" || wrong "$command --help: no example"
    [[ ! -s $work/stderr ]] || wrong "$command --help: something on stderr"
    cp "$work/stdout" "$work/help"
    expect 0 help "$command"
    cmp -s "$work/help" "$work/stdout" || wrong "help $command differs from $command --help"
    refuses 2 "did you mean --json" "$command" --jsom
    refuses 2 "takes no value" "$command" --json=yes
    refuses 2 "is not a whole number" "$command" --threads many
    refuses 2 "outside 1 .. 1024" "$command" --threads=0
    refuses 2 "needs a value" "$command" --threads
    # report, run and bench take as many folders, images or networks as there are
    if [[ $command != report && $command != run && $command != bench ]]; then refuses 2 "too many" "$command" a b c d; fi
    if [[ $command != info ]]; then refuses 2 "is missing" "$command"; fi
done

refuses 2 'did you mean "train"' tarin x
refuses 2 'no command "zzzzzzzz"' zzzzzzzz
refuses 2 "before a command" --json train
refuses 2 "no option -Z" info -Z
refuses 2 "--data is missing" eval model.safetensors
refuses 2 'no bench "tarin"' bench tarin x
refuses 2 "completion for" completion tcsh
CRUMB_CPU=pentium refuses 2 "CRUMB_CPU=pentium" info
CRUMB_CPU=scalar expect 0 info

# Nothing but text where there is no terminal, and a full disk is an error.
expect 0 info
! grep -q $'\033' "$work/stdout" "$work/stderr" || wrong "escape sequences without a terminal"
if [[ -w /dev/full ]]; then
    "$CRUMB" info >/dev/full 2>"$work/stderr" && wrong "a full disk went unnoticed"
    says "cannot write to stdout"
fi

# With a terminal there are colours, unless NO_COLOR.
if command -v script >/dev/null; then
    TERM=xterm script -qec "'$CRUMB' --help" /dev/null >"$work/stdout" </dev/null
    grep -q $'\033' "$work/stdout" || wrong "no colours on a terminal"
    NO_COLOR=1 TERM=xterm script -qec "'$CRUMB' --help" /dev/null >"$work/stdout" </dev/null
    ! grep -q $'\033' "$work/stdout" || wrong "NO_COLOR is not honoured"
fi
finish
