# Completion of `inv` (Handrail) for bash 3.2 and newer. To try it: eval "$(inv completion bash)"
# To keep it: inv completion bash >> ~/.bashrc

# Sets REPLY to the Python that runs the command $1: the one that its first line names, or the one beside it.
_handrail_python() {
    local inv line=
    inv=$(type -P -- "${1/#\~/$HOME}") || return 1
    IFS= read -r line 2>/dev/null < "$inv"
    case $line in
        '#!'*/env\ *) REPLY=${inv%/*}/python ;;
        '#!'*python*) REPLY=${line#??} ;;
        *) REPLY=${inv%/*}/python ;;
    esac
    REPLY=${REPLY# }
    [ -x "$REPLY" ]
}

_handrail_complete() {
    local REPLY output status IFS=$'\n' current=${COMP_WORDS[COMP_CWORD]}
    COMPREPLY=()
    if _handrail_python "${COMP_WORDS[0]}"; then
        output=$(HANDRAIL_COMP_TYPE=$COMP_TYPE HANDRAIL_COLUMNS=${COLUMNS:-80} "$REPLY" -I -c \
            'from handrail.completion.answer import main; main()' bash "${COMP_WORDS[@]:0:COMP_CWORD+1}" 2>/dev/null)
        status=$?
    else
        status=3
    fi
    case $status in
        0) COMPREPLY=($output) ;;
        10) compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$current")) ;;
        *) COMPREPLY=($(compgen -W "$("${COMP_WORDS[0]}" --complete -- "${COMP_WORDS[*]}" 2>/dev/null)" -- "$current")) ;;
    esac
}

# Older ones than 4.4 cannot leave the order as it is.
complete -o nosort -F _handrail_complete inv invoke 2>/dev/null || complete -F _handrail_complete inv invoke
