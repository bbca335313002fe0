# Completion of `inv` (Handrail) for fish. To try it: inv completion fish | source
# To keep it: inv completion fish > ~/.config/fish/completions/inv.fish

# Prints the Python that runs the command: the one that its first line names, or the one beside it.
function __handrail_python --argument-names command
    set -l inv (command -s -- $command)
    test -r "$inv"; or return 1
    set -l line
    read -l line <$inv
    set -l python (string replace -r '/[^/]*$' /python -- $inv)
    if string match -q -- '#!*python*' $line; and not string match -q -- '#!*/env *' $line
        set python (string trim -- (string sub -s 3 -- $line))
    end
    test -x "$python"; and echo $python
end

function __handrail_complete
    set -l words (commandline -opc) (commandline -ct)
    set -l code 3
    set -l rows
    if set -l python (__handrail_python $words[1])
        set rows ($python -I -c 'from handrail.completion.answer import main; main()' fish $words 2>/dev/null)
        set code $status
    end
    switch $code
        case 0
            string join -- \n $rows
        case 10
            __fish_complete_path (commandline -ct)
        case '*'
            command $words[1] --complete -- "$words" 2>/dev/null
    end
end

complete -c inv -k -f -a '(__handrail_complete)'
complete -c invoke -k -f -a '(__handrail_complete)'
