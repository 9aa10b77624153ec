package acme

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/go-jose/go-jose/v4"

	"gatepost.dev/internal/web"
	"gatepost.dev/posture"
)

// What begins the IDs of records.
const (
	recordAccount = "account/" // and the thumbprint of its key
	recordOrder   = "order/"
)

// account is what is kept of one: who an account belongs to is of no importance,
// since it gives no right.
type account struct {
	Key jose.JSONWebKey `json:"key"`
}

// errGone says that there is no such record, or none that is current.
var errGone = errors.New("not there")

// load reads a record that is current, or gives errGone. Other errors are such
// that 503 is answered.
func load[T any](c *call, records Records, id string) (*T, error) {
	record, err := records.ACMERecord(c.ctx, id)
	if errors.Is(err, posture.ErrNoACMERecord) || err == nil && !c.now.Before(record.Until) {
		return nil, fmt.Errorf("record %.100q: %w", id, errGone)
	}
	if err != nil {
		return nil, unavailable(err)
	}
	into := new(T)
	if err := json.Unmarshal(record.Value, into); err != nil {
		return nil, fmt.Errorf("record %.100q: %w", id, err)
	}
	return into, nil
}

// serveNewAccount makes the account of the key, or finds it (RFC 8555 section
// 7.3).
func (s *Server) serveNewAccount(w http.ResponseWriter, r *http.Request, c *call) error {
	p, err := parsePayload[struct {
		OnlyReturnExisting bool `json:"onlyReturnExisting"`
	}](c.payload)
	if err != nil {
		return err
	}
	value, err := json.Marshal(account{jose.JSONWebKey{Key: c.key.Key}})
	if err != nil {
		return fmt.Errorf("encode account: %w", err)
	}
	status := http.StatusOK
	err = s.Records.UpdateACMERecord(c.ctx, recordAccount+c.account, func(a *posture.ACMERecord, exists bool) error {
		status = http.StatusOK
		if !exists || !c.now.Before(a.Until) {
			if status = http.StatusCreated; p.OnlyReturnExisting {
				return noAccount(nil)
			}
		}
		a.Value, a.Until = value, c.now.Add(accountLife)
		return nil
	})
	if err != nil {
		return orUnavailable(err)
	}
	return s.writeAccount(w, status, c.account, "valid")
}

// serveAccount shows the account to itself, or ends it (RFC 8555 sections 7.3.2
// and 7.3.6). What else it may want to change is not kept.
func (s *Server) serveAccount(w http.ResponseWriter, r *http.Request, c *call) error {
	if c.id != c.account {
		return refuse(http.StatusUnauthorized, unauthorized, "That is another account.", nil)
	}
	if len(c.payload) == 0 {
		return s.writeAccount(w, http.StatusOK, c.account, "valid")
	}
	p, err := parsePayload[struct {
		Status string `json:"status"`
	}](c.payload)
	if err != nil {
		return err
	}
	if p.Status != "deactivated" {
		return s.writeAccount(w, http.StatusOK, c.account, "valid")
	}
	if _, err := s.Records.TakeACMERecord(c.ctx, recordAccount+c.account); err != nil && !errors.Is(err, posture.ErrNoACMERecord) {
		return unavailable(err)
	}
	return s.writeAccount(w, http.StatusOK, c.account, "deactivated")
}

func (s *Server) writeAccount(w http.ResponseWriter, status int, id, state string) error {
	w.Header().Set("Location", s.Issuer+pathAccount+id)
	return web.WriteJSON(w, status, map[string]string{"status": state})
}
