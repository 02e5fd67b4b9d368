package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
)

const module = "github.com/tboxgate/tboxgate/"

// source reads packages of the module in the folder root.
type source struct {
	root string
	read map[string]*pkg
}

// pkg is what a package declares.
type pkg struct {
	dir    string // below root, with slashes
	types  map[string]declared
	values map[string][]constant // by the name of their type, in order
}

// declared is a type and what its file imports: folders below root by package name.
type declared struct {
	expr    ast.Expr
	imports map[string]string
}

// constant is one of a type's constants.
type constant struct {
	value any    // string or int64
	doc   string // the comment beside or above it
}

// pkg returns the package in a folder below root.
func (s *source) pkg(dir string) (*pkg, error) {
	if p := s.read[dir]; p != nil {
		return p, nil
	}
	folder := filepath.Join(s.root, filepath.FromSlash(dir))
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	p := &pkg{dir: dir, types: map[string]declared{}, values: map[string][]constant{}}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(folder, e.Name()), nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		if err := p.add(f); err != nil {
			return nil, err
		}
	}
	if s.read == nil {
		s.read = map[string]*pkg{}
	}
	s.read[dir] = p
	return p, nil
}

// add takes the types and constants of a file.
func (p *pkg) add(f *ast.File) error {
	imports := map[string]string{}
	for _, i := range f.Imports {
		target, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			return err
		}
		name := path.Base(target)
		if i.Name != nil {
			name = i.Name.Name
		}
		if dir, ours := strings.CutPrefix(target, module); ours {
			imports[name] = dir
		}
	}
	for _, d := range f.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok {
			continue
		}
		for _, spec := range g.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				p.types[spec.Name.Name] = declared{spec.Type, imports}
			case *ast.ValueSpec:
				if typed, ok := spec.Type.(*ast.Ident); ok && g.Tok == token.CONST {
					if !g.Lparen.IsValid() {
						spec.Doc = g.Doc // a lone constant's stands above const
					}
					if err := p.addConstants(typed.Name, spec); err != nil {
						return err
					}
				}
			}
		}
	}
	return nil
}

// addConstants takes those of a line that are written as a string or a number.
func (p *pkg) addConstants(of string, spec *ast.ValueSpec) error {
	for i, v := range spec.Values {
		literal, ok := v.(*ast.BasicLit)
		if !ok {
			continue
		}
		doc, named := strings.CutPrefix(text(spec.Doc, spec.Comment), spec.Names[i].Name)
		if named { // as Go's comments begin
			doc = strings.TrimLeft(doc, ": ")
		}
		c := constant{doc: doc}
		switch literal.Kind {
		case token.STRING:
			s, err := strconv.Unquote(literal.Value)
			if err != nil {
				return err
			}
			c.value = s
		case token.INT:
			n, err := strconv.ParseInt(literal.Value, 0, 64)
			if err != nil {
				return err
			}
			c.value = n
		default:
			continue
		}
		p.values[of] = append(p.values[of], c)
	}
	return nil
}

// text is a comment on one line: the one above, or else the one beside.
func text(above, beside *ast.CommentGroup) string {
	if above == nil {
		above = beside
	}
	return strings.Join(strings.Fields(above.Text()), " ")
}

// resolve finds a type that is named in a file of p: Reason, session.Reason. Of a package of the module only.
func (s *source) resolve(p *pkg, imports map[string]string, name string) (*pkg, string, error) {
	if of, short, qualified := strings.Cut(name, "."); qualified {
		dir, ok := imports[of]
		if !ok {
			return nil, "", fmt.Errorf("type %s: its package is not imported, or not the module's", name)
		}
		other, err := s.pkg(dir)
		return other, short, err
	}
	return p, name, nil
}
