package passkeytest

// Lie makes an answer wrong in one way. The zero value is honest.
type Lie struct {
	// Origin replaces the true origin.
	Origin string
	// Type replaces webauthn.create or webauthn.get.
	Type string
	// Challenge replaces the challenge, base64url.
	Challenge string
	// RPID replaces the RP ID whose hash is signed.
	RPID string
	// CrossOrigin sets crossOrigin in the client data.
	CrossOrigin bool
	// TopOrigin adds topOrigin to the client data.
	TopOrigin string
	// NoUP clears the user presence flag.
	NoUP bool
	// NoUV clears the user verification flag.
	NoUV bool
	// Counter, when not nil, is the signature counter sent.
	Counter *uint32
	// FlipBackup inverts the BE flag.
	FlipBackup bool
	// ImpossibleBackup sets BS without BE.
	ImpossibleBackup bool
	// UserHandle, when not nil, replaces the user handle.
	UserHandle []byte
	// CredentialID, when not nil, is that of the new credential, or the one named in an assertion.
	CredentialID []byte
	// CertifiedAAGUID replaces the AAGUID in the authenticator data but not in the certificate.
	CertifiedAAGUID []byte
	// BreakSignature spoils the signature.
	BreakSignature bool
	// NoResidentKey reports through credProps that nothing was stored.
	NoResidentKey bool
}
