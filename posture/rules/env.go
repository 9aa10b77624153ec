package rules

import (
	"fmt"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/cost"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/ext"
)

const (
	maxRequire = 4 << 10 // bytes of an expression
	maxDepth   = 50      // of its parts in each other
	maxCost    = 200_000 // by CEL's own measure: some milliseconds
	maxEntries = 200     // facts of a device, for the estimate
	maxLength  = 1 << 10 // bytes of a text, for the estimate
)

// fields are what device and application have.
var fields = map[string][]string{
	"device":      {"id", "serial", "vendor", "model", "os", "os_version", "owner", "platform", "enrolled"},
	"application": {"id", "name"},
}

// newEnv declares what an expression can name.
func newEnv() (*cel.Env, error) {
	options := []cel.EnvOption{
		cel.ParserRecursionLimit(maxDepth), cel.ParserExpressionSizeLimit(maxRequire), ext.Strings(),
		cel.ASTValidators(cel.ValidateRegexLiterals(), cel.ValidateDurationLiterals(), cel.ValidateTimestampLiterals()),
		cel.Variable("facts", cel.MapType(cel.StringType, cel.StringType)),
		cel.Variable("source", cel.MapType(cel.StringType, cel.StringType)),
		cel.Variable("age", cel.MapType(cel.StringType, cel.DurationType)),
		cel.Variable("owner", cel.StringType),
		cel.Variable("now", cel.TimestampType),
		cel.Function("atLeast", cel.MemberOverload("string_at_least", []*cel.Type{cel.StringType, cel.StringType}, cel.BoolType,
			cel.BinaryBinding(celAtLeast))),
	}
	for of, names := range fields {
		for _, name := range names {
			kind := cel.StringType
			if name == "enrolled" {
				kind = cel.BoolType
			}
			options = append(options, cel.Variable(of+"."+name, kind))
		}
	}
	return cel.NewEnv(options...)
}

func celAtLeast(version, least ref.Val) ref.Val {
	yes, ok := atLeast(string(version.(types.String)), string(least.(types.String)))
	if !ok {
		return types.NewErr("%q and %q are not both versions", version.Value(), least.Value())
	}
	return types.Bool(yes)
}

// estimator bounds what devices can hold, so that the cost of an expression can be
// told before it is ever run.
type estimator struct{}

func (estimator) EstimateSize(node cost.AstNode) *cost.SizeEstimate {
	most := uint64(maxLength)
	if path := node.Path(); len(path) == 1 && (path[0] == "facts" || path[0] == "source" || path[0] == "age") {
		most = maxEntries
	}
	return &cost.SizeEstimate{Min: 0, Max: most}
}

func (estimator) EstimateCallCost(function, _ string, _ *cost.AstNode, _ []cost.AstNode) *cost.CallEstimate {
	if function == "atLeast" {
		return &cost.CallEstimate{CostEstimate: cost.FixedCostEstimate(10)}
	}
	return nil
}

// expression is one that was compiled.
type expression struct {
	program     cel.Program // for devices that are within what the estimate took them for
	guarded     cel.Program // for any: its cost is counted while it runs
	facts       []string    // that it names, in its order, each once
	application bool        // it looks at the application
	noVersion   ast.Expr    // a text that is compared as a version and is none, or nil
}

// compile compiles an expression; path names it in faults.
func compile(env *cel.Env, path, text string) (*expression, []Fault) {
	if len(text) > maxRequire {
		return nil, []Fault{{Path: path, Text: fmt.Sprintf("has %d bytes; at most %d are allowed", len(text), maxRequire)}}
	}
	checked, issues := env.Compile(text)
	if issues.Err() != nil {
		return nil, faultsOf(path, issues)
	}
	if kind := checked.OutputType(); !kind.IsExactType(cel.BoolType) {
		return nil, []Fault{{Path: path, Line: 1, Column: 1, Text: fmt.Sprintf("gives a %s; a demand must give true or false", kind)}}
	}
	estimate, err := env.EstimateCost(checked, estimator{})
	if err != nil {
		return nil, []Fault{{Path: path, Text: "what it costs cannot be told: " + err.Error()}}
	}
	if estimate.Max > maxCost {
		return nil, []Fault{{Path: path, Text: "can cost too much to evaluate at every sign-in: look at fewer things, not at all of them for each of them"}}
	}
	e := &expression{}
	e.look(checked.NativeRep().Expr())
	if e.noVersion != nil {
		at := checked.NativeRep().SourceInfo().GetStartLocation(e.noVersion.ID())
		return nil, []Fault{{Path: path, Line: at.Line(), Column: at.Column() + 1, Text: fmt.Sprintf("%.80q is no version: write numbers and dots, such as \"14.1\"", e.noVersion.AsLiteral().Value())}}
	}
	if e.program, err = env.Program(checked, cel.EvalOptions(cel.OptOptimize)); err == nil {
		e.guarded, err = env.Program(checked, cel.EvalOptions(cel.OptOptimize), cel.CostLimit(maxCost))
	}
	if err != nil {
		return nil, []Fault{{Path: path, Text: err.Error()}}
	}
	return e, nil
}

// faultsOf are the faults that the compiler found, in the words of a policy.
func faultsOf(path string, issues *cel.Issues) []Fault {
	var faults []Fault
	for _, e := range issues.Errors() {
		text := e.Message
		for of, names := range fields {
			if strings.HasPrefix(text, "undeclared reference to '"+of+"'") {
				text = of + " is followed by a name that it does not have; it has " + strings.Join(names, ", ")
			}
		}
		text = strings.TrimSuffix(text, " (in container '')")
		faults = append(faults, Fault{Path: path, Line: max(1, e.Location.Line()), Column: e.Location.Column() + 1, Text: strings.Join(strings.Fields(text), " ")})
	}
	return faults
}

// look notes what the expression names.
func (e *expression) look(root ast.Expr) {
	ast.PreOrderVisit(root, ast.NewExprVisitor(func(x ast.Expr) {
		switch x.Kind() {
		case ast.SelectKind:
			if isFacts(x.AsSelect().Operand()) {
				e.names(x.AsSelect().FieldName())
			}
		case ast.CallKind:
			call := x.AsCall()
			args := call.Args()
			if call.FunctionName() == operators.Index && len(args) == 2 && isFacts(args[0]) {
				e.literal(args[1])
			}
			if call.FunctionName() == "atLeast" {
				e.version(call.Target())
				e.version(args[0])
			}
			if call.FunctionName() == operators.In && len(args) == 2 && isFacts(args[1]) {
				e.literal(args[0])
			}
		case ast.IdentKind:
			e.application = e.application || strings.HasPrefix(x.AsIdent(), "application.")
		}
	}))
}

func isFacts(x ast.Expr) bool {
	if x.Kind() != ast.IdentKind {
		return false
	}
	switch x.AsIdent() {
	case "facts", "source", "age":
		return true
	}
	return false
}

func (e *expression) version(x ast.Expr) {
	if x.Kind() == ast.LiteralKind && !isVersion(string(x.AsLiteral().(types.String))) {
		e.noVersion = x
	}
}

func (e *expression) literal(x ast.Expr) {
	if x.Kind() == ast.LiteralKind {
		if name, ok := x.AsLiteral().(types.String); ok {
			e.names(string(name))
		}
	}
}

func (e *expression) names(fact string) {
	for _, known := range e.facts {
		if known == fact {
			return
		}
	}
	e.facts = append(e.facts, fact)
}
