#compdef openpeta
_openpeta() {
    local line word
    local -a ended open
    for line in "${(@f)$(PROGRAM __complete zsh "$((CURRENT - 1))" -- "${(@)words}" 2>/dev/null)}"; do
        [[ -z $line ]] && continue
        word=${${line%%$'\t'*}//:/\\:}
        [[ $line == *$'\t'* ]] && word+=:${line#*$'\t'}
        # More is to come after a directory or a key.
        if [[ ${line%%$'\t'*} == *[=/] ]]; then open+=($word); else ended+=($word); fi
    done
    (( $#ended )) && _describe -V 'openpeta' ended
    (( $#open )) && _describe -V 'openpeta' open -S ''
    (( $#ended + $#open ))
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _openpeta "$@"
else
    compdef _openpeta openpeta
fi
