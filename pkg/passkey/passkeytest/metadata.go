package passkeytest

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/uuid"
)

// Model is an entry of a BLOB.
type Model struct {
	AAGUID        [16]byte
	Description   string
	Roots         []*x509.Certificate
	KeyProtection []string
	// Status holds pairs of status and effective date (YYYY-MM-DD).
	Status [][2]string
}

// BLOB signs a metadata BLOB under the authority (FIDO MDS 3.0 section 3.1.7).
func (ca *CA) BLOB(number int, nextUpdate time.Time, models ...Model) ([]byte, error) {
	entries := make([]map[string]any, len(models))
	for i, m := range models {
		roots, reports := []string{}, []map[string]string{}
		for _, r := range m.Roots {
			roots = append(roots, base64.StdEncoding.EncodeToString(r.Raw))
		}
		for _, s := range m.Status {
			reports = append(reports, map[string]string{"status": s[0], "effectiveDate": s[1]})
		}
		entries[i] = map[string]any{"aaguid": uuid.UUID(m.AAGUID).String(), "statusReports": reports, "timeOfLastStatusChange": "2024-01-01",
			"metadataStatement": map[string]any{"description": m.Description, "keyProtection": m.KeyProtection, "attestationRootCertificates": roots}}
	}
	payload, err := json.Marshal(map[string]any{"legalHeader": "test", "no": number, "nextUpdate": nextUpdate.Format(time.DateOnly), "entries": entries})
	if err != nil {
		return nil, err
	}
	signer, err := ca.leaf([16]byte{})
	if err != nil {
		return nil, err
	}
	var chain []string
	for _, der := range append(signer.chain, ca.Certificate.Raw) {
		chain = append(chain, base64.StdEncoding.EncodeToString(der))
	}
	jws, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: signer.key}, (&jose.SignerOptions{}).WithHeader("x5c", chain))
	if err != nil {
		return nil, err
	}
	signed, err := jws.Sign(payload)
	if err != nil {
		return nil, err
	}
	text, err := signed.CompactSerialize()
	return []byte(text), err
}
