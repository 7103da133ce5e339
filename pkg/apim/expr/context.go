package expr

import (
	"bytes"
	"crypto/x509"
	"net/http"
	"net/url"
	"time"

	"github.com/touchstone-id/touchstone/pkg/secret"
)

// Context is what expressions see as "context". Everything in it is read-only
// to expressions, except that a body may be consumed by reading it. Nil
// pointers appear as null. One evaluation at a time may use a Context.
type Context struct {
	Request      *Request
	Response     *Response
	Variables    map[string]Value
	LastError    *LastError
	API          *API
	Operation    *Operation
	Product      *Product
	Subscription *Subscription
	Deployment   *Deployment
	User         *User
	// RequestID is shown as a Guid; text that is none is shown as Guid.Empty.
	RequestID string
	// Timestamp is when the request arrived.
	Timestamp time.Time
	// Now answers DateTime.UtcNow and its relatives; nil means time.Now.
	Now func() time.Time
	// Trace receives context.Trace(message); nil discards it.
	Trace func(string)
	// Roots are what X509Certificate2.Verify trusts; nil means the system's.
	Roots *x509.CertPool
}

func (c *Context) now() time.Time {
	if c.Now == nil {
		return time.Now()
	}
	return c.Now()
}

// Request is context.Request.
type Request struct {
	Method string
	// Target gives the address sent to the backend, OriginalURL is the one called.
	Target            func() *url.URL
	OriginalURL       *url.URL
	Header            http.Header
	Body              *Body
	IPAddress         string
	MatchedParameters map[string]string
	// Certificate is the client certificate of the TLS handshake, or nil.
	Certificate *x509.Certificate
}

// Response is context.Response, and what send-request stores in a variable.
type Response struct {
	StatusCode   int
	StatusReason string
	Header       http.Header
	Body         *Body
}

// LastError is context.LastError within on-error. Scope, Section, Path and
// PolicyID name the policy that failed.
type LastError struct {
	Source, Reason, Message, Scope, Section, Path, PolicyID string
}

// API is context.Api.
type API struct {
	ID, Name, Path, Revision, Version string
	IsCurrentRevision                 bool
	ServiceURL                        *url.URL
}

// Operation is context.Operation.
type Operation struct {
	ID, Method, Name, URLTemplate string
}

// Product is context.Product. State is "NotPublished" or "Published".
type Product struct {
	ID, Name, State                        string
	ApprovalRequired, SubscriptionRequired bool
}

// Subscription is context.Subscription. Key is the key the caller sent.
type Subscription struct {
	ID, Name                        string
	Key, PrimaryKey, SecondaryKey   secret.Value
	CreatedDate, StartDate, EndDate *time.Time
}

// Deployment is context.Deployment. Certificates are listed by their id.
type Deployment struct {
	GatewayID, Region, ServiceID, ServiceName string
	Certificates                              map[string]*x509.Certificate
}

// User is context.User.
type User struct {
	ID, Email, FirstName, LastName, Note string
	RegistrationDate                     time.Time
}

// Body is a message body. As<T>() consumes it unless it is asked to preserve
// the content; a consumed body reads as null and is forwarded empty, as the
// managed gateway's single stream is. A Body is not safe for concurrent use.
type Body struct {
	load     func() ([]byte, error)
	content  []byte
	loaded   bool
	consumed bool
}

// NewBody returns an unread body. It keeps content, which must not change.
func NewBody(content []byte) *Body { return &Body{content: content, loaded: true} }

// LazyBody returns a body that is loaded when an expression first reads it.
func LazyBody(load func() ([]byte, error)) *Body { return &Body{load: load} }

// Read reports whether an expression has read the body, and what can still be
// forwarded: nothing when it did not preserve the content. The caller must not
// change it.
func (b *Body) Read() (content []byte, read bool) {
	if b == nil || !b.loaded || b.load == nil && !b.consumed {
		return nil, false
	}
	if b.consumed {
		return nil, true
	}
	return b.content, true
}

// take returns the content without a UTF-8 byte order mark, and whether there
// was still any to return.
func (b *Body) take(preserve bool) ([]byte, bool) {
	if b == nil || b.consumed {
		return nil, false
	}
	if !b.loaded {
		content, err := b.load()
		if err != nil {
			throw("System.IO.IOException", "The message body cannot be read.")
		}
		b.content, b.loaded = content, true
	}
	b.consumed = !preserve
	return bytes.TrimPrefix(b.content, []byte("\xef\xbb\xbf")), true
}

// Keep loads the body and keeps it for several readers.
func (b *Body) Keep() error {
	if b == nil || b.loaded {
		return nil
	}
	content, err := b.load()
	if err == nil {
		b.content, b.loaded = content, true
	}
	return err
}

// Content returns what a loaded body still holds. The caller must not change it.
func (b *Body) Content() []byte {
	if b == nil || b.consumed {
		return nil
	}
	return b.content
}
