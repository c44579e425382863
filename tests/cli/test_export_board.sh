# crumb export on a microcontroller: a LeNet-5 with 2-bit weights and activations, trained for a moment, as strict freestanding C99 on an
# emulated board with a Cortex-M4, with and without its floating-point unit: the logits are a session's, bit for bit.
. tests/cli/common.sh
for tool in arm-none-eabi-gcc arm-none-eabi-size qemu-system-arm; do
    command -v $tool >/dev/null || { echo "there is no $tool"; exit 77; }
done
small_recipe "$work/small.yaml"
expect 0 train "$work/small.yaml" --set model.width=1 --threads 1 --quiet --out "$work/run"
expect 0 pack "$work/run/best.safetensors" --out "$work/model.crumb"
expect 0 export "$work/run/best.safetensors" --out "$work/net.c" --json
cp "$work/net.c" "$work/from_trained.c"
expect 0 export "$work/model.crumb" --out "$work/net.c" --json
cmp -s "$work/net.c" "$work/from_trained.c" || wrong "a trained network and its packed file give different files"
constants=$(value "$work/stdout" constant_bytes) memory=$(value "$work/stdout" memory_bytes)
"$BOARD_IMAGES" "$work/model.crumb" digits:test 5 >"$work/images.h" || wrong "no images"

board=$root/tests/codegen/board
strict="-std=c99 -ffreestanding -pedantic -Wall -Wextra -Werror -mcpu=cortex-m4 -mthumb"
cd "$work"
for floats in "-mfpu=fpv4-sp-d16 -mfloat-abi=hard" "-mfloat-abi=soft"; do
    for level in -O0 -O2 -Os; do
        arm-none-eabi-gcc $strict $floats $level -c net.c -o net.o 2>stderr || wrong "net.c with $floats $level"
        arm-none-eabi-gcc $strict $floats $level -I. -nostdlib -T "$board/board.ld" "$board/board.c" net.o -lgcc -o net.elf 2>stderr ||
            wrong "linking with $floats $level"
        timeout 300 qemu-system-arm -M mps2-an386 -nographic -monitor none -serial none -icount shift=0 \
            -semihosting-config enable=on,target=native -kernel net.elf >stdout 2>&1 || wrong "running with $floats $level"
        cat stdout stderr >both && mv both stdout # semihosting writes to stderr
        grep -q '^images 5$' stdout && grep -q '^differing 0$' stdout || wrong "other logits with $floats $level"
        read -r text data bss _ < <(arm-none-eabi-size net.o | tail -1)
        ((text < constants + 3072)) || wrong "$text bytes of flash for $constants bytes of constants with $floats $level"
        ((data == 0 && bss == memory)) || wrong "$data + $bss bytes of memory, not $memory"
        echo "$floats $level: flash $text, memory $bss, $(grep -E 'instructions|stack' stdout | xargs)"
    done
done
finish
