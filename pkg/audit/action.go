package audit

// Action names something worth proving. docs/audit-events.md describes each.
type Action string

// The catalogue of actions.
const (
	UserInvited           Action = "user.invited"
	UserSuspended         Action = "user.suspended"
	UserResumed           Action = "user.resumed"
	UserGrouped           Action = "user.grouped"
	CredentialRegistered  Action = "credential.registered"
	CredentialRenamed     Action = "credential.renamed"
	CredentialRemoved     Action = "credential.removed"
	CredentialQuarantined Action = "credential.quarantined"
	SignIn                Action = "session.signed_in"
	SignOut               Action = "session.signed_out"
	SessionRevoked        Action = "session.revoked"
	CodeIssued            Action = "code.issued"
	CodeRedeemed          Action = "code.redeemed"
	TokenRefreshed        Action = "token.refreshed"
	TokenIssued           Action = "token.issued"
	TokenExchanged        Action = "token.exchanged"
	ConsentGiven          Action = "consent.given"
	ConsentWithdrawn      Action = "consent.withdrawn"
	DeviceDecided         Action = "device.decided"
	GrantRevoked          Action = "grant.revoked"
	KeyCreated            Action = "key.created"
	KeyActivated          Action = "key.activated"
	KeyRetired            Action = "key.retired"
	KeyDemanded           Action = "key.demanded"
	KeyWithdrawn          Action = "key.withdrawn"
	KeysResealed          Action = "key.resealed"
	ClientCreated         Action = "client.created"
	ClientChanged         Action = "client.changed"
	ClientDeleted         Action = "client.deleted"
	ClientsDeclared       Action = "client.declared"
	MetadataLoaded        Action = "metadata.loaded"
	TrustApplied          Action = "trust.applied"
	CredentialRejudged    Action = "credential.rejudged"
	CredentialReleased    Action = "credential.released"
	FleetRejudged         Action = "fleet.rejudged"
	PersonErased          Action = "person.erased"
)
