// Package account keeps the people who may sign in: their names, their groups
// and the invitations by which they enrol a first passkey.
//
// It decides who is active, and that an invitation is used at most once, in
// time. It refuses to know passkeys, sessions and tokens.
//
// A person is active, suspended or deleted. Only active people sign in or
// receive tokens; every flow asks again at the moment it hands something out.
package account
