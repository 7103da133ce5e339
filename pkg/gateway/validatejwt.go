package gateway

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/touchstone-id/touchstone/pkg/apim"
	"github.com/touchstone-id/touchstone/pkg/apim/expr"
)

// maxToken bounds a token, in bytes, as the validating library does.
const maxToken = 250 << 10

// validateJWT is a compiled validate-jwt.
type validateJWT struct {
	policy                  policy
	header, query, token    *value // exactly one is not nil
	scheme, status, message value
	expiring, signed, skew  value
	output                  string
	source                  *keySource
	audiences, issuers      []value
	claims                  []requiredClaim
	// decryption are the keys that open encrypted tokens.
	decryption []any
	// checksAudience: without <audiences> the audience is not looked at.
	checksAudience bool
}

// compileValidateJWT compiles validate-jwt.
func compileValidateJWT(c *compiler, e apim.Element, p *policy) {
	v := &validateJWT{policy: *p, scheme: c.attribute(e, "require-scheme", ""), status: c.attribute(e, "failed-validation-httpcode", "401"),
		message: c.attribute(e, "failed-validation-error-message", ""), expiring: c.attribute(e, "require-expiration-time", "true"),
		signed: c.attribute(e, "require-signed-tokens", "true"), skew: c.attribute(e, "clock-skew", "0"),
		output: e.Value("output-token-variable-name"), source: c.keySource(e), decryption: c.decryptionKeys(e)}
	for name, into := range map[string]**value{"header-name": &v.header, "query-parameter-name": &v.query, "token-value": &v.token} {
		if _, present := e.Attribute(name); present {
			from := c.attribute(e, name, "")
			*into = &from
		}
	}
	if audiences, present := e.Child("audiences"); present {
		v.audiences, v.checksAudience = c.texts(audiences, "audience"), true
	}
	if issuers, present := e.Child("issuers"); present {
		v.issuers = c.texts(issuers, "issuer")
	}
	claims, _ := e.Child("required-claims")
	for _, child := range claims.Children {
		v.claims = append(v.claims, requiredClaim{c.attribute(child, "name", ""), c.attribute(child, "match", "all"), c.attribute(child, "separator", ""), c.texts(child, "value")})
	}
	p.act = v.act
}

// verdict is how a validation failed.
type verdict struct {
	apim.Failure
	found, wanted string
}

func fail(f apim.Failure, found, wanted string) *verdict { return &verdict{f, found, wanted} }

// act validates the request's token.
func (v *validateJWT) act(r *run) error {
	jwt, no, err := v.validate(r)
	if err != nil {
		return err
	}
	if no == nil {
		v.policy.note(r, resultPassed, "the token is valid")
		if v.output != "" {
			r.variables[v.output] = jwt
		}
		return nil
	}
	r.note(step{v.policy.name, v.policy.id, v.policy.scope, string(v.policy.section), resultFailed, no.Message, no.IDX, no.found, no.wanted, no.Hint})
	status, err := v.status.statusCode(r)
	if err != nil {
		return err
	}
	message, err := v.message.text(r)
	if err != nil {
		return err
	}
	if message == "" {
		message = no.Body
	}
	return refused(status, no.Reason, no.Message, message)
}

// validate checks in the order of the library that API Management uses: form,
// signature, lifetime, audience, issuer, and then the required claims.
func (v *validateJWT) validate(r *run) (*expr.Jwt, *verdict, error) {
	token, no, err := v.extract(r)
	if err != nil || no != nil {
		return nil, no, err
	}
	if strings.Count(token, ".") == 4 && len(token) <= maxToken {
		if token, no = v.decrypt(token); no != nil {
			return nil, no, nil
		}
	}
	ring, fault := v.source.keys(r.now)
	read, no := r.parse(token, v.source, ring)
	if no != nil {
		return nil, no, nil
	}
	if fault != nil {
		return nil, fail(apim.NoMetadata, fault.Error(), "a discovery document and its key set"), nil
	}
	jwt := read.jwt
	if no, err := v.signature(r, token, read, ring); err != nil || no != nil {
		if no != nil && no.IDX == apim.KeyUnknown.IDX {
			// The library looks at the lifetime before it reports an unknown key.
			if late, err := v.lifetime(r, jwt); err != nil || late != nil {
				return nil, late, err
			}
		}
		return nil, no, err
	}
	for _, check := range []func() (*verdict, error){
		func() (*verdict, error) { return v.lifetime(r, jwt) },
		func() (*verdict, error) { return v.audience(r, jwt) },
		func() (*verdict, error) { return v.issuer(r, jwt, ring.issuers) },
		func() (*verdict, error) { return v.required(r, jwt) },
	} {
		if no, err := check(); err != nil || no != nil {
			return nil, no, err
		}
	}
	return jwt, nil, nil
}

