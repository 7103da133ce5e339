package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/touchstone-id/touchstone/pkg/apim"
)

// defaultTimeout is how long a backend may take, as in API Management.
const defaultTimeout = 300 * time.Second

// compileForwardRequest compiles forward-request.
func compileForwardRequest(c *compiler, e apim.Element, p *policy) {
	// buffer-response changes nothing here: answers stream, and are read when asked for.
	c.unimplemented(e, "continue-timeout", "http-version")
	fails, _ := apim.Bool(e.Value("fail-on-error-status-code"))
	if _, both := e.Attribute("timeout-ms"); both && e.Value("timeout") != "" {
		c.fault(e, "timeout and timeout-ms exclude each other")
	}
	seconds, milliseconds := c.attribute(e, "timeout", "0"), c.attribute(e, "timeout-ms", "0")
	redirects := c.attribute(e, "follow-redirects", "false")
	buffers, _ := apim.Bool(e.Value("buffer-request-body"))
	p.act = func(r *run) error {
		timeout, err := duration(r, seconds, milliseconds, defaultTimeout)
		if err != nil {
			return err
		}
		follow, err := redirects.boolean(r)
		if err == nil && buffers {
			err = r.buffered()
		}
		if err != nil {
			return err
		}
		if err = r.forward(timeout, follow); err != nil || !fails || r.response.status < http.StatusBadRequest {
			return err
		}
		return refused(http.StatusInternalServerError, "BackendConnectionFailure", fmt.Sprintf("The backend answered %d.", r.response.status), "Internal server error")
	}
}

// forward sends the request to the backend and keeps its response. The body
// streams in both directions.
func (r *run) forward(timeout time.Duration, follow bool) error {
	target := *r.request.backend
	target.RawQuery = r.request.rawQuery
	base := strings.TrimSuffix(target.EscapedPath(), "/")
	target.RawPath = base + r.request.path
	var err error
	if target.Path, err = url.PathUnescape(target.RawPath); err != nil {
		return fmt.Errorf("the backend's path cannot be read")
	}
	ctx, cancel := context.WithTimeout(r.client.Context(), timeout)
	r.request.settle()
	out, err := http.NewRequestWithContext(ctx, r.request.method, target.String(), r.request.body)
	if err != nil {
		cancel()
		return fmt.Errorf("the request to the backend cannot be made")
	}
	out.Header = r.request.header.Clone()
	out.Header.Set("X-Forwarded-For", r.remote)
	if _, named := out.Header["User-Agent"]; !named {
		out.Header.Set("User-Agent", "") // so that net/http does not name itself
	}
	if out.ContentLength = r.request.length; out.ContentLength == 0 {
		out.Body = http.NoBody
	}
	client := &http.Client{Transport: r.gateway.forwarder, CheckRedirect: func(_ *http.Request, via []*http.Request) error {
		if !follow || len(via) >= 10 {
			return http.ErrUseLastResponse
		}
		return nil
	}}
	answer, err := client.Do(out)
	if err != nil {
		cancel()
		return r.unreachable(err)
	}
	removeHopByHop(answer.Header)
	r.discard()
	r.response = &response{status: answer.StatusCode, reason: http.StatusText(answer.StatusCode), header: answer.Header, stream: &cancelling{answer.Body, cancel}}
	return nil
}

// unreachable says why the backend gave no answer.
func (r *run) unreachable(err error) error {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return refused(http.StatusRequestEntityTooLarge, "RequestTooLarge", "The request body is larger than 4 MiB.", "The request body is larger than 4 MiB.")
	}
	r.gateway.options.Log.Warn().Err(errors.Unwrap(err)).Str("id", r.id).Str("api", r.api.Name).Msg("the backend does not answer")
	reason := "BackendConnectionFailure"
	if errors.Is(err, context.DeadlineExceeded) {
		reason = "Timeout"
	}
	return refused(http.StatusInternalServerError, reason, "The backend does not answer.", "Internal server error")
}

// cancelling ends the request's context with the body.
type cancelling struct {
	body interface {
		Read([]byte) (int, error)
		Close() error
	}
	cancel context.CancelFunc
}

func (c *cancelling) Read(p []byte) (int, error) { return c.body.Read(p) }

func (c *cancelling) Close() error {
	defer c.cancel()
	return c.body.Close()
}

// compileSetBackendService compiles set-backend-service with base-url.
func compileSetBackendService(c *compiler, e apim.Element, p *policy) {
	c.unimplemented(e, "backend-id", "sf-resolve-condition", "sf-service-instance-name", "sf-partition-key", "sf-listener-name", "sf-replica-type", "dapr-app-id", "dapr-method", "dapr-namespace")
	base := c.attribute(e, "base-url", "")
	if _, err := backendURL(base.literal); base.isLiteral() && err != nil {
		c.fault(e, "%s", err)
	}
	p.act = func(r *run) error {
		text, err := base.text(r)
		if err != nil {
			return err
		}
		u, err := backendURL(text)
		if err == nil {
			r.request.backend = u
		}
		return err
	}
}

func backendURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil {
		return nil, fmt.Errorf("base-url is not an http or https URL")
	}
	return u, nil
}

// compileRewriteURI compiles rewrite-uri: {name} stands for a parameter of the
// operation's template.
func compileRewriteURI(c *compiler, e apim.Element, p *policy) {
	template, copied := c.attribute(e, "template", ""), c.attribute(e, "copy-unmatched-params", "true")
	p.act = func(r *run) error {
		text, err := template.text(r)
		if err != nil {
			return err
		}
		keep, err := copied.boolean(r)
		if err != nil {
			return err
		}
		path, query, _ := strings.Cut(text, "?")
		for name, v := range r.parameters {
			path = strings.ReplaceAll(path, "{"+name+"}", url.PathEscape(v))
			query = strings.ReplaceAll(query, "{"+name+"}", url.QueryEscape(v))
		}
		rewritten := &url.URL{RawPath: path}
		if rewritten.Path, err = url.PathUnescape(path); err != nil || !strings.HasPrefix(path, "/") || strings.ContainsAny(path+query, "{}") {
			return fmt.Errorf("the template %q does not make a path", text)
		}
		if _, ok := segments(rewritten); !ok {
			return fmt.Errorf("the template %q makes a path that can be read in two ways", text)
		}
		if keep && r.request.rawQuery != "" {
			query = strings.TrimPrefix(query+"&"+r.request.rawQuery, "&")
		}
		r.request.path, r.request.rawQuery = path, query
		return nil
	}
}
