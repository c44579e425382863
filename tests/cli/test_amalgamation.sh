# crumb_run.c and run.h, the library as one file: compiles by itself without a warning, and gives the library's logits, with every
# instruction set and number of threads.
. tests/cli/common.sh
cc=${CC:-cc}
tools/amalgamate "$work" || wrong "tools/amalgamate fails"
cmp -s "$work/crumb_run.c" "$BUILD/amalgamation/crumb_run.c" || wrong "the build's crumb_run.c is another one"
sed 's,<crumb/run.h>,"run.h",' tests/runtime/logits.c >"$work/logits.c"
(cd "$work" && $cc -O2 -Wall -Wextra -Werror crumb_run.c logits.c -lm -lpthread -o one) 2>"$work/stderr" || wrong "crumb_run.c does not compile"
[[ ! -s $work/stderr ]] || wrong "the compiler complains"
$cc -O2 -Iinclude tests/runtime/logits.c "$BUILD/libcrumb_run.a" -lm -lpthread -o "$work/library" 2>"$work/stderr" || wrong "no program with the library"
foreign=$(nm -g --defined-only "$work/one" | awk '$2 == "T" && $3 !~ /^(crumb_|main$|_)/ { print $3 }')
[[ -z $foreign ]] || wrong "not crumb_: $foreign"
for shape in "11 9 3 7" "28 28 1 10" "33 64 2 3"; do
    "$PACKED_SAMPLE" "$work/net.crumb" $shape || wrong "no sample"
    "$work/library" "$work/net.crumb" 1 >"$work/wanted" || wrong "the library fails"
    for way in 1 3 "1 scalar" "2 avx2" "2 avx512"; do
        "$work/one" "$work/net.crumb" $way >"$work/got" || wrong "the one file fails"
        cmp -s "$work/got" "$work/wanted" || wrong "other logits with $way"
    done
done
finish
