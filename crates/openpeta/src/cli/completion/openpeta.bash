_openpeta() {
    local IFS=$'\n'
    COMPREPLY=($(PROGRAM __complete bash "$COMP_CWORD" -- "${COMP_WORDS[@]}" 2>/dev/null))
    # More is to come after a directory or a key.
    [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[=/] ]] && compopt -o nospace
    return 0
}
complete -F _openpeta openpeta
