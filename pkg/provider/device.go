package provider

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/touchstone-id/touchstone/pkg/audit"
	"github.com/touchstone-id/touchstone/pkg/denial"
	"github.com/touchstone-id/touchstone/pkg/grant"
	"github.com/touchstone-id/touchstone/pkg/secret"
)

// grantDevice is the grant type of the device flow (RFC 8628 section 3.4).
const grantDevice = "urn:ietf:params:oauth:grant-type:device_code"

// DeviceAuthorization starts a device flow (RFC 8628 section 3.1).
func (p *Provider) DeviceAuthorization(ctx context.Context, r *op.ClientRequest[oidc.DeviceAuthorizationRequest]) (*op.Response, error) {
	client := r.Client.(libraryClient).Client
	answer, err := p.openDevice(ctx, client, r.Form.Get("scope"), r.Form["resource"])
	if err != nil {
		return nil, p.forLibrary(request(ctx, r.URL), err)
	}
	return op.NewResponse(answer), nil
}

func (p *Provider) openDevice(ctx context.Context, client grant.Client, scope string, resources []string) (*oidc.DeviceAuthorizationResponse, error) {
	if !client.AllowsGrant(grantDevice) {
		return nil, denial.New(denial.ClientNotAllowed, "client %s has no device flow", client.ID)
	}
	scopes, audiences, err := p.permissions(client, scope, resources)
	if err != nil {
		return nil, err
	}
	if len(audiences) > 1 {
		return nil, denial.New(denial.ResourceInvalid, "%d resources for one device", len(audiences))
	}
	device, user, err := grant.OpenDevice(ctx, p.options.Pool, p.options.Now(), grant.Device{ClientID: client.ID, Scopes: scopes, Audience: audiences[0],
		Address: audit.OriginOf(ctx).Address})
	if err != nil {
		return nil, err
	}
	return &oidc.DeviceAuthorizationResponse{DeviceCode: device.Reveal(), UserCode: user, VerificationURI: p.options.Issuer + "/device",
		VerificationURIComplete: p.options.Issuer + "/device#" + strings.ReplaceAll(user, "-", ""),
		ExpiresIn:               int(grant.DeviceLife.Seconds()), Interval: int(grant.DeviceInterval.Seconds())}, nil
}

// DeviceToken answers a device that polls (RFC 8628 section 3.4). While nothing
// is decided a poll costs one read and writes nothing.
func (p *Provider) DeviceToken(ctx context.Context, r *op.ClientRequest[oidc.DeviceAccessTokenRequest]) (*op.Response, error) {
	client, device, now := r.Client.(libraryClient).Client, secret.Of(r.Data.DeviceCode), p.options.Now()
	err := p.polls.wait(string(device.Digest()), now)
	if err == nil {
		err = grant.PollDevice(ctx, p.options.Pool, now, device, client.ID)
	}
	if err != nil {
		return nil, p.forLibrary(request(ctx, r.URL), err)
	}
	return p.exchange(ctx, client, r.URL, audit.CodeRedeemed, func(tx pgx.Tx) (grant.Grant, error) {
		return grant.RedeemDevice(ctx, tx, p.options.Now(), device, client.ID)
	})
}

// polls remembers when each device last asked. It lives in memory: with several
// replicas a device can ask each of them, which costs them little.
type polls struct {
	mu   sync.Mutex
	last map[string]time.Time
}

// maxPolls bounds the memory; beyond it everybody is forgotten.
const maxPolls = 100_000

// wait refuses a device that asks again too soon (RFC 8628 section 3.5). Clocks
// and networks get a second.
func (p *polls) wait(device string, now time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	last, asked := p.last[device]
	if len(p.last) >= maxPolls {
		clear(p.last)
	}
	p.last[device] = now
	if asked && now.Sub(last) < grant.DeviceInterval-time.Second {
		return denial.New(denial.DeviceSlowDown, "after %s", now.Sub(last))
	}
	return nil
}
