package devices

import (
	"context"
	"log/slog"
	"net/http"

	"gatepost.dev/agentapi"
	"gatepost.dev/internal/web"
	"gatepost.dev/posture"
)

// ServeAttest answers POST /agent/v1/attest: a challenge for the enrolment with a
// token, which is not used up.
func (a *Agents) ServeAttest(w http.ResponseWriter, r *http.Request) error {
	request, _, err := read(r, agentapi.ParseAttestRequest)
	if err != nil {
		return err
	}
	if err := a.Enroller.CheckToken(r.Context(), request.Token); err != nil {
		return refusal(err)
	}
	return a.challenge(w, r, request, forToken(request.Token))
}

// ServeRenewAttest answers POST /agent/v1/renew/attest, over the current
// certificate.
func (a *Agents) ServeRenewAttest(w http.ResponseWriter, r *http.Request) error {
	id, err := a.device(r)
	if err != nil {
		return err
	}
	request, _, err := read(r, agentapi.ParseAttestRequest)
	if err != nil {
		return err
	}
	return a.challenge(w, r, request, forDevice(id))
}

func (a *Agents) challenge(w http.ResponseWriter, r *http.Request, request *agentapi.AttestRequest, bound string) error {
	answer, uncertified, err := a.Attester.Challenge(request, bound)
	if err != nil {
		return refusal(err)
	}
	if uncertified != nil {
		web.Annotate(r.Context(), slog.String("uncertified", uncertified.Error()))
	}
	return web.WriteJSON(w, http.StatusOK, answer)
}

// prove tells what the evidence, if any, proves. Evidence that does not hold is no
// reason to refuse the device, which is then one without.
func (a *Agents) prove(ctx context.Context, evidence *agentapi.TPMEvidence, bound string) (proved *posture.AttestedKey, uncertified bool, why agentapi.NotAttested) {
	if evidence == nil {
		return nil, false, ""
	}
	proved, uncertified, err := a.Attester.Verify(evidence, bound)
	if err != nil {
		web.Annotate(ctx, slog.String("attestation", err.Error()))
		return nil, false, agentapi.BadEvidence
	}
	web.Annotate(ctx, slog.String("ek", proved.HardwareID))
	return proved, uncertified, ""
}

// annotateRank notes in the log what the certificate that was issued is worth: the
// rank, unless there is a reason why not.
func annotateRank(ctx context.Context, rank posture.Rank, why agentapi.NotAttested) {
	if why != "" {
		web.Annotate(ctx, slog.String("not_attested", string(why)))
		rank = posture.RankSoftware
	}
	web.Annotate(ctx, slog.String("rank", string(rank)))
}