// extract takes the token from where the policy says.
func (v *validateJWT) extract(r *run) (string, *verdict, error) {
	if v.token != nil {
		text, err := v.token.text(r)
		if text == "" {
			return "", fail(apim.TokenMissing, "an empty token-value", "a token"), err
		}
		return text, nil, err
	}
	if v.query != nil {
		name, err := v.query.text(r)
		if text := r.client.URL.Query().Get(name); text != "" || err != nil {
			return text, nil, err
		}
		return "", fail(apim.TokenMissing, "no query parameter "+name, "a token in the query parameter "+name), nil
	}
	name, err := v.header.text(r)
	if err != nil {
		return "", nil, err
	}
	required, err := v.scheme.text(r)
	if err != nil {
		return "", nil, err
	}
	values := r.request.header.Values(name)
	switch {
	case len(values) == 0 || values[0] == "":
		return "", fail(apim.TokenMissing, "no header "+name, strings.TrimSpace(name+": "+required+" TOKEN")), nil
	case len(values) > 1:
		return "", fail(apim.TokenMalformed, "the header "+name+" several times", "one "+name), nil
	case !strings.EqualFold(name, "Authorization"):
		return values[0], nil, nil // bare; require-scheme has no effect here
	}
	scheme, token, two := strings.Cut(values[0], " ")
	switch token = strings.TrimSpace(token); {
	case !two && required == "":
		return scheme, nil, nil
	case !two || required != "" && !strings.EqualFold(scheme, required):
		return "", fail(apim.TokenMissing, "another scheme", name+": "+required+" TOKEN"), nil
	case token == "":
		return "", fail(apim.TokenMissing, "the scheme alone", name+": "+required+" TOKEN"), nil
	}
	return token, nil, nil
}

// readToken is a token that was read in this request.
type readToken struct {
	jwt    *expr.Jwt
	digest [sha256.Size]byte
	// source and by verified it last; nil before.
	source *keySource
	by     []*snapshot
}

// verified reports whether these keys of the source have verified the token.
func (t *readToken) verified(s *keySource, by []*snapshot) bool {
	return t.source == s && slices.Equal(t.by, by)
}

// parse reads a token, once in a request; one that the source's keys have verified
// before was read then.
func (r *run) parse(token string, s *keySource, ring keyring) (*readToken, *verdict) {
	if known := r.parsed[token]; known != nil {
		return known, nil
	}
	if len(token) > maxToken {
		return nil, fail(apim.TokenTooLong, "", "at most 250 KB")
	}
	t := &readToken{digest: sha256.Sum256([]byte(token))}
	if known, ok := s.proofs.known(ring.from, t.digest); ok {
		t.jwt, t.source, t.by = known.Again(token), s, ring.from
	} else {
		jwt, no := parse(token)
		if no != nil {
			return nil, no
		}
		t.jwt = jwt
	}
	r.parsed[token] = t
	return t, nil
}

// parse reads a token without believing it.
func parse(token string) (*expr.Jwt, *verdict) {
	switch strings.Count(token, ".") {
	case 2:
	case 4:
		return nil, fail(apim.TokenEncrypted, "five segments", "a signed token of three segments")
	default:
		f := apim.TokenMalformed
		if scheme, _, two := strings.Cut(token, " "); two && len(scheme) < 16 {
			f.Hint = "A custom header and token-value take the bare token, without the word " + scheme + "."
		}
		return nil, fail(f, "no three segments", "a signed token of three segments")
	}
	jwt, err := expr.ParseJwt(token)
	if err != nil {
		return nil, fail(apim.TokenMalformed, err.Error(), "a signed token of three segments")
	}
	return jwt, nil
}

// header is the part of a JOSE header that decides here. jku, x5u, x5c and jwk
// are never looked at: keys come from the policy alone (RFC 8725 section 3.10).
type header struct {
	Algorithm string          `json:"alg"`
	KeyID     string          `json:"kid"`
	Critical  json.RawMessage `json:"crit"`
}

