package passkey

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/touchstone-id/touchstone/pkg/account"
	"github.com/touchstone-id/touchstone/pkg/claim"
	"github.com/touchstone-id/touchstone/pkg/denial"
	"github.com/touchstone-id/touchstone/pkg/postgres"
	"github.com/touchstone-id/touchstone/pkg/trust"
)

// maxNickname bounds a passkey's nickname, in characters.
const maxNickname = 60

// Credential is a stored passkey as its owner may see it.
type Credential struct {
	// ID is the row's id, a UUID; the WebAuthn credential ID is never shown.
	ID     string
	UserID account.ID
	// AuthenticatorID is the opaque handle that tokens carry.
	AuthenticatorID string
	Nickname        string
	// AAGUID is what the authenticator claims; it is proven only with the fact attested.
	AAGUID, Model, Format string
	Facts                 claim.Facts
	// Levels are the assurance levels that the passkey had when it was last judged; nil when it never was.
	Levels                      []string
	Attachment                  string
	Transports                  []string
	BackupEligible, BackupState bool
	CreatedAt                   time.Time
	LastUsedAt                  *time.Time
	Quarantined                 bool
	// QuarantinedWhy is empty, QuarantineClone or QuarantineMetadata.
	QuarantinedWhy string
	// Pardoned are statuses in spite of which an operator released the passkey.
	Pardoned []string
	// Findings are the rules that the passkey did not meet in the ceremony just
	// completed, and that did not refuse it.
	Findings []trust.Finding `db:"-"`
}

// Why a passkey is quarantined: it signs nobody in until it is released.
const (
	// QuarantineClone: its signature counter went backwards.
	QuarantineClone = "clone"
	// QuarantineMetadata: the metadata reports a status that the trust file answers with suspension.
	QuarantineMetadata = "metadata"
)

// Credentials returns the person's passkeys, oldest first; removed ones are left out.
func Credentials(ctx context.Context, q postgres.Querier, user account.ID) ([]Credential, error) {
	rows, err := q.Query(ctx, `
		select id::text, user_id, authenticator_id, nickname, aaguid::text, model, format, facts, levels, attachment, transports, backup_eligible, backup_state,
			created_at, last_used_at, quarantined_at is not null as quarantined, quarantined_why, pardoned
		from credential where user_id = $1 and removed_at is null order by created_at, id`, user)
	if err != nil {
		return nil, fmt.Errorf("list credentials: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[Credential])
	if err != nil {
		return nil, fmt.Errorf("list credentials: %w", err)
	}
	return list, nil
}

// Suspended reports whether the statuses in force suspend the passkey by the
// trust file, those left out that it was pardoned for.
func (c Credential) Suspended(t *trust.Trust, statuses []string) bool {
	return t.Suspends(slices.DeleteFunc(slices.Clone(statuses), func(s string) bool { return slices.Contains(c.Pardoned, s) }))
}

// descriptors lists the person's passkeys for an exclusion list.
func descriptors(ctx context.Context, q postgres.Querier, rpID string, user account.ID) ([]protocol.CredentialDescriptor, error) {
	rows, err := q.Query(ctx, `select credential_id, transports from credential where user_id = $1 and rp_id = $2 and removed_at is null`, user, rpID)
	if err != nil {
		return nil, fmt.Errorf("list credentials to exclude: %w", err)
	}
	return pgx.CollectRows(rows, func(r pgx.CollectableRow) (protocol.CredentialDescriptor, error) {
		d := protocol.CredentialDescriptor{Type: protocol.PublicKeyCredentialType}
		var id []byte
		var transports []string
		err := r.Scan(&id, &transports)
		d.CredentialID = id
		for _, t := range transports {
			d.Transport = append(d.Transport, protocol.AuthenticatorTransport(t))
		}
		return d, err
	})
}

// AnyRegistered reports whether anybody has a passkey yet.
func AnyRegistered(ctx context.Context, q postgres.Querier) (bool, error) {
	var any bool
	if err := q.QueryRow(ctx, `select exists (select from credential where removed_at is null)`).Scan(&any); err != nil {
		return false, fmt.Errorf("look for credentials: %w", err)
	}
	return any, nil
}

// rowOf returns the id of a row in its one form; what is no id is of no passkey.
func rowOf(id string) (string, error) {
	parsed, err := uuid.Parse(id)
	if err != nil {
		return "", denial.New(denial.CredentialUnknown, "")
	}
	return parsed.String(), nil
}

// Rename gives the person's passkey another nickname of 1 to 60 characters, none
// of them a control character (RequestMalformed). The denial CredentialUnknown
// means that they have no such passkey.
func Rename(ctx context.Context, tx pgx.Tx, user account.ID, id, nickname string) error {
	nickname = strings.TrimSpace(nickname)
	if nickname == "" || !utf8.ValidString(nickname) || utf8.RuneCountInString(nickname) > maxNickname || strings.ContainsFunc(nickname, unicode.IsControl) {
		return denial.New(denial.RequestMalformed, "nickname")
	}
	row, err := rowOf(id)
	if err != nil {
		return err
	}
	tag, err := tx.Exec(ctx, `update credential set nickname = $3 where id = $2 and user_id = $1 and removed_at is null`, user, row, nickname)
	if err != nil {
		return fmt.Errorf("rename credential: %w", err)
	}
	if tag.RowsAffected() == 0 {
		return denial.New(denial.CredentialUnknown, "")
	}
	return nil
}

// Remove takes a passkey off the person's account. The evidence stays, so that
// what it once proved can still be shown. The last usable one is refused with
// LastCredential; an unknown one with CredentialUnknown. Of two removals at
// once, one waits for the other. The caller revokes the grants.
func Remove(ctx context.Context, tx pgx.Tx, now time.Time, user account.ID, id string) error {
	row, err := rowOf(id)
	if err != nil {
		return err
	}
	rows, err := tx.Query(ctx, `select id::text from credential where user_id = $1 and removed_at is null and quarantined_at is null order by id for update`, user)
	if err != nil {
		return fmt.Errorf("remove credential: %w", err)
	}
	usable, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("remove credential: %w", err)
	}
	if len(usable) == 1 && usable[0] == row {
		return denial.New(denial.LastCredential, "")
	}
	tag, err := tx.Exec(ctx, `update credential set removed_at = $3 where id = $2 and user_id = $1 and removed_at is null`, user, row, now)
	if err != nil {
		return fmt.Errorf("remove credential: %w", err)
	}
	if tag.RowsAffected() == 0 {
		return denial.New(denial.CredentialUnknown, "")
	}
	return nil
}
