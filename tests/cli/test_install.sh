# make install: what lies where, and that a program outside builds against it with pkg-config and with CMake.
. tests/cli/common.sh
prefix=$work/prefix
cmake --install "$BUILD" --prefix "$prefix" >"$work/stdout" 2>&1 || wrong "installation fails"
lib=$(dirname "$(find "$prefix" -name libcrumb.a)")
for file in bin/crumb include/crumb/base.h include/crumb/train.h include/crumb/run.h share/man/man1/crumb.1 share/bash-completion/completions/crumb \
    share/zsh/site-functions/_crumb share/fish/vendor_completions.d/crumb.fish; do
    [[ -s $prefix/$file ]] || wrong "$file is not installed"
done
for file in libcrumb.a libcrumb_run.a libcrumb.so pkgconfig/crumb.pc pkgconfig/crumb_run.pc cmake/crumb/crumbConfig.cmake \
    cmake/crumb/crumbConfigVersion.cmake; do
    [[ -s $lib/$file ]] || wrong "$lib/$file is not installed"
done
# grep -q on a pipe may end before its writer, which pipefail then reports: so from a variable.
dynamic=$(readelf -d "$lib/libcrumb.so")
[[ $dynamic == *'soname: [libcrumb.so.0]'* ]] || wrong "no soname"
! grep -rqF "$root" "$lib/pkgconfig" "$lib/cmake" || wrong "an installed file names the source folder"
"$prefix/bin/crumb" --version >/dev/null || wrong "the installed command does not run"

# Moved as a whole, it still works.
mv "$prefix" "$work/moved"
prefix=$work/moved lib=$work/moved/${lib#"$work"/prefix/}
export PKG_CONFIG_PATH=$lib/pkgconfig LD_LIBRARY_PATH=$lib
small_recipe "$work/small.yaml"
cc=${CC:-cc}
$cc examples/01_train.c $(pkg-config --cflags --libs crumb) -o "$work/shared" 2>"$work/stderr" || wrong "does not link with pkg-config"
needed=$(ldd "$work/shared")
[[ $needed == *"$lib/libcrumb.so.0"* ]] || wrong "does not use the shared library"
sed 's/-lcrumb/-l:libcrumb.a/' <<<"$(pkg-config --cflags --libs --static crumb)" >"$work/flags"
$cc examples/01_train.c $(<"$work/flags") -o "$work/static" 2>"$work/stderr" || wrong "does not link statically"
mkdir "$work/outside"
cp examples/01_train.c "$work/outside/"
cat >"$work/outside/CMakeLists.txt" <<'CMAKE'
cmake_minimum_required(VERSION 3.22)
project(outside LANGUAGES C)
find_package(crumb 0.1 REQUIRED COMPONENTS run)
add_executable(outside 01_train.c)
target_link_libraries(outside PRIVATE crumb::crumb)
add_executable(outside_run 03_logits.c)
target_link_libraries(outside_run PRIVATE crumb::crumb_run)
CMAKE
cp tests/runtime/logits.c "$work/outside/03_logits.c"
cmake -S "$work/outside" -B "$work/outside/build" -DCMAKE_PREFIX_PATH="$prefix" >"$work/stdout" 2>"$work/stderr" &&
    cmake --build "$work/outside/build" >"$work/stdout" 2>"$work/stderr" || wrong "does not build with CMake"
for program in "$work/shared" "$work/static" "$work/outside/build/outside"; do
    "$program" "$work/small.yaml" "$work/$(basename "$program")-run" train.epochs=1 >"$work/stdout" 2>"$work/stderr" ||
        wrong "$program fails"
done

# A program that only runs networks needs nothing but the C library.
"$PACKED_SAMPLE" "$work/net.crumb" 11 9 3 7 || wrong "no sample"
$cc tests/runtime/logits.c $(pkg-config --cflags --libs crumb_run) -o "$work/run" 2>"$work/stderr" || wrong "does not link with crumb_run"
foreign=$(ldd "$work/run" | grep -vE 'linux-vdso|libc\.so|libm\.so|libpthread\.so|ld-linux|ld-musl' || true)
[[ -z $foreign ]] || wrong "needs $foreign"
for program in "$work/run" "$work/outside/build/outside_run"; do
    "$program" "$work/net.crumb" >"$work/$(basename "$program").logits" 2>"$work/stderr" || wrong "$program fails"
done
cmp -s "$work/run.logits" "$work/outside_run.logits" || wrong "other logits"
[[ $(wc -w <"$work/run.logits") == 7 ]] || wrong "not seven logits"
finish
