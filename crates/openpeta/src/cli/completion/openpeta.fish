function __openpeta_complete
    set -l words (commandline --current-process --tokenize --cut-at-cursor)
    PROGRAM __complete fish (count $words) -- $words (commandline --current-token --cut-at-cursor) 2>/dev/null
end
complete --command openpeta --no-files --keep-order --arguments '(__openpeta_complete)'
