package provider

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/touchstone-id/touchstone/pkg/claim"
	"github.com/touchstone-id/touchstone/pkg/grant"
	"github.com/touchstone-id/touchstone/pkg/keyring"
)

const (
	// deliverEvery is the pause between looks for logouts to deliver.
	deliverEvery = 2 * time.Second
	// deliverBatch is how many are delivered at a time.
	deliverBatch = 16
	// logoutTokenLife is the life of a logout token (OpenID Connect Back-Channel Logout section 2.4).
	logoutTokenLife = 2 * time.Minute
)

// logoutToken is the payload of a logout token.
type logoutToken struct {
	Issuer    string              `json:"iss"`
	Subject   string              `json:"sub"`
	Audience  string              `json:"aud"`
	IssuedAt  int64               `json:"iat"`
	Expiry    int64               `json:"exp"`
	TokenID   string              `json:"jti"`
	Events    map[string]struct{} `json:"events"`
	SessionID string              `json:"sid"`
}

// DeliverLogouts tells clients that sessions ended, until the context ends. What
// cannot be delivered is tried again with growing pauses, by any replica.
func (p *Provider) DeliverLogouts(ctx context.Context) {
	for {
		if err := p.deliverDue(ctx); err != nil && ctx.Err() == nil {
			p.options.Logger.Error().Err(err).Msg("back-channel logouts could not be read; it is tried again")
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(deliverEvery):
		}
	}
}

// deliverDue delivers what is due, batch after batch.
func (p *Provider) deliverDue(ctx context.Context) error {
	for {
		due, err := grant.DueLogouts(ctx, p.options.Pool, p.options.Now(), deliverBatch)
		if err != nil || len(due) == 0 {
			return err
		}
		for _, l := range due {
			if fault := p.deliver(ctx, l); fault != nil {
				p.options.Logger.Warn().Err(fault).Str("client", string(l.ClientID)).Int("attempt", l.Attempts).Msg("back-channel logout failed")
				err = grant.LogoutFailed(ctx, p.options.Pool, p.options.Now(), l, fault.Error())
			} else {
				err = grant.LogoutDone(ctx, p.options.Pool, p.options.Now(), l)
			}
			if err != nil {
				return err
			}
		}
	}
}

// deliver posts one logout token (OpenID Connect Back-Channel Logout section
// 2.5). The error says what the operator should know, and holds no token.
func (p *Provider) deliver(ctx context.Context, l grant.Logout) error {
	now := p.options.Now()
	id := make([]byte, 16)
	rand.Read(id)
	client, known := p.options.Clients.Get(l.ClientID)
	if !known || !outboundURL(l.URI) {
		return fmt.Errorf("client %s is gone, or its address is not one we call", l.ClientID)
	}
	alg := keyring.RS256
	if client.Settings.IDTokenAlgorithm != "" {
		alg = keyring.Algorithm(client.Settings.IDTokenAlgorithm)
	}
	token, err := p.options.Ring.Sign(alg, claim.TypeLogoutToken, logoutToken{Issuer: p.options.Issuer, Subject: p.subject(l.ClientID, l.UserID), Audience: string(l.ClientID),
		IssuedAt: now.Unix(), Expiry: now.Add(logoutTokenLife).Unix(), TokenID: base64.RawURLEncoding.EncodeToString(id), SessionID: l.Session,
		Events: map[string]struct{}{"http://schemas.openid.net/event/backchannel-logout": {}}})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, outboundBound)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, l.URI, strings.NewReader(url.Values{"logout_token": {token}}.Encode()))
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer, err := p.keys.client.Do(request)
	if err != nil {
		return fmt.Errorf("post: %w", err)
	}
	defer answer.Body.Close()
	io.Copy(io.Discard, io.LimitReader(answer.Body, maxKeys))
	if answer.StatusCode != http.StatusOK && answer.StatusCode != http.StatusNoContent {
		return fmt.Errorf("the client answered %d", answer.StatusCode)
	}
	return nil
}
