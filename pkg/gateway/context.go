package gateway

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/touchstone-id/touchstone/pkg/apim/expr"
)

// context is what an expression sees of this request. Bodies are read when an
// expression asks for them. What stays the same is made once.
func (r *run) context() *expr.Context {
	if r.seen == nil {
		r.seen = r.newContext()
	}
	c := r.seen
	c.LastError, c.Response, c.Request = r.lastError, nil, r.requestSeen()
	if r.response != nil {
		c.Response = r.response.seen()
	}
	return c
}

func (r *run) newContext() *expr.Context {
	c := &expr.Context{Variables: r.variables, RequestID: r.id, Timestamp: r.now, Now: r.gateway.options.Now, Deployment: r.gateway.deployment, Roots: r.gateway.roots, Subscription: r.subscription}
	if r.gateway.traces != nil {
		c.Trace = func(message string) { r.note(step{Policy: "context.Trace", Result: resultPassed, Message: message}) }
	}
	if r.api != nil {
		c.API = &expr.API{ID: r.api.Name, Name: r.api.Name, Path: r.api.Path, Revision: "1", IsCurrentRevision: true, ServiceURL: r.api.backend}
	}
	if r.product != nil {
		c.Product = &expr.Product{ID: r.product.Name, Name: r.product.Name, State: "Published", SubscriptionRequired: !r.product.Open}
	}
	if r.operation != nil {
		c.Operation = &expr.Operation{ID: r.operation.Name, Name: r.operation.Name, Method: r.operation.Method, URLTemplate: r.operation.URLTemplate}
	}
	return c
}

// requestSeen is context.Request: Url is where the request goes, OriginalUrl
// where it came.
func (r *run) requestSeen() *expr.Request {
	if r.request.payload == nil {
		r.request.payload = expr.LazyBody(r.request.load)
	}
	if r.requested == nil {
		r.requested = &expr.Request{IPAddress: r.remote, MatchedParameters: r.parameters, OriginalURL: r.original(), Target: r.target}
		if tls := r.client.TLS; tls != nil && len(tls.PeerCertificates) > 0 {
			r.requested.Certificate = tls.PeerCertificates[0]
		}
	}
	r.requested.Method, r.requested.Header, r.requested.Body = r.request.method, r.request.header, r.request.payload
	return r.requested
}

// original is the URL that the client called.
func (r *run) original() *url.URL {
	u := *r.client.URL
	u.Scheme, u.Host = "http", r.client.Host
	if r.client.TLS != nil {
		u.Scheme = "https"
	}
	return &u
}

// target is the URL that the backend is called at.
func (r *run) target() *url.URL {
	if r.request.backend == nil {
		return r.original()
	}
	u := *r.request.backend
	u.RawQuery = r.request.rawQuery
	u.RawPath = strings.TrimSuffix(u.EscapedPath(), "/") + r.request.path
	if path, err := url.PathUnescape(u.RawPath); err == nil {
		u.Path = path
	}
	return &u
}

// load reads the request's body for an expression.
func (q *request) load() ([]byte, error) {
	if q.body == nil {
		return nil, nil
	}
	return io.ReadAll(q.body)
}

// settle puts what an expression left of the body back: nothing when it did
// not preserve the content.
func (q *request) settle() {
	if content, read := q.payload.Read(); read {
		q.body, q.length = bytes.NewReader(content), int64(len(content))
	}
}

// errTooLarge is a response too large for an expression to read.
var errTooLarge = errors.New("the body is larger than 4 MiB")

// seen is context.Response.
func (a *response) seen() *expr.Response {
	if a.payload == nil {
		a.payload = expr.LazyBody(a.load)
	}
	reason := a.reason
	if reason == "" {
		reason = http.StatusText(a.status)
	}
	return &expr.Response{StatusCode: a.status, StatusReason: reason, Header: a.header, Body: a.payload}
}

// load reads the response's body for an expression.
func (a *response) load() ([]byte, error) {
	if a.stream == nil {
		return a.body, nil
	}
	defer func() { a.stream = nil }()
	defer a.stream.Close()
	content, err := io.ReadAll(io.LimitReader(a.stream, maxBody+1))
	if err == nil && len(content) > maxBody {
		err = errTooLarge
	}
	a.body = content
	return content, err
}

// settle puts what an expression left of the body back.
func (a *response) settle() {
	if content, read := a.payload.Read(); read {
		a.body = content
		a.header.Del("Content-Length")
	}
}
