package account

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/mail"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/touchstone-id/touchstone/pkg/denial"
	"github.com/touchstone-id/touchstone/pkg/postgres"
)

// Profile is what an operator wrote about a person: the standard claims of
// OpenID Connect Core section 5.1 without sub, name and preferred_username,
// which every account has. Nothing of it decides anything here.
type Profile struct {
	GivenName  string `json:"given_name,omitempty"`
	FamilyName string `json:"family_name,omitempty"`
	MiddleName string `json:"middle_name,omitempty"`
	Nickname   string `json:"nickname,omitempty"`
	// Page, Picture and Website are http or https URLs.
	Page    string `json:"profile,omitempty"`
	Picture string `json:"picture,omitempty"`
	Website string `json:"website,omitempty"`
	Gender  string `json:"gender,omitempty"`
	// Birthdate is YYYY-MM-DD, or YYYY.
	Birthdate string `json:"birthdate,omitempty"`
	// Zoneinfo is a name of the time zone database, Locale a BCP 47 language tag.
	Zoneinfo string `json:"zoneinfo,omitempty"`
	Locale   string `json:"locale,omitempty"`
	Email    string `json:"email,omitempty"`
	// EmailVerified is what the operator says; we send no mail. Present with Email.
	EmailVerified *bool `json:"email_verified,omitempty"`
	// PhoneNumber is in E.164 form.
	PhoneNumber         string   `json:"phone_number,omitempty"`
	PhoneNumberVerified *bool    `json:"phone_number_verified,omitempty"`
	Address             *Address `json:"address,omitempty"`
	// UpdatedAt is when SetProfile stored it, in seconds since 1970.
	UpdatedAt int64 `json:"updated_at,omitempty"`
}

// Address is a postal address (OpenID Connect Core section 5.1.1).
type Address struct {
	Formatted     string `json:"formatted,omitempty"`
	StreetAddress string `json:"street_address,omitempty"`
	Locality      string `json:"locality,omitempty"`
	Region        string `json:"region,omitempty"`
	PostalCode    string `json:"postal_code,omitempty"`
	Country       string `json:"country,omitempty"`
}

// maxClaim bounds one text of a profile, in bytes.
const maxClaim = 512

var (
	birthdateForm = regexp.MustCompile(`^\d{4}(-\d{2}-\d{2})?$`)
	localeForm    = regexp.MustCompile(`^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$`)
	zoneForm      = regexp.MustCompile(`^[A-Za-z_]+(/[A-Za-z0-9_+-]+)*$`)
	phoneForm     = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)
)

// ParseProfile reads the claims from JSON. It refuses claims that are not
// standard, or not of their form, and says which.
func ParseProfile(text []byte) (Profile, error) {
	var p Profile
	decoder := json.NewDecoder(strings.NewReader(string(text)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&p); err != nil {
		return Profile{}, fmt.Errorf("profile: %w", err)
	}
	for _, c := range []struct {
		name, text string
		fits       func(string) bool
	}{
		{"given_name", p.GivenName, nil}, {"family_name", p.FamilyName, nil}, {"middle_name", p.MiddleName, nil}, {"nickname", p.Nickname, nil}, {"gender", p.Gender, nil},
		{"profile", p.Page, webAddress}, {"picture", p.Picture, webAddress}, {"website", p.Website, webAddress},
		{"birthdate", p.Birthdate, birthdate}, {"zoneinfo", p.Zoneinfo, zoneForm.MatchString}, {"locale", p.Locale, localeForm.MatchString},
		{"email", p.Email, address}, {"phone_number", p.PhoneNumber, phoneForm.MatchString},
	} {
		if c.text != "" && (len(c.text) > maxClaim || !printable(c.text) || c.fits != nil && !c.fits(c.text)) {
			return Profile{}, fmt.Errorf("profile: %s %.80q is not of its form (OpenID Connect Core section 5.1)", c.name, c.text)
		}
	}
	if a := p.Address; a != nil {
		for _, text := range []string{a.Formatted, a.StreetAddress, a.Locality, a.Region, a.PostalCode, a.Country} {
			if len(text) > maxClaim {
				return Profile{}, fmt.Errorf("profile: a part of the address is longer than %d bytes", maxClaim)
			}
		}
		if *a == (Address{}) {
			p.Address = nil
		}
	}
	return p, nil
}

func webAddress(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && u.User == nil
}

func birthdate(text string) bool {
	if !birthdateForm.MatchString(text) {
		return false
	}
	if year, err := strconv.Atoi(text); err == nil {
		return year > 0
	}
	_, err := time.Parse(time.DateOnly, strings.Replace(text, "0000", "2000", 1)) // a year that is not told
	return err == nil
}

func address(text string) bool {
	a, err := mail.ParseAddress(text)
	return err == nil && a.Address == text
}

// Claims names the claims that are there, sorted.
func (p Profile) Claims() []string {
	var there map[string]any
	text, _ := json.Marshal(p) // plain data always encodes
	json.Unmarshal(text, &there)
	return slices.Sorted(maps.Keys(there))
}

// For returns the part of the profile that the scopes open (OpenID Connect Core
// section 5.4).
func (p Profile) For(scopes []string) Profile {
	var out Profile
	if slices.Contains(scopes, "profile") {
		out = p
		out.Email, out.EmailVerified, out.PhoneNumber, out.PhoneNumberVerified, out.Address = "", nil, "", nil, nil
	}
	if slices.Contains(scopes, "email") && p.Email != "" {
		out.Email, out.EmailVerified = p.Email, said(p.EmailVerified)
	}
	if slices.Contains(scopes, "phone") && p.PhoneNumber != "" {
		out.PhoneNumber, out.PhoneNumberVerified = p.PhoneNumber, said(p.PhoneNumberVerified)
	}
	if slices.Contains(scopes, "address") {
		out.Address = p.Address
	}
	return out
}

// said is false when nothing was said.
func said(verified *bool) *bool {
	if verified == nil {
		verified = new(bool)
	}
	return verified
}

// SetProfile replaces what is known about a person. Denial: UserUnknown.
func SetProfile(ctx context.Context, tx pgx.Tx, now time.Time, id ID, p Profile) error {
	p.UpdatedAt = now.Unix()
	tag, err := tx.Exec(ctx, `update account set profile = $2 where id = $1 and status <> 'deleted'`, id, p)
	if err != nil {
		return fmt.Errorf("set profile: %w", err)
	}
	if tag.RowsAffected() == 0 {
		return denial.New(denial.UserUnknown, "")
	}
	return nil
}

// ProfileOf returns what is known about a person. Denial: UserUnknown.
func ProfileOf(ctx context.Context, q postgres.Querier, id ID) (Profile, error) {
	var p Profile
	if _, err := ByID(ctx, q, id); err != nil {
		return p, err
	}
	if err := q.QueryRow(ctx, `select profile from account where id = $1`, id).Scan(&p); err != nil {
		return p, fmt.Errorf("read profile: %w", err)
	}
	return p, nil
}
