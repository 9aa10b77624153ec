package admin

import (
	"fmt"
	"net/http"
	"reflect"
	"strings"

	"gatepost.dev/internal/web"
	"gatepost.dev/posture"
)

// Operation is one method on one path of the API: who may, how it is served, and
// what the OpenAPI document says of it.
type Operation struct {
	Method, Path string       // below Prefix; parameters of the path as http.ServeMux has them
	Role         posture.Role // the least that may
	Summary      string
	Query        []Parameter
	Body         reflect.Type // of the JSON that it takes; nil: none
	NoBodyToo    bool         // the body may be left out
	File         bool         // it takes a file instead
	Conceal      []string     // members of the body that the log has not
	Answer       reflect.Type // of the JSON that it answers; nil: none, with 204
	Created      bool         // it answers 201 instead of 200
	Lines        bool         // it answers with many of Answer, each on its line
	Follows      bool         // it may go on answering
	Tagged       bool         // its answer has an ETag
	Refusals     []int        // statuses of problems, besides those that all have
	ReadsOnly    bool         // a POST that changes nothing
	serve        web.HandlerFunc
	maxBody      int64 // 0: the usual
}

// Parameter is one of an operation's query.
type Parameter struct {
	Name, Summary string
	Type          reflect.Type
	Values        []string // that it may have, if these are few
}

// Provider has operations of the API: a handler of this package.
type Provider interface{ Operations() []Operation }

// typeOf is the type as Operation wants it.
func typeOf[T any]() reflect.Type { return reflect.TypeFor[T]() }

// taken are the statuses of operations with a body, and others.
func taken(others ...int) []int {
	return append(others, http.StatusRequestTimeout, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType)
}

// paging are the parameters of lists.
func paging() []Parameter {
	return []Parameter{
		{Name: "after", Summary: "Begin behind this one, as \"next\" of the page before says.", Type: typeOf[string]()},
		{Name: "limit", Summary: "How many at most: 1 to 1000, by default 100.", Type: typeOf[int]()},
	}
}

// commonRefusals are the statuses that every operation may answer.
var commonRefusals = []int{
	http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests,
	http.StatusInternalServerError, http.StatusServiceUnavailable,
}

// changes tells whether the operation may change anything.
func (o *Operation) changes() bool { return o.Method != http.MethodGet && !o.ReadsOnly }

// API is the whole of the administration API.
type API struct {
	Operations []Operation
	Noter      Noter
	Options    *web.Options
}

// Identify tells who sends a request, or why he is refused; it may set headers
// of the answer.
type Identify func(w http.ResponseWriter, r *http.Request) (Principal, error)

// Handler serves the API to whom identify knows, as far as their roles go, and
// the document to everybody.
func (a *API) Handler(identify Identify, document http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET "+Prefix+documentPath, document)
	for i := range a.Operations {
		op := &a.Operations[i]
		o := *a.Options
		o.MaxBody = op.maxBody
		pattern := op.Method + " " + Prefix + op.Path
		mux.Handle(pattern, web.Handle(pattern, a.guarded(op, identify), &o))
	}
	mux.Handle(Prefix, web.Handle(Prefix, func(w http.ResponseWriter, r *http.Request) error {
		if _, err := identify(w, r); err != nil {
			return err
		}
		allowed := methodsOf(mux, r)
		if len(allowed) == 0 {
			return &web.Error{Status: http.StatusNotFound, Reason: "no_route", Public: "The API has no such path."}
		}
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		return &web.Error{Status: http.StatusMethodNotAllowed, Reason: "method",
			Public: fmt.Sprintf("This path of the API takes %s.", strings.Join(allowed, " and "))}
	}, a.Options))
	return mux
}

// methodsOf are the methods that the API takes on the path of the request.
func methodsOf(mux *http.ServeMux, r *http.Request) (methods []string) {
	for _, method := range []string{http.MethodDelete, http.MethodGet, http.MethodPatch, http.MethodPost, http.MethodPut} {
		other := r.Clone(r.Context())
		other.Method = method
		if _, pattern := mux.Handler(other); pattern != "" && pattern != Prefix {
			methods = append(methods, method)
		}
	}
	return methods
}

// guarded serves the operation to those who may.
func (a *API) guarded(o *Operation, identify Identify) web.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		p, err := identify(w, r)
		if err != nil {
			return err
		}
		p.annotate(r.Context())
		if !p.Role.May(o.Role) {
			if err := a.noteRefused(o, p, r); err != nil {
				return err
			}
			return &web.Error{Status: http.StatusForbidden, Reason: "role",
				Public: fmt.Sprintf("This needs the role %s; yours is %s.", o.Role, p.Role)}
		}
		if err := o.checkQuery(r); err != nil {
			return err
		}
		ctx, stop := p.watched(p.in(r.Context()), o)
		defer stop()
		r = r.WithContext(ctx)
		if o.changes() {
			return a.noted(o, p, w, r)
		}
		return o.serve(w, r)
	}
}
