package conformance

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const (
	root = "../.."
	page = root + "/docs/standards-support.md"
)

// statements are the IDs of [MS-STANXPOP3].
func statements() []string {
	var ids []string
	for format, count := range map[string]int{"2.1.%d": 5, "E%04d": 7, "C%04d": 11, "V%04d": 12} {
		for n := range count {
			ids = append(ids, fmt.Sprintf(format, n+1))
		}
	}
	slices.Sort(ids)
	return ids
}

// prefixOf is what the name of a test begins with that shows a statement.
func prefixOf(id string) string {
	if strings.HasPrefix(id, "2.") {
		id = "S" + strings.ReplaceAll(id, ".", "_")
	}
	return "Test" + id + "_"
}

var (
	pageRow  = regexp.MustCompile(`(?m)^\| (2\.1\.\d+|[ECV]\d{4}) \|.*$`)
	testName = regexp.MustCompile(`\bTest[A-Z][A-Za-z0-9_]*`)
)

// The page has each statement once, with all tests that bear its ID, of which there is one at least.
func TestThePageHasEachStatementWithItsTests(t *testing.T) {
	t.Parallel()
	rows := rowsOf(t)
	if ids := slices.Sorted(maps.Keys(rows)); !slices.Equal(ids, statements()) {
		t.Errorf("the page has %q", ids)
	}
	tests := testsBelow(t, ".")
	for _, id := range statements() {
		var bearing []string
		for _, name := range tests {
			if strings.HasPrefix(name, prefixOf(id)) {
				bearing = append(bearing, name)
			}
		}
		named := testName.FindAllString(rows[id], -1)
		slices.Sort(named)
		if len(bearing) == 0 || !slices.Equal(named, bearing) {
			t.Errorf("%s: the page names %q, there are %q", id, named, bearing)
		}
	}
}

// rowsOf gives the page's rows by ID.
func rowsOf(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile(page)
	must(t, err)
	rows := make(map[string]string)
	for _, match := range pageRow.FindAllStringSubmatch(string(text), -1) {
		if _, twice := rows[match[1]]; twice {
			t.Errorf("the page has %s twice", match[1])
		}
		rows[match[1]] = match[0]
	}
	return rows
}

// Each test that the page names is there.
func TestThePageNamesNoTestThatIsNotThere(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(page)
	must(t, err)
	tests := testsBelow(t, ".")
	for _, name := range testName.FindAllString(string(text), -1) {
		if !slices.Contains(tests, name) {
			t.Errorf("the page names %s", name)
		}
	}
}

// A test that bears an ID bears one that there is.
func TestEachTestIsAboutAStatementThatThereIs(t *testing.T) {
	t.Parallel()
	bears := regexp.MustCompile(`^Test([A-Z]\d[0-9_]*)_`)
	for _, name := range testsBelow(t, ".") {
		if match := bears.FindString(name); match != "" && !slices.ContainsFunc(statements(), func(id string) bool {
			return prefixOf(id) == match
		}) {
			t.Errorf("%s is about no statement", name)
		}
	}
}

// tag is a statement in a comment: an ID by itself, or a section behind a sign. Sections of RFCs, and of other
// specifications of Microsoft's, have the same sign.
var tag = regexp.MustCompile(`\b([ECV]0\d{3})\b|(RFC \d+ |\[MS-(?:NBTE|NLMP|OXIMAP4|OXPOP3)\] )?(?:§|R-)(2\.[12]\.\d+)`)

// A comment that names a statement names one that the page has.
func TestCommentsNameStatementsThatThereAre(t *testing.T) {
	t.Parallel()
	rows, tags := rowsOf(t), 0
	for path, file := range goFiles(t, root) {
		for _, group := range file.Comments {
			for _, match := range tag.FindAllStringSubmatch(group.Text(), -1) {
				if match[2] != "" {
					continue
				}
				tags++
				if id := match[1] + match[3]; rows[id] == "" {
					t.Errorf("%s has %s, which the page has not", path, id)
				}
			}
		}
	}
	if tags < len(statements()) {
		t.Errorf("%d comments were found: that cannot be all", tags)
	}
}

// testsBelow gives the names of the tests in a folder, sorted.
func testsBelow(t *testing.T, folder string) []string {
	t.Helper()
	var names []string
	for _, file := range goFiles(t, folder) {
		for _, declaration := range file.Decls {
			if f, ok := declaration.(*ast.FuncDecl); ok && f.Recv == nil && testName.MatchString(f.Name.Name) {
				names = append(names, f.Name.Name)
			}
		}
	}
	slices.Sort(names)
	return names
}

// goFiles reads all Go files in a folder and below it, with their comments.
func goFiles(t *testing.T, folder string) map[string]*ast.File {
	t.Helper()
	files := make(map[string]*ast.File)
	must(t, filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".go" {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		files[path] = file
		return err
	}))
	return files
}
