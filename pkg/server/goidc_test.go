package server

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/jackc/pgx/v5"
	"golang.org/x/oauth2"

	"github.com/touchstone-id/touchstone/pkg/audit"
	"github.com/touchstone-id/touchstone/pkg/grant"
)

// TestGoOIDCSignsIn drives a client that nobody here wrote: coreos/go-oidc with
// golang.org/x/oauth2.
func TestGoOIDCSignsIn(t *testing.T) {
	w := newWorldOf(t, Options{Trust: []byte(television)})
	b := w.enrolled()
	ctx := context.Background()
	provider, err := oidc.NewProvider(ctx, w.http.URL)
	if err != nil {
		t.Fatal(err)
	}
	config := oauth2.Config{ClientID: "web", RedirectURL: callback, Endpoint: provider.Endpoint(), Scopes: []string{"openid", "profile", "offline_access"}}
	config.Endpoint.AuthStyle = oauth2.AuthStyleInParams
	link := config.AuthCodeURL("s1", oidc.Nonce("n1"), oauth2.S256ChallengeOption(verifier))
	answer, _ := b.do("GET", link, nil)
	to := b.location(answer)
	_, done := b.signIn(to.Query().Get("request"))
	answer, _ = b.do("GET", done["location"].(string), nil)
	to = b.location(answer)
	token, err := config.Exchange(ctx, to.Query().Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatal(err)
	}
	raw, _ := token.Extra("id_token").(string)
	id, err := provider.Verifier(&oidc.Config{ClientID: "web"}).Verify(ctx, raw)
	if err != nil {
		t.Fatal(err)
	}
	if id.Nonce != "n1" || id.Subject != string(w.user.ID) {
		t.Errorf("ID token of %s with nonce %s", id.Subject, id.Nonce)
	}
	if err := id.VerifyAccessToken(token.AccessToken); err != nil {
		t.Errorf("at_hash: %v", err)
	}
	info, err := provider.UserInfo(ctx, oauth2.StaticTokenSource(token))
	if err != nil || info.Subject != id.Subject {
		t.Errorf("userinfo %+v, %v", info, err)
	}
	// The device flow, with the same library (RFC 8628).
	tv := oauth2.Config{ClientID: "tv", Endpoint: provider.Endpoint(), Scopes: []string{"openid"}}
	tv.Endpoint.AuthStyle = oauth2.AuthStyleInParams
	device, err := tv.DeviceAuth(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if status, out := b.post("/device/decide", map[string]any{"code": device.UserCode, "approve": true}); status != 200 {
		t.Fatalf("approve: %d %v", status, out)
	}
	device.Interval = 1 // the first poll may come at once
	connected, err := tv.DeviceAccessToken(ctx, device)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := provider.UserInfo(ctx, oauth2.StaticTokenSource(connected)); err != nil || info.Subject != id.Subject {
		t.Errorf("userinfo of the device %+v, %v", info, err)
	}

	token.Expiry = token.Expiry.AddDate(-1, 0, 0)
	fresh, err := config.TokenSource(ctx, token).Token()
	if err != nil || fresh.RefreshToken == token.RefreshToken {
		t.Errorf("refresh: %v", err)
	}
}

// TestEdDSAForOneClient signs in a client that registered EdDSA, at a server
// whose key set had no such key a moment before.
func TestEdDSAForOneClient(t *testing.T) {
	w := newWorldOf(t, Options{Trust: []byte(trustFile)})
	b := w.enrolled()
	ctx := context.Background()
	_, before := b.do("GET", "/jwks", nil)
	_, text := b.do("GET", "/.well-known/openid-configuration", nil)
	var discovery struct {
		Algorithms []string `json:"id_token_signing_alg_values_supported"`
	}
	if err := json.Unmarshal([]byte(text), &discovery); err != nil || len(discovery.Algorithms) != 3 || slices.Contains(discovery.Algorithms, "EdDSA") || strings.Contains(before, "OKP") {
		t.Fatalf("nobody wants EdDSA, and there it is: %v %s %v", discovery, before, err)
	}
	err := w.server.Log.Do(ctx, func(tx pgx.Tx) (audit.Event, error) {
		_, err := grant.CreateClient(ctx, tx, grant.Client{ID: "ed", Name: "Ed", Kind: grant.Public, RedirectURIs: []string{callback}, GrantTypes: []string{"authorization_code"},
			Scopes: []string{"openid"}, Settings: grant.Settings{FirstParty: true, IDTokenAlgorithm: "EdDSA"}})
		return audit.Event{Action: audit.ClientCreated, ClientID: "ed"}, err
	})
	if err == nil {
		err = w.server.Clients.Reload(ctx)
	}
	if err != nil {
		t.Fatal(err)
	}
	provider, err := oidc.NewProvider(ctx, w.http.URL)
	if err != nil {
		t.Fatal(err)
	}
	status, got := b.token(redemption(b.code(request("client_id", "ed", "scope", "openid", "resource", "")), "client_id", "ed"))
	if status != 200 {
		t.Fatalf("%d %v", status, got)
	}
	id, err := provider.Verifier(&oidc.Config{ClientID: "ed"}).Verify(ctx, got["id_token"].(string))
	if err != nil {
		t.Fatal(err)
	}
	if err := id.VerifyAccessToken(got["access_token"].(string)); err != nil {
		t.Error(err)
	}
	if header := decode(t, got["id_token"].(string), 0); header["alg"] != "EdDSA" {
		t.Errorf("signed by %v", header["alg"])
	}
	if header := decode(t, got["access_token"].(string), 0); header["alg"] != "RS256" {
		t.Errorf("an access token signed by %v", header["alg"])
	}
}
