package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"time"

	"gatepost.dev/idp/saml"
	"gatepost.dev/internal/web"
	"gatepost.dev/posture"
)

// RelyingPartyRecords keeps the SAML relying parties that administrators added;
// of their Origin it need not know.
type RelyingPartyRecords interface {
	RelyingParties(ctx context.Context) ([]RelyingParty, error)
	AddRelyingParty(ctx context.Context, rp RelyingParty) error // posture.ErrExists
	RemoveRelyingParty(ctx context.Context, name string) error  // posture.ErrNoRelyingParty
}

// RelyingParties lists, adds and removes SAML relying parties:
//
//	GET    relying-parties
//	POST   relying-parties         NewRelyingParty
//	DELETE relying-parties/{name}
type RelyingParties struct {
	Records   RelyingPartyRecords
	File      func() []RelyingParty  // those of the configuration file, as it is now
	InFile    func(name string) bool // whether a relying party there, of whatever kind, has the name
	HasPolicy func(name string) bool // whether the configuration has the policy
	Now       func() time.Time       // for the validity of metadata
}

// Operations are what the API serves by h.
func (h *RelyingParties) Operations() []Operation {
	return []Operation{
		{Method: http.MethodGet, Path: "relying-parties", Role: posture.Viewer, Summary: "List SAML relying parties.", Answer: typeOf[relyingPartyList](), serve: h.list},
		{Method: http.MethodPost, Path: "relying-parties", Role: posture.Admin, Summary: "Register a SAML relying party by its metadata.",
			Body: typeOf[NewRelyingParty](), Answer: typeOf[RelyingParty](), Created: true, Refusals: taken(http.StatusConflict, http.StatusUnprocessableEntity), serve: h.add},
		{Method: http.MethodDelete, Path: "relying-parties/{name}", Role: posture.Admin, Summary: "Forget a SAML relying party that was added.",
			Refusals: []int{http.StatusNotFound, http.StatusConflict}, serve: h.remove},
	}
}

// all gives those of the file and those of the store, by name.
func (h *RelyingParties) all(ctx context.Context) ([]RelyingParty, error) {
	stored, err := h.Records.RelyingParties(ctx)
	if err != nil {
		return nil, fmt.Errorf("list relying parties: %w", err)
	}
	all := make([]RelyingParty, 0, len(stored))
	for _, rp := range h.File() {
		rp.Origin = FromFile
		all = append(all, rp)
	}
	for _, rp := range stored {
		rp.Origin = FromStore
		all = append(all, rp)
	}
	slices.SortStableFunc(all, func(a, b RelyingParty) int { return cmp.Compare(a.Name, b.Name) })
	return all, nil
}

func (h *RelyingParties) list(w http.ResponseWriter, r *http.Request) error {
	all, err := h.all(r.Context())
	if err != nil {
		return fail(err)
	}
	return web.WriteJSON(w, http.StatusOK, relyingPartyList{all})
}

func (h *RelyingParties) add(w http.ResponseWriter, r *http.Request) error {
	var asked NewRelyingParty
	if err := web.ReadJSON(r, &asked); err != nil {
		return err
	}
	rp, err := h.check(asked)
	if err != nil {
		return &web.Error{Status: http.StatusUnprocessableEntity, Reason: "relying_party", Public: err.Error(), Err: err}
	}
	if h.InFile(rp.Name) {
		return fail(fmt.Errorf("relying party %q: %w", rp.Name, posture.ErrExists))
	}
	all, err := h.all(r.Context())
	if err != nil {
		return fail(err)
	}
	for _, other := range all {
		if other.Name == rp.Name {
			return fail(fmt.Errorf("relying party %q: %w", rp.Name, posture.ErrExists))
		}
		if other.EntityID == rp.EntityID {
			return fail(fmt.Errorf("entity ID %q: %w, as relying party %q", rp.EntityID, posture.ErrExists, other.Name))
		}
	}
	if err := h.Records.AddRelyingParty(r.Context(), rp); err != nil {
		return fail(err)
	}
	return web.WriteJSON(w, http.StatusCreated, rp)
}

