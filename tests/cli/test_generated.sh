# Shell completion and the man page, made from the command's tables.
. tests/cli/common.sh

for shell in bash zsh fish; do
    expect 0 completion $shell
    [[ -s $work/stdout && ! -s $work/stderr ]] || wrong "completion $shell"
    cp "$work/stdout" "$work/completion.$shell"
    if command -v $shell >/dev/null; then
        $shell -n "$work/completion.$shell" || wrong "$shell does not read its completion"
    fi
    for word in train eval import --resume --deviation lenet5 cifar10 quantizers; do
        grep -qF -- "${word#--}" "$work/completion.$shell" || wrong "completion $shell lacks $word"
    done
done

completes() { # WORD... WANT: completing the last word of the line offers WANT
    local want=${*: -1}
    COMP_WORDS=("${@:1:$#-1}")
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    _crumb
    [[ " ${COMPREPLY[*]} " == *" $want "* ]] || wrong "bash: ${COMP_WORDS[*]}<tab> gives ${COMPREPLY[*]:-nothing}, not $want"
}
. "$work/completion.bash"
mkdir "$work/cd" && touch "$work/cd/recipe.yaml" && cd "$work/cd"
completes crumb tr train
completes crumb train rec recipe.yaml
completes crumb train --res --resume
completes crumb train x --thr --threads
completes crumb eval m --data cif cifar10:
completes crumb import w --model resnet2 resnet20
completes crumb info quant quantizers
completes crumb data cifar10 : rec recipe.yaml
cd "$root"

expect 0 manual
cp "$work/stdout" "$work/crumb.1"
head -2 "$work/crumb.1" | grep -q '^\.TH CRUMB 1' || wrong "the man page has no title"
for command in train compare surface eval info data import bench report; do
    expect 0 $command --help
    for option in $(grep -oE -- '--[a-z-]+' "$work/stdout" | sort -u); do
        grep -qF -- "${option//-/\\-}" "$work/crumb.1" || wrong "the man page lacks $option of $command"
    done
done
if command -v groff >/dev/null; then
    groff -man -Tutf8 -ww -z "$work/crumb.1" 2>"$work/stderr" && [[ ! -s $work/stderr ]] || wrong "groff complains about the man page"
fi
finish
