package denial

import "net/http"

// Invitations (enrolment links).
const (
	InvitationUnknown Reason = "invitation_unknown"
	InvitationSpent   Reason = "invitation_spent"
	InvitationExpired Reason = "invitation_expired"
)

// WebAuthn ceremonies, registration and assertion.
const (
	CeremonyUnknown         Reason = "ceremony_unknown"
	CeremonyExpired         Reason = "ceremony_expired"
	CeremonyOtherBrowser    Reason = "ceremony_other_browser"
	ResponseMalformed       Reason = "response_malformed"
	ResponseInvalid         Reason = "response_invalid"
	OriginMismatch          Reason = "origin_mismatch"
	UserVerificationMissing Reason = "user_verification_missing"
	NotDiscoverable         Reason = "credential_not_discoverable"
	AlgorithmNotOffered     Reason = "algorithm_not_offered"
	CredentialRegistered    Reason = "credential_already_registered"
	CredentialUnknown       Reason = "credential_unknown"
	CredentialRemoved       Reason = "credential_removed"
	CredentialQuarantined   Reason = "credential_quarantined"
	CloneSuspected          Reason = "clone_suspected"
	CredentialSuspended     Reason = "credential_suspended"
	AttestationRequired     Reason = "attestation_required"
	ModelNotAccepted        Reason = "model_not_accepted"
	SyncedNotAccepted       Reason = "synced_not_accepted"
	EvidenceChanged         Reason = "evidence_changed"
	BackupFlagsChanged      Reason = "backup_flags_changed"
	AttestationInvalid      Reason = "attestation_invalid"
	LastCredential          Reason = "last_credential"
)

// People and sessions.
const (
	UserSuspended       Reason = "user_suspended"
	UserUnknown         Reason = "user_unknown"
	SignInRequired      Reason = "sign_in_required"
	SessionEnded        Reason = "session_ended"
	LevelNotMet         Reason = "level_not_met"
	LevelUnmet          Reason = "authentication_requirements_unmet"
	ConsentRequired     Reason = "consent_required"
	NonceRequired       Reason = "nonce_required"
	ClaimsInvalid       Reason = "claims_parameter_invalid"
	TooManyAttempts     Reason = "too_many_attempts"
	DeviceCodeUnknown   Reason = "device_code_unknown"
	DeviceExpired       Reason = "device_code_expired"
	DevicePending       Reason = "device_authorization_pending"
	DeviceSlowDown      Reason = "device_polls_too_fast"
	SubjectTokenRefused Reason = "subject_token_refused"
	CrossOriginRefused  Reason = "cross_origin_refused"
	RequestTooLarge     Reason = "request_too_large"
	PageNotFound        Reason = "page_not_found"
	SignOutNotConfirmed Reason = "sign_out_not_confirmed"
	CursorInvalid       Reason = "cursor_invalid"
)

// The console.
const (
	LastAdministrator      Reason = "last_administrator"
	AdministratorProtected Reason = "administrator_protected"
)

// Authorization requests (shown, never redirected, until client and redirect URI are validated).
const (
	ClientUnknown           Reason = "client_unknown"
	RedirectURIUnregistered Reason = "redirect_uri_unregistered"
	ParameterRepeated       Reason = "parameter_repeated"
	RequestMalformed        Reason = "request_malformed"
	ResponseTypeUnsupported Reason = "response_type_unsupported"
	ResponseModeUnsupported Reason = "response_mode_unsupported"
	RequestObjectRefused    Reason = "request_object_unsupported"
	RequestURIRefused       Reason = "request_uri_unsupported"
	PKCERequired            Reason = "pkce_required"
	PKCEMethodRefused       Reason = "pkce_method_refused"
	ScopeInvalid            Reason = "scope_invalid"
	ResourceInvalid         Reason = "resource_invalid"
	PromptInvalid           Reason = "prompt_invalid"
	LoginRequired           Reason = "login_required"
	OtherPerson             Reason = "other_person"
	RequestUnknown          Reason = "authorization_request_unknown"
	RequestExpired          Reason = "authorization_request_expired"
	RequestOtherBrowser     Reason = "authorization_request_other_browser"
	RequestFinished         Reason = "authorization_request_finished"
	PersonDeclined          Reason = "person_declined"
)

