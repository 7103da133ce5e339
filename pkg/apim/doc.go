// Package apim reads, checks, renders and explains the policy documents of
// Azure API Management.
//
// It decides how a policy document is read (as the portal shows it and as XML),
// which mistakes it can hold, and how a trust file becomes policies:
//
//	trust file → Render → orders.policy.xml → Check, review → API Management
//	the same file → Read → gateway → decision and why
//
// It refuses to know how a request is answered: package gateway runs the
// documents, package expr their expressions. It opens no connection and reads
// no file.
package apim
