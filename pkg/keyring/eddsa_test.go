package keyring

import (
	"strings"
	"testing"
)

// TestEdDSAIsPublishedForWhoWantsIt holds that gateways see no key that they
// cannot use, that clients see it at once, and that it verifies meanwhile.
func TestEdDSAIsPublishedForWhoWantsIt(t *testing.T) {
	w := newWorld(t)
	wanted := false
	r := w.ring(func(o *Options) { o.EdDSA = func() bool { return wanted } })
	token, err := r.Sign(EdDSA, "JWT", map[string]string{"sub": "ada"})
	w.must(err)
	seen := map[bool]string{}
	for _, wanted = range []bool{false, true} {
		d, err := r.JWKS()
		w.must(err)
		seen[wanted] = d.ETag
		listed := false
		for _, alg := range r.Algorithms() {
			listed = listed || alg == EdDSA
		}
		if strings.Contains(string(d.Body), "OKP") != wanted || listed != wanted {
			t.Errorf("wanted %v: %s lists %v", wanted, d.Body, r.Algorithms())
		}
		if _, err := r.Verify(token, "JWT"); err != nil {
			t.Errorf("wanted %v: %v", wanted, err)
		}
	}
	if seen[true] == seen[false] {
		t.Error("both key sets have one ETag")
	}
}