// The token endpoint and its neighbours.
const (
	ClientAuthentication Reason = "client_authentication_failed"
	ClientNotAllowed     Reason = "client_not_allowed"
	GrantUnsupported     Reason = "grant_type_unsupported"
	CodeUnknown          Reason = "code_unknown"
	CodeReplayed         Reason = "code_replayed"
	CodeExpired          Reason = "code_expired"
	CodeOtherClient      Reason = "code_other_client"
	CodeRedirectMismatch Reason = "code_redirect_mismatch"
	VerifierMismatch     Reason = "pkce_verifier_mismatch"
	RefreshUnknown       Reason = "refresh_token_unknown"
	RefreshReplayed      Reason = "refresh_token_replayed"
	RefreshExpired       Reason = "refresh_token_expired"
	RefreshOtherClient   Reason = "refresh_token_other_client"
	GrantRevoked         Reason = "grant_revoked"
	ScopeWidened         Reason = "scope_widened"
	TokenInvalid         Reason = "token_invalid"
)

// tryAgain and askForLink are next steps that many refusals share.
const (
	tryAgain   = "Start again from the application you came from."
	askForLink = "Ask the person who sent you the link for a new one."
	tryKey     = "Try again, or use another passkey."
	askHelp    = "Contact your administrator."
	developer  = "Tell the application's developer."
)