// namePattern is what the configuration file takes as a name.
var namePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// check fills in what was not said, and gives every fault of what was.
func (h *RelyingParties) check(asked NewRelyingParty) (RelyingParty, error) {
	asked.Policy = cmp.Or(asked.Policy, "default")
	asked.Sign = cmp.Or(asked.Sign, "both")
	asked.Use = cmp.Or(asked.Use, "posture")
	asked.OnUnmanaged = cmp.Or(asked.OnUnmanaged, "refuse")
	asked.OnNoncompliant = cmp.Or(asked.OnNoncompliant, "assert")
	asked.BindOwner = cmp.Or(asked.BindOwner, posture.BindOff)
	faults := checkAnswers(asked.Name, asked.Policy, asked.OnUnmanaged, asked.OnNoncompliant, asked.BindOwner, h.HasPolicy)
	faults = append(faults, checkApplications(asked.Applications, h.HasPolicy)...)
	faults = append(faults, oneOf("sign", asked.Sign, "both", "assertion", "response"), oneOf("use", asked.Use, "posture", "factor", "both"))
	if asked.Use == "factor" && asked.OnUnmanaged == "assert" {
		faults = append(faults, errors.New("on_unmanaged: is assert, and a factor asserts only good devices"))
	}
	rp := RelyingParty{NewRelyingParty: asked, Origin: FromStore, AddedAt: h.Now()}
	sp, err := saml.ParseMetadata([]byte(asked.Metadata))
	if err == nil {
		rp.EntityID = sp.EntityID
		err = sp.Expired(rp.AddedAt)
	}
	if err != nil {
		faults = append(faults, fmt.Errorf("metadata: %w", err))
	} else if asked.Encrypt && sp.Encryption == nil {
		faults = append(faults, errors.New("encrypt: the metadata has no key to encrypt to"))
	}
	return rp, errors.Join(faults...)
}

// checkAnswers finds the faults of what every relying party has: its name, and
// how it is answered.
func checkAnswers(name, policy, onUnmanaged, onNoncompliant string, bindOwner posture.OwnerBinding, hasPolicy func(string) bool) (faults []error) {
	if !namePattern.MatchString(name) {
		faults = append(faults, fmt.Errorf("name: %.80q is no name: 1 to 64 letters, digits, '.', '_' and '-', the first a letter or digit", name))
	}
	if !hasPolicy(policy) {
		faults = append(faults, fmt.Errorf("policy: there is no policy %.80q", policy))
	}
	return append(faults,
		oneOf("on_unmanaged", onUnmanaged, "refuse", "assert"),
		oneOf("on_noncompliant", onNoncompliant, "assert", "explain", "refuse"),
		oneOf("bind_owner", string(bindOwner), string(posture.BindOff), string(posture.BindWarn), string(posture.BindEnforce)))
}

// checkApplications finds the faults of the applications that have policies of
// their own.
func checkApplications(apps []posture.AppPolicy, hasPolicy func(string) bool) (faults []error) {
	for i, a := range apps {
		if a.ID == "" && a.Name == "" {
			faults = append(faults, fmt.Errorf("applications[%d]: neither an id nor a name", i))
		}
		if !hasPolicy(a.Policy) {
			faults = append(faults, fmt.Errorf("applications[%d]: there is no policy %.80q", i, a.Policy))
		}
	}
	return faults
}

func oneOf(what, value string, known ...string) error {
	if slices.Contains(known, value) {
		return nil
	}
	return fmt.Errorf("%s: %.80q is not one of %q", what, value, known)
}

func (h *RelyingParties) remove(w http.ResponseWriter, r *http.Request) error {
	name, err := storedName(r, h.InFile, "remove it there")
	if err != nil {
		return err
	}
	if err := h.Records.RemoveRelyingParty(r.Context(), name); err != nil {
		return fail(err)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// storedName is the name in the path, if a relying party in the store can have
// it: those of the configuration file are not changed here.
func storedName(r *http.Request, inFile func(string) bool, instead string) (string, error) {
	name := r.PathValue("name")
	if inFile(name) {
		return "", &web.Error{Status: http.StatusConflict, Reason: "read_only",
			Public: fmt.Sprintf("The relying party %q stands in the configuration file; %s.", name, instead)}
	}
	if !namePattern.MatchString(name) {
		return "", fail(fmt.Errorf("%w: %.80q", posture.ErrNoRelyingParty, name))
	}
	return name, nil
}
