package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"github.com/tboxgate/tboxgate/session"
)

func (p *program) platformsCommand() *cli.Command {
	return &cli.Command{
		Name:  "platforms",
		Usage: "enterprise platforms that may log in (0x05)",
		Subcommands: []*cli.Command{{
			Name:  "create",
			Usage: "let a platform log in",
			Description: "The password comes from --password, from TBOXGATE_PLATFORM_PASSWORD, or else is asked for on a terminal\n" +
				"or read as the first line of standard input. It is kept as a salted hash and cannot be shown again.",
			Flags: operatorFlags(
				&cli.StringFlag{Name: "code", Usage: "unique code, the identifier of its frames, 1-17 bytes"},
				&cli.StringFlag{Name: "user", Usage: "user name, up to 12 bytes"},
				&cli.StringFlag{Name: "password", Usage: "password, 1-20 bytes"},
				&cli.BoolFlag{Name: "replace", Usage: "replace user and password of a platform that exists; new ones cut its connections", DisableDefaultText: true}),
			Action: func(c *cli.Context) error {
				if _, err := arguments(c, 0, 0); err != nil {
					return err
				}
				code, user := c.String("code"), c.String("user")
				if code == "" || user == "" {
					return usagef(c, "--code and --user are needed")
				}
				password, err := p.password(c)
				if err != nil {
					return err
				}
				return p.operate(c, makeDirectory, func(ctx context.Context, o *operator) error {
					if err := o.CreatePlatform(ctx, code, user, password, c.Bool("replace")); err != nil {
						return err
					}
					_, err := fmt.Fprintf(p.stdout, "platform %s may log in\n", printable(code))
					return err
				})
			},
		}, {
			Name:  "list",
			Usage: "list the platforms",
			Flags: operatorFlags(outputFlag()),
			Action: func(c *cli.Context) error {
				if _, err := arguments(c, 0, 0); err != nil {
					return err
				}
				return p.operate(c, needDirectory, func(ctx context.Context, o *operator) error {
					list, err := o.Platforms(ctx)
					if err != nil {
						return err
					}
					out := printer[session.Platform]{w: p.stdout, json: c.Bool(jsonFlag), columns: []column[session.Platform]{
						{"CODE", 17, func(f session.Platform) string { return f.Code }},
						{"USER", 12, func(f session.Platform) string { return f.User }},
						{"CHANGED", 20, func(f session.Platform) string { return shortTime(f.ChangedAt.Time) }},
					}}
					for _, f := range list {
						if err := out.print(f); err != nil {
							return err
						}
					}
					return nil
				})
			},
		}, {
			Name:      "delete",
			Usage:     "let platforms log in no more, and cut their connections",
			ArgsUsage: "CODE...",
			Flags:     operatorFlags(),
			Action: func(c *cli.Context) error {
				return p.operateEach(c, needDirectory, func(ctx context.Context, o *operator, code string) error {
					return o.DeletePlatform(ctx, code)
				})
			},
		}},
	}
}

// password finds the platform's password without showing it.
func (p *program) password(c *cli.Context) (string, error) {
	if v := c.String("password"); v != "" {
		return v, nil
	}
	if v, _ := p.env(envPrefix + "PLATFORM_PASSWORD"); v != "" {
		return v, nil
	}
	if f, ok := p.stdin.(*os.File); ok && isTerminal(f) {
		say(p.stderr, "Password: ")
		text, err := term.ReadPassword(int(f.Fd()))
		say(p.stderr, "\n")
		return string(text), err
	}
	line, err := bufio.NewReader(p.stdin).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	line = strings.TrimRight(line, "\r\n")
	if line == "" {
		return "", usagef(c, "a password is needed: --password, TBOXGATE_PLATFORM_PASSWORD or standard input")
	}
	return line, nil
}
