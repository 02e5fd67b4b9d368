package main

import (
	"io"

	"github.com/urfave/cli/v2"
)

// completionCommand prints what a shell evaluates to complete our commands and flags. Both scripts ask the program
// itself, through urfave/cli's hidden flag.
func (p *program) completionCommand() *cli.Command {
	return &cli.Command{
		Name:        "completion",
		Usage:       "print the completion script of a shell",
		ArgsUsage:   "bash|zsh",
		Description: "bash: source <(tboxgate completion bash)\nzsh:  source <(tboxgate completion zsh)",
		BashComplete: func(*cli.Context) {
			_, _ = io.WriteString(p.stdout, "bash\nzsh\n")
		},
		Action: func(c *cli.Context) error {
			args, err := arguments(c, 1, 1)
			if err != nil {
				return err
			}
			switch args[0] {
			case "bash":
				_, err = io.WriteString(p.stdout, bashCompletion)
			case "zsh":
				_, err = io.WriteString(p.stdout, zshCompletion)
			default:
				return usagef(c, "no completion for %q; bash or zsh", args[0])
			}
			return err
		},
	}
}

const bashCompletion = `_tboxgate() {
  local cur="${COMP_WORDS[COMP_CWORD]}" words=("${COMP_WORDS[@]:0:COMP_CWORD}") flag
  flag="${cur#-}"
  [[ $cur == -* ]] && words+=("-${flag#-}")
  local IFS=$'\n'
  COMPREPLY=($(compgen -W "$("${words[@]}" --generate-bash-completion 2>/dev/null)" -- "$cur"))
}
complete -o bashdefault -o default -F _tboxgate tboxgate
`

const zshCompletion = `#compdef tboxgate
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit; }
_tboxgate() {
  local -a asked found
  asked=("${words[@]:0:$((CURRENT-1))}")
  [[ ${words[CURRENT]} == -* ]] && asked+=("-${${words[CURRENT]#-}#-}")
  found=("${(@f)$("${asked[@]}" --generate-bash-completion 2>/dev/null)}")
  if [[ -n ${found[1]} ]]; then _describe 'tboxgate' found; else _files; fi
}
compdef _tboxgate tboxgate
`
