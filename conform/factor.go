package conform

import (
	"errors"
	"fmt"
	"slices"

	"gatepost.dev/contract"
)

// checkContext reads the authentication context class. Of a factor it wants one
// that was asked for, where an exact one was, and no posture, which nobody asked
// for; what a posture has to hold is the contract's.
func checkContext(a *answer) error {
	statements := children(a.assertion, nsAssertion, "AuthnStatement")
	if !a.request.factor && len(statements) == 0 {
		return nil
	}
	context, err := descend(a.assertion, nsAssertion, "AuthnStatement", "AuthnContext")
	if err != nil {
		return err
	}
	refs := children(context, nsAssertion, "AuthnContextClassRef")
	if len(refs) == 1 {
		a.signIn.ClassRef = text(refs[0])
	}
	if !a.request.factor {
		return nil
	}
	asked := a.request.classes
	switch class := a.signIn.ClassRef; {
	case class == "" || class == contract.DevicePosture:
		return fmt.Errorf("the class of a factor is %q", class)
	case len(asked) > 0 && a.request.comparison == "exact" && !slices.Contains(asked, class):
		return fmt.Errorf("the class is %q, which is none of %q", class, asked)
	case len(children(context, nsAssertion, "AuthnContextDecl")) > 0:
		return errors.New("a factor has an AuthnContextDecl")
	}
	a.signIn.Managed, a.signIn.Compliant = true, true
	return nil
}
