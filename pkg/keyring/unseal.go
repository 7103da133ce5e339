package keyring

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// errSealed says that a key is sealed under a sealing key that was not given.
var errSealed = errors.New("start with the sealing key that was used when it was created")

// unseal reads a key from the database, opens its private part and makes its
// signers. With errSealed the public part is there.
func (r *Ring) unseal(ctx context.Context, k Key) (parts, error) {
	var public, sealed []byte
	var under string
	err := r.options.Pool.QueryRow(ctx, `select public_jwk, sealed, sealed_under from signing_key where kid = $1`, k.ID).Scan(&public, &sealed, &under)
	if err != nil {
		return parts{}, fmt.Errorf("read signing key %s: %w", k.ID, err)
	}
	var p parts
	if err := json.Unmarshal(public, &p.public); err != nil {
		return parts{}, fmt.Errorf("read public key %s: %w", k.ID, err)
	}
	der, err := r.openSealed(sealed, under, k.ID)
	if err != nil {
		return p, err
	}
	private, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return parts{}, fmt.Errorf("parse private key %s: %w", k.ID, err)
	}
	p.signers, err = signersOf(k, private)
	return p, err
}

// openSealed opens what the sealer of this name sealed.
func (r *Ring) openSealed(sealed []byte, under, context string) ([]byte, error) {
	given := []string{}
	for _, s := range append([]Sealer{r.options.Sealer}, r.options.Previous...) {
		if s.Name() == under {
			return s.Open(sealed, context)
		}
		given = append(given, s.Name())
	}
	what := context
	if !strings.HasPrefix(what, boundTo("")) {
		what = "signing key " + context
	}
	return nil, fmt.Errorf("%s is sealed under %q, but the sealing key given is %q: %w", what, under, strings.Join(given, ", "), errSealed)
}
