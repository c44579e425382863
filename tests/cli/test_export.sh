# crumb export: the files and what is said about them, the same each time; refusals, which leave nothing behind.
. tests/cli/common.sh
"$PACKED_SAMPLE" "$work/model.crumb" 28 28 1 10 || wrong "no sample"
mkdir "$work/a" "$work/b"

expect 0 export "$work/model.crumb" --format c --out "$work/a/net.c"
grep -qE '^constant_bytes +[0-9]+$' "$work/stdout" || wrong "no bytes of constants"
expect 0 export "$work/model.crumb" -o "$work/b/net.c" --json
json format file from model header constant_bytes memory_bytes
[[ $(value "$work/stdout" header) == "$work/b/net.h" ]] || wrong "another header"
diff -r "$work/a" "$work/b" >"$work/stderr" || wrong "the same network, other files"
[[ $(ls "$work/a" | xargs) == "net.c net.h" ]] || wrong "other files than net.c and net.h"
grep -q 'void net_run(const uint8_t \*pixels, float \*logits);' "$work/a/net.h" || wrong "no net_run in the header"
grep -q 'net_class_name\[10\]' "$work/a/net.h" || wrong "no class names"
expect 0 export "$work/model.crumb" -o "$work/b/net.c" --floats
grep -q 'void net_run(const float \*image, float \*logits);' "$work/b/net.h" || wrong "--floats changes nothing"
if command -v cc >/dev/null; then
    cc -std=c99 -ffreestanding -pedantic -Wall -Wextra -Werror -c "$work/a/net.c" -o "$work/net.o" 2>"$work/stderr" || wrong "no strict C99"
    echo '#include "net.h"' | cc -std=c99 -pedantic -Werror -I "$work/a" -x c -fsyntax-only - 2>"$work/stderr" || wrong "the header alone"
fi

rm -r "$work/a" "$work/b"
mkdir "$work/a"
refuses 2 "is missing" export
refuses 2 "--out is missing" export "$work/model.crumb" --format c
refuses 2 "--format is missing" export "$work/model.crumb" --out "$work/a/net"
refuses 2 'no format "fortran"' export "$work/model.crumb" --format fortran --out "$work/a/net.f"
refuses 1 "a/net.x" export "$work/model.crumb" --format c --out "$work/a/net.x"
refuses 1 "no name in C" export "$work/model.crumb" --format c --out "$work/a/2net.c"
refuses 1 "missing.crumb" export "$work/missing.crumb" --out "$work/a/net.c"
refuses 1 "nowhere" export "$work/model.crumb" --out "$work/nowhere/net.c"
head -c 300 "$work/model.crumb" >"$work/short.crumb"
refuses 1 "short.crumb" export "$work/short.crumb" --out "$work/a/net.c"
mkdir "$work/a/net.c"
expect 1 export "$work/model.crumb" --out "$work/a/net.c"
[[ $(ls "$work/a") == net.c && -d $work/a/net.c ]] || wrong "a refused export left something: $(ls "$work/a" | xargs)"
mkdir "$work/c" "$work/c/net.h"
expect 1 export "$work/model.crumb" --out "$work/c/net.c"
[[ $(ls "$work/c") == net.h ]] || wrong "a C file without its header: $(ls "$work/c" | xargs)"
echo old >"$work/c/net.c"
expect 1 export "$work/model.crumb" --out "$work/c/net.c"
[[ $(ls "$work/c" | xargs) == "net.c net.h" && $(<"$work/c/net.c") == old ]] || wrong "the old C file is gone"
finish
