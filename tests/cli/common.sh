# What the tests of the command share. $CRUMB is the command, $JSON_CHECK the checker, $BUILD the build folder.
set -uo pipefail
work=$(mktemp -d "${TMPDIR:-/tmp}/crumb-cli-XXXXXX")
trap 'rm -rf "$work"' EXIT
root=$PWD
failures=0
unset CRUMB_CPU NO_COLOR
export OMP_WAIT_POLICY=passive # threads that wait leave the processor to the other tests
export LSAN_OPTIONS=${LSAN_OPTIONS:-print_suppressions=0}

wrong() { # message: counts a failure and shows what the last command said
    echo "FAILED: $*"
    sed 's/^/    stdout: /' "$work/stdout" 2>/dev/null | head -5
    sed 's/^/    stderr: /' "$work/stderr" 2>/dev/null | head -5
    failures=$((failures + 1))
}

crumb() { # runs the command, keeps both streams
    "$CRUMB" "$@" >"$work/stdout" 2>"$work/stderr"
}

expect() { # CODE ARGUMENT...: the exit status is CODE
    local want=$1 got=0
    shift
    crumb "$@" || got=$?
    [[ $got == "$want" ]] || wrong "crumb $*: exit status $got, not $want"
}

says() { # WORDS: stderr has them
    grep -qF -- "$1" "$work/stderr" || wrong "stderr lacks \"$1\""
}

refuses() { # CODE WORDS ARGUMENT...: exit status CODE, nothing on stdout, one line on stderr that has the words
    local code=$1 words=$2
    shift 2
    expect "$code" "$@"
    says "$words"
    [[ ! -s $work/stdout ]] || wrong "crumb $*: something on stdout"
    [[ $(wc -l <"$work/stderr") == 1 ]] || wrong "crumb $*: not one line on stderr"
}

json() { # KEY...: stdout is one JSON object that has the keys
    "$JSON_CHECK" "$@" <"$work/stdout" >"$work/values" 2>>"$work/stderr" || wrong "stdout is no JSON object with $*"
}

value() { # FILE KEY: one value of a JSON file
    "$JSON_CHECK" "$2" <"$1"
}

# A recipe that trains in a second.
small_recipe() { # FILE
    cat >"$1" <<'RECIPE'
name: small
model: {name: lenet5, width: 0.25}
data: {train: "digits:train", test: "digits:test", limit: 512, holdout: 128}
quantize:
  weights: {name: lsq, bits: 2}
  activations: {name: lsq, bits: 2}
  first: 8bit
  last: 8bit
train:
  epochs: 2
  batch: 32
  seed: 3
  optimizer: {name: sgd, lr: 0.02, momentum: 0.9}
  schedule: {name: cosine}
RECIPE
}

finish() {
    if [[ $failures -gt 0 ]]; then
        echo "$failures failures"
        exit 1
    fi
    exit 0
}