// catalogue holds every reason. A test holds that no constant is missing here
// and that no two refusals share a sentence by accident.
var catalogue = map[Reason]entry{
	InvitationUnknown: {"access_denied", http.StatusNotFound, Text{"This link does not work", "The enrolment link is incomplete or was never issued.", "Check that you copied the whole link. Otherwise, ask for a new one."}},
	InvitationSpent:   {"access_denied", http.StatusGone, Text{"This link was already used", "A passkey was already enrolled with this link. Each link works once.", "If that was you, sign in. If it was not, tell your administrator now."}},
	InvitationExpired: {"access_denied", http.StatusGone, Text{"This link has expired", "Enrolment links work for a limited time, and this one is over.", askForLink}},

	CeremonyUnknown:         {"access_denied", bad, Text{"That took a wrong turn", "This attempt was already used or was never started here. Nothing was changed.", tryKey}},
	CeremonyExpired:         {"access_denied", bad, Text{"That took a little too long", "The request to your passkey ran out of time. Nothing was changed.", "Try again when you have your passkey at hand."}},
	CeremonyOtherBrowser:    {"access_denied", forbidden, Text{"Started in another browser", "This attempt began in a different browser, so it cannot be finished in this one.", "Start again in this browser."}},
	ResponseMalformed:       {"invalid_request", bad, Text{"We could not read that answer", "The browser sent an answer that we could not read. Nothing was changed.", tryKey}},
	ResponseInvalid:         {"access_denied", bad, Text{"That passkey could not be verified", "The answer from your passkey did not check out. Nothing was changed.", tryKey}},
	OriginMismatch:          {"access_denied", bad, Text{"Wrong address", "Your passkey answered for a different website address than this one.", "Check the address bar. If it looks right, contact your administrator."}},
	UserVerificationMissing: {"access_denied", bad, Text{"Your key did not check that it is you", "This service needs your key to ask for a PIN, fingerprint or face, and it did not.", "Set a PIN on your security key, then try again."}},
	NotDiscoverable:         {"access_denied", bad, Text{"This key did not keep the passkey", "The key answered, but did not store a passkey for signing in later. It may be full or too old.", "Free some space on the key, or use another one."}},
	AlgorithmNotOffered:     {"access_denied", bad, Text{"This key uses a method we do not accept", "The passkey was made with a signature method that was not asked for.", "Use another security key or device."}},
	CredentialRegistered:    {"access_denied", http.StatusConflict, Text{"This key is already on your account", "There is nothing left to do: this passkey is already enrolled.", "Sign in with it, or enrol a different one."}},
	CredentialUnknown:       {"access_denied", bad, Text{"We do not know this passkey", "This passkey is not enrolled here, or was removed from your account.", "Use another passkey. You can delete this one from your device."}},
	CredentialRemoved:       {"invalid_grant", bad, Text{"This passkey was removed", "The passkey you signed in with is no longer on your account.", "Sign in again with another passkey."}},
	CredentialQuarantined:   {"access_denied", forbidden, Text{"This passkey is paused", "We paused this passkey because a copy of it may exist.", "Use another passkey, and contact your administrator."}},
	CloneSuspected:          {"access_denied", forbidden, Text{"We paused this passkey", "Its counter went backwards, which can mean that a copy exists. You were not signed in.", "Use another passkey, and contact your administrator."}},
	CredentialSuspended:     {"access_denied", forbidden, Text{"This passkey is paused", "Its maker or the FIDO Alliance reported a problem with this model, so it cannot be used for the moment.", "Use another passkey, and contact your administrator."}},
	AttestationRequired:     {"access_denied", forbidden, Text{"We need to know the make and model", "This service accepts only keys that share their make and model, and yours did not.", "Try again, and allow your browser to share the make and model of the key when it asks."}},
	ModelNotAccepted:        {"access_denied", forbidden, Text{"This model is not accepted here", "Your key works, but this service does not accept its model.", "Use a key that your organisation accepts, or ask your administrator which ones those are."}},
	SyncedNotAccepted:       {"access_denied", forbidden, Text{"This passkey can be copied", "This passkey can be copied to your other devices; this service needs one that stays in one place.", "Use a security key, or choose to keep the passkey on this device only."}},
	EvidenceChanged:         {"invalid_grant", bad, Text{"Please sign in again", "What is known about your passkey's model has changed since you signed in.", "Sign in again to continue with what holds now."}},
	BackupFlagsChanged:      {"access_denied", forbidden, Text{"This passkey has changed its nature", "It was enrolled as one kind of passkey and now answers as another.", "Remove it and enrol it again, or use another passkey."}},
	AttestationInvalid:      {"access_denied", bad, Text{"We could not verify this key", "The key's own statement about its make and model did not check out.", "Try again. If it happens twice, use another key."}},
	LastCredential:          {"access_denied", http.StatusConflict, Text{"This is your only passkey", "Removing it would lock you out.", "Enrol another passkey first."}},

	UserSuspended:       {"access_denied", forbidden, Text{"Your account is suspended", "Your passkey is fine, but the account may not be used at the moment.", askHelp}},
	UserUnknown:         {"access_denied", forbidden, Text{"This account no longer exists", "The person this passkey belonged to is no longer registered here.", askHelp}},
	SignInRequired:      {"login_required", http.StatusUnauthorized, Text{"Please sign in", "This page needs you to be signed in.", "Sign in with your passkey."}},
	SessionEnded:        {"login_required", http.StatusUnauthorized, Text{"Your session has ended", "You were signed out, here or from another device.", "Sign in with your passkey."}},
	LevelNotMet:         {"access_denied", forbidden, Text{"This needs a stronger passkey", "The application asks for a kind of passkey that yours is not.", "Use a passkey that meets the requirement, such as a company security key."}},
	LevelUnmet:          {"unmet_authentication_requirements", forbidden, Text{"This needs a stronger passkey", "The application asks for a kind of passkey that you did not use.", "Use a passkey that meets the requirement, such as a company security key."}},
	ConsentRequired:     {"consent_required", forbidden, Text{"Your agreement is needed", "You have not agreed to give this application what it asks for.", "Start again from the application."}},
	NonceRequired:       {"invalid_grant", bad, Text{"The application must be updated", "The application protected its request neither with a code challenge (PKCE) nor with a nonce.", developer}},
	ClaimsInvalid:       {"invalid_request", bad, Text{"Incomplete request", "The application's wishes about claims cannot be read.", developer}},
	TooManyAttempts:     {"access_denied", http.StatusTooManyRequests, Text{"Too many attempts", "There were too many wrong codes in a short time.", "Wait ten minutes, then type the code that the device shows now."}},
	DeviceCodeUnknown:   {"invalid_grant", bad, Text{"We do not know this code", "The code is mistyped, was already used, or is more than ten minutes old.", "Compare it with what the device shows, or start again on the device."}},
	DeviceExpired:       {"expired_token", bad, Text{"This code has expired", "Nobody approved the device in time.", "Start again on the device."}},
	DevicePending:       {"authorization_pending", bad, Text{"Not decided yet", "Nobody has approved the device yet.", "Approve it on the page that the device names."}},
	DeviceSlowDown:      {"slow_down", bad, Text{"Too fast", "The device asks more often than it was told to.", developer}},
	SubjectTokenRefused: {"invalid_request", bad, Text{"Token not exchanged", "The token may not be exchanged by this application for what it asked.", developer}},
	CrossOriginRefused:  {"invalid_request", forbidden, Text{"Sent from another website", "This action was started by another website, so we did not carry it out.", "Open this page directly and try again."}},
	RequestTooLarge:     {"invalid_request", http.StatusRequestEntityTooLarge, Text{"That was too much", "The request was larger than this page accepts.", tryAgain}},
	PageNotFound:        {"invalid_request", http.StatusNotFound, Text{"There is nothing here", "The page you asked for does not exist.", "Go back to the start page."}},
	SignOutNotConfirmed: {"invalid_request", bad, Text{"Still signed in", "We could not tell whether you asked to sign out, so you are still signed in.", "Sign out from your account page."}},
	CursorInvalid:       {"invalid_request", bad, Text{"This page of the list cannot be found", "Its address was changed, or belongs to another search.", "Search again and leaf on from there."}},

	LastAdministrator:      {"access_denied", http.StatusConflict, Text{"There is no other administrator", "Nobody else could use the console afterwards.", "Make somebody else an administrator first, with a passkey of the level that the console asks for."}},
	AdministratorProtected: {"access_denied", forbidden, Text{"Not for another administrator", "With an enrolment link you could act in another administrator's name.", "They add a passkey from their account page. If they have none left, an operator makes the link on the command line."}},

	ClientUnknown:           {"invalid_request", bad, Text{"Unknown application", "The application that sent you here is not registered.", "Tell the application's developer."}},
	RedirectURIUnregistered: {"invalid_request", bad, Text{"Unknown return address", "The application asked us to send you to an address that it has not registered.", "Do not continue. Tell the application's developer."}},
	ParameterRepeated:       {"invalid_request", bad, Text{"Ambiguous request", "The application sent the same setting twice, so we cannot tell which one it means.", "Tell the application's developer."}},
	RequestMalformed:        {"invalid_request", bad, Text{"Incomplete request", "The application's request is incomplete or malformed.", "Tell the application's developer."}},
	ResponseTypeUnsupported: {"unsupported_response_type", bad, Text{"Unsupported request", "The application asked for a kind of answer that this service does not give.", "Tell the application's developer that only response_type=code is supported."}},
	ResponseModeUnsupported: {"invalid_request", bad, Text{"Unsupported answer mode", "The application asked for its answer in a way that this service does not support.", "Tell the application's developer."}},
	RequestObjectRefused:    {"request_not_supported", bad, Text{"Unsupported request form", "The application sent its request as an object, which this service does not read.", "Tell the application's developer."}},
	RequestURIRefused:       {"request_uri_not_supported", bad, Text{"Unsupported request reference", "The application sent its request by reference, which this service does not follow.", "Tell the application's developer."}},
	PKCERequired:            {"invalid_request", bad, Text{"The application must be updated", "The application did not protect its request with a code challenge (PKCE).", "Tell the application's developer that PKCE with S256 is required."}},
	PKCEMethodRefused:       {"invalid_request", bad, Text{"Weak protection refused", "The application used a code challenge that is not safe.", "Tell the application's developer that only S256 is accepted."}},
	ScopeInvalid:            {"invalid_scope", bad, Text{"Unknown permission", "The application asked for a permission that it may not have.", "Tell the application's developer."}},
	ResourceInvalid:         {"invalid_target", bad, Text{"Unknown API", "The application asked for an API that does not exist here or that it may not call.", "Tell the application's developer."}},
	PromptInvalid:           {"invalid_request", bad, Text{"Contradictory request", "The application asked to show a sign-in page and not to show one.", "Tell the application's developer."}},
	OtherPerson:             {"login_required", http.StatusUnauthorized, Text{"Somebody else was expected", "The application expected another person than the one who signed in.", tryAgain}},
	LoginRequired:           {"login_required", http.StatusUnauthorized, Text{"Sign-in needed", "The application asked for a sign-in without any page, and you are not signed in.", tryAgain}},
	RequestUnknown:          {"invalid_request", bad, Text{"This sign-in does not exist", "The sign-in you are trying to finish was never started, or is long over.", "Start the sign-in again from the application you came from."}},
	RequestExpired:          {"access_denied", bad, Text{"This sign-in has expired", "It was started too long ago.", "Go back to the application and sign in again."}},
	RequestOtherBrowser:     {"access_denied", forbidden, Text{"This sign-in belongs to another browser", "It was started in a different browser, so it cannot be finished in this one. If someone sent you this link, do not use it.", "Go to the application yourself and sign in from there."}},
	RequestFinished:         {"access_denied", bad, Text{"This sign-in is already finished", "You have already returned to the application with it.", "If the application still asks, sign in from there once more."}},
	PersonDeclined:          {"access_denied", forbidden, Text{"Sign-in cancelled", "You chose not to sign in.", tryAgain}},

	ClientAuthentication: {"invalid_client", http.StatusUnauthorized, Text{"The application could not prove itself", "The application's own credentials were not accepted.", "Tell the application's developer."}},
	ClientNotAllowed:     {"unauthorized_client", bad, Text{"Not allowed for this application", "The application is not registered for what it tried to do.", "Tell the application's developer."}},
	GrantUnsupported:     {"unsupported_grant_type", bad, Text{"Unsupported grant", "The application asked for tokens in a way that this service does not offer.", "Tell the application's developer."}},
	CodeUnknown:          {"invalid_grant", bad, Text{"Unknown code", "The application presented a code that was never issued.", tryAgain}},
	CodeReplayed:         {"invalid_grant", bad, Text{"Code used twice", "The application's code was used a second time, so everything it gave was withdrawn.", "Sign in to the application again."}},
	CodeExpired:          {"invalid_grant", bad, Text{"Code too old", "The application took too long to use its code.", "Sign in to the application once more."}},
	CodeOtherClient:      {"invalid_grant", bad, Text{"Code of another application", "The code was issued to a different application.", "Tell your administrator: an application tried to use a code that is not its own."}},
	CodeRedirectMismatch: {"invalid_grant", bad, Text{"Return address changed", "The application named a different return address than when it started.", "Tell the application's developer."}},
	VerifierMismatch:     {"invalid_grant", bad, Text{"Code challenge failed", "The application could not show that it started this sign-in.", "Tell the application's developer."}},
	RefreshUnknown:       {"invalid_grant", bad, Text{"Unknown refresh token", "The application's long-lived token was never issued.", "Sign in to the application afresh."}},
	RefreshReplayed:      {"invalid_grant", bad, Text{"Refresh token used twice", "The application's long-lived token was used a second time, so we ended its access.", "Sign in to the application again. If it happens often, tell its developer."}},
	RefreshExpired:       {"invalid_grant", bad, Text{"Signed in too long ago", "The application's access has reached its end.", "Sign in to it again."}},
	RefreshOtherClient:   {"invalid_grant", bad, Text{"Token of another application", "The long-lived token was issued to a different application.", "Tell your administrator: an application tried to use a token that is not its own."}},
	GrantRevoked:         {"invalid_grant", bad, Text{"Access was withdrawn", "The application's access was ended by you or your administrator.", "Sign in to the application to give it access again."}},
	ScopeWidened:         {"invalid_scope", bad, Text{"More than was granted", "The application asked for more than you agreed to.", "Tell the application's developer."}},
	TokenInvalid:         {"invalid_token", http.StatusUnauthorized, Text{"Token not accepted", "The token is malformed, expired, withdrawn or meant for someone else.", "Ask the application to fetch a new token."}},
}
