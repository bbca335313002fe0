#compdef inv invoke
# Completion of `inv` (Handrail) for zsh. To try it: source <(inv completion zsh)
# To keep it: inv completion zsh >> ~/.zshrc (after the line with compinit)

# Sets REPLY to the Python that runs the command $1: the one that its first line names, or the one beside it.
_handrail_python() {
    local inv=${commands[$1]:-${~1}} line=
    [[ -r $inv ]] || return 1
    IFS= read -r line 2>/dev/null < $inv
    case $line in
        '#!'*/env\ *) REPLY=${inv:h}/python ;;
        '#!'*python*) REPLY=${${line#??}# } ;;
        *) REPLY=${inv:h}/python ;;
    esac
    [[ -x $REPLY ]]
}

_handrail_complete() {
    local REPLY output row code=3
    local -a entries
    if _handrail_python $words[1]; then
        output=$($REPLY -I -c 'from handrail.completion.answer import main; main()' zsh "${(@)words[1,CURRENT]}" 2>/dev/null)
        code=$?
    fi
    case $code in
        0)
            for row in ${(f)output}; do
                entries+=("${${row%%$'\t'*}//:/\\:}:${row#*$'\t'}")
            done
            # Where a value follows its "=", the whole word is replaced.
            [[ $#entries -gt 0 ]] && _describe -V 'inv' entries
            ;;
        10) _files ;;
        *) compadd -- $(${words[1]} --complete -- "${words[*]}" 2>/dev/null) ;;
    esac
}

if [[ $funcstack[1] == _inv ]]; then
    _handrail_complete
elif (( $+functions[compdef] )); then
    compdef _handrail_complete inv invoke
else
    print -u2 'inv completion: load it after "autoload -Uz compinit && compinit"'
fi