// readHeader decodes a token's header.
func readHeader(token string) (h header, ok bool) {
	first, _, _ := strings.Cut(token, ".")
	decoded, err := base64.RawURLEncoding.DecodeString(first)
	if err == nil {
		err = json.Unmarshal(decoded, &h)
	}
	return h, err == nil
}

// signature verifies the token with the keys its kid names, or with every key
// when none has that name.
func (v *validateJWT) signature(r *run, token string, read *readToken, ring keyring) (*verdict, error) {
	if read.verified(v.source, ring.from) {
		return nil, nil
	}
	if _, known := v.source.proofs.known(ring.from, read.digest); known {
		read.source, read.by = v.source, ring.from
		return nil, nil
	}
	h, ok := readHeader(token)
	if !ok {
		return fail(apim.TokenMalformed, "an unreadable header", "a JOSE header"), nil
	}
	if h.Critical != nil {
		return fail(apim.TokenMalformed, "crit "+string(h.Critical), "no critical extensions (RFC 7515 section 4.1.11)"), nil
	}
	if strings.HasSuffix(token, ".") {
		required, err := v.signed.boolean(r)
		if required || err != nil {
			return fail(apim.Unsigned, "no signature", "a signature"), err
		}
		return nil, nil
	}
	algorithms := v.source.algorithms()
	if !slices.Contains(algorithms, jose.SignatureAlgorithm(h.Algorithm)) {
		return badAlgorithm(h.Algorithm, algorithms), nil
	}
	jws, err := jose.ParseSignedCompact(token, algorithms)
	if err != nil {
		return fail(apim.TokenMalformed, "an unreadable signature", "a signed token of three segments"), nil
	}
	matching := named(ring.keys, h.KeyID)
	if len(matching) == 0 && v.source.refetch(r.now) {
		if ring, err = v.source.keys(r.now); err != nil {
			return fail(apim.NoMetadata, err.Error(), "a discovery document and its key set"), nil
		}
		matching = named(ring.keys, h.KeyID)
	}
	if no := verify(jws, h, ring.keys, matching); no != nil {
		if no.IDX == apim.KeyUnknown.IDX {
			no.Hint += ring.age()
		}
		return no, nil
	}
	v.source.proofs.keep(ring.from, read.digest, read.jwt)
	read.source, read.by = v.source, ring.from
	return nil, nil
}

// verify tries the keys that match, or all of them.
func verify(jws *jose.JSONWebSignature, h header, keys, matching []key) *verdict {
	alg := jose.SignatureAlgorithm(h.Algorithm)
	candidates := keys
	if h.KeyID != "" && len(matching) > 0 {
		candidates = matching
	}
	usable := slices.DeleteFunc(slices.Clone(candidates), func(k key) bool { return !k.serves(alg) })
	for _, k := range usable {
		if _, err := jws.Verify(k.material); err == nil {
			return nil
		}
	}
	known := "kid " + strings.Join(identifiers(keys), ", ")
	switch {
	case len(keys) == 0:
		return fail(apim.NoKeys, "no keys", "a key for "+h.Algorithm)
	case len(usable) == 0:
		return fail(apim.BadAlgorithm, h.Algorithm, "an algorithm of the keys known ("+known+")")
	case h.KeyID == "":
		return fail(apim.KeyUnnamed, "no kid", known)
	case len(matching) == 0:
		return fail(apim.KeyUnknown, "kid "+h.KeyID, known)
	}
	return fail(apim.BadSignature, "kid "+h.KeyID, "a signature of that key")
}

func badAlgorithm(alg string, algorithms []jose.SignatureAlgorithm) *verdict {
	if strings.EqualFold(alg, "none") {
		return fail(apim.Unsigned, "alg "+alg, "a signature")
	}
	words := make([]string, len(algorithms))
	for i, a := range algorithms {
		words[i] = string(a)
	}
	return fail(apim.BadAlgorithm, "alg "+alg, strings.Join(words, ", "))
}

func identifiers(keys []key) []string {
	ids := make([]string, len(keys))
	for i, k := range keys {
		ids[i] = k.id
	}
	return ids
}

// stamp writes a NumericDate for people.
func stamp(seconds float64) string { return time.Unix(int64(seconds), 0).UTC().Format(time.RFC3339) }
