package expr

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"time"
)

func (*Context) kind() string      { return "IProxyRequestContext" }
func (*Request) kind() string      { return "IRequest" }
func (*Response) kind() string     { return "IResponse" }
func (*LastError) kind() string    { return "LastError" }
func (*API) kind() string          { return "IApi" }
func (*Operation) kind() string    { return "IOperation" }
func (*Product) kind() string      { return "IProduct" }
func (*Subscription) kind() string { return "ISubscription" }
func (*Deployment) kind() string   { return "IDeployment" }
func (*User) kind() string         { return "IUser" }
func (*Body) kind() string         { return "IMessageBody" }
func (e *Exception) kind() string  { return e.Type[strings.LastIndexByte(e.Type, '.')+1:] }

// nullable turns a nil pointer into null.
func nullable[T any](p *T) Value {
	if p == nil {
		return nil
	}
	return p
}

// on reads a text member of a receiver of type *T.
func on[T any](f func(*T) string) member {
	return prop("string", func(c call) Value {
		text := f(c.on.(*T))
		return text
	})
}

// headers shows a header: names ignore case, values join with commas.
func headers(h http.Header) *dict {
	return &dict{joins: true, folds: true, fixed: true, look: func(name string) (Value, bool) {
		values, ok := h[http.CanonicalHeaderKey(name)]
		return texts(values), ok
	}, list: func(d *dict) {
		for name, values := range h {
			d.set(name, texts(values))
		}
	}}
}

func link(u *url.URL) Value {
	if u == nil {
		return nil
	}
	return &uri{u, "IUrl"}
}

func addContext() {
	k := define("IProxyRequestContext")
	env := func(result string, f func(*Context) Value) member {
		return prop(result, func(c call) Value { return f(c.m.env) })
	}
	k.instance["Request"] = env("IRequest", func(c *Context) Value { return nullable(c.Request) })
	k.instance["Response"] = env("IResponse", func(c *Context) Value { return nullable(c.Response) })
	k.instance["LastError"] = env("LastError", func(c *Context) Value { return nullable(c.LastError) })
	k.instance["Api"] = env("IApi", func(c *Context) Value { return nullable(c.API) })
	k.instance["Operation"] = env("IOperation", func(c *Context) Value { return nullable(c.Operation) })
	k.instance["Product"] = env("IProduct", func(c *Context) Value { return nullable(c.Product) })
	k.instance["Subscription"] = env("ISubscription", func(c *Context) Value { return nullable(c.Subscription) })
	k.instance["Deployment"] = env("IDeployment", func(c *Context) Value { return nullable(c.Deployment) })
	k.instance["User"] = env("IUser", func(c *Context) Value { return nullable(c.User) })
	k.instance["Timestamp"] = env("DateTime", func(c *Context) Value { return DateTime{c.Timestamp.UTC()} })
	k.instance["Elapsed"] = env("TimeSpan", func(c *Context) Value { return between(c.Timestamp, c.now()) })
	k.instance["Tracing"] = env("bool", func(c *Context) Value { return c.Trace != nil })
	k.instance["RequestId"] = env("Guid", func(c *Context) Value { g, _ := parseGuid(c.RequestID); return g })
	k.instance["Variables"] = env("Dictionary<string,object>", func(c *Context) Value {
		return &dict{fixed: true, look: func(name string) (Value, bool) { v, ok := c.Variables[name]; return v, ok }, list: func(d *dict) {
			for name, v := range c.Variables {
				d.set(name, v)
			}
		}}
	})
	k.instance["Trace"] = method(1, 1, "", func(c call) Value {
		if c.m.env.Trace != nil {
			c.m.env.Trace(Text(c.args[0]))
		}
		return nil
	})
	addMessages()
	addSurroundings()
	addExceptions()
}

func addMessages() {
	q, p := define("IRequest"), define("IResponse")
	of := func(c call) *Request { return c.on.(*Request) }
	q.instance["Method"] = on(func(r *Request) string { return r.Method })
	q.instance["IpAddress"] = on(func(r *Request) string { return r.IPAddress })
	q.instance["Url"] = prop("IUrl", func(c call) Value { return link(of(c).Target()) })
	q.instance["OriginalUrl"] = prop("IUrl", func(c call) Value { return link(of(c).OriginalURL) })
	q.instance["Headers"] = prop("Dictionary<string,string[]>", func(c call) Value { return headers(of(c).Header) })
	q.instance["Body"] = prop("IMessageBody", func(c call) Value { return nullable(of(c).Body) })
	q.instance["Certificate"] = prop("X509Certificate2", func(c call) Value { return nullable(of(c).Certificate) })
	q.instance["MatchedParameters"] = prop("Dictionary<string,string>", func(c call) Value {
		d := &dict{values: map[Value]Value{}, folds: true, fixed: true}
		for name, v := range of(c).MatchedParameters {
			d.set(name, v)
		}
		return d
	})
	p.instance["StatusCode"] = prop("int", func(c call) Value { return int32(c.on.(*Response).StatusCode) })
	p.instance["StatusReason"] = on(func(r *Response) string { return r.StatusReason })
	p.instance["Headers"] = prop("Dictionary<string,string[]>", func(c call) Value { return headers(c.on.(*Response).Header) })
	p.instance["Body"] = prop("IMessageBody", func(c call) Value { return nullable(c.on.(*Response).Body) })
	b := define("IMessageBody")
	b.instance["As"] = method(0, 1, "T", func(c call) Value {
		content, ok := c.on.(*Body).take(c.flag(0, false))
		if !ok {
			return nil
		}
		c.m.room(len(content))
		switch base(c.typ()) {
		case "string":
			return strings.ToValidUTF8(string(content), "\uFFFD")
		case "byte[]":
			return content
		case "JObject", "JArray", "JToken":
			return cast(c.m, parseJSON(c.m, string(content)), c.typ(), false)
		}
		throw("System.NotSupportedException", "As<%s> is not implemented by this gateway.", c.typ())
		return nil
	})
	b.instance["AsFormUrlEncodedContent"] = method(0, 1, "Dictionary<string,string[]>", func(c call) Value {
		content, ok := c.on.(*Body).take(c.flag(0, false))
		if !ok {
			return nil
		}
		c.m.room(2 * len(content))
		values, err := url.ParseQuery(string(content))
		if err != nil {
			throwFormat()
		}
		return valuesDict(values)
	})
}

func addSurroundings() {
	e := define("LastError")
	for name, f := range map[string]func(*LastError) string{"Source": func(e *LastError) string { return e.Source }, "Reason": func(e *LastError) string { return e.Reason }, "Message": func(e *LastError) string { return e.Message },
		"Scope": func(e *LastError) string { return e.Scope }, "Section": func(e *LastError) string { return e.Section }, "Path": func(e *LastError) string { return e.Path }, "PolicyId": func(e *LastError) string { return e.PolicyID }} {
		e.instance[name] = on(f)
	}
	a := define("IApi")
	for name, f := range map[string]func(*API) string{"Id": func(a *API) string { return a.ID }, "Name": func(a *API) string { return a.Name }, "Path": func(a *API) string { return a.Path },
		"Revision": func(a *API) string { return a.Revision }, "Version": func(a *API) string { return a.Version }} {
		a.instance[name] = on(f)
	}
	a.instance["IsCurrentRevision"] = prop("bool", func(c call) Value { return c.on.(*API).IsCurrentRevision })
	a.instance["ServiceUrl"] = prop("IUrl", func(c call) Value { return link(c.on.(*API).ServiceURL) })
	o := define("IOperation")
	o.instance["Id"], o.instance["Name"] = on(func(o *Operation) string { return o.ID }), on(func(o *Operation) string { return o.Name })
	o.instance["Method"], o.instance["UrlTemplate"] = on(func(o *Operation) string { return o.Method }), on(func(o *Operation) string { return o.URLTemplate })
	p := define("IProduct")
	p.instance["Id"], p.instance["Name"] = on(func(p *Product) string { return p.ID }), on(func(p *Product) string { return p.Name })
	p.instance["State"] = on(func(p *Product) string { return p.State })
	p.instance["ApprovalRequired"] = prop("bool", func(c call) Value { return c.on.(*Product).ApprovalRequired })
	p.instance["SubscriptionRequired"] = prop("bool", func(c call) Value { return c.on.(*Product).SubscriptionRequired })
	s := define("ISubscription")
	s.instance["Id"], s.instance["Name"] = on(func(s *Subscription) string { return s.ID }), on(func(s *Subscription) string { return s.Name })
	s.instance["Key"] = on(func(s *Subscription) string { return s.Key.Reveal() })
	s.instance["PrimaryKey"], s.instance["SecondaryKey"] = on(func(s *Subscription) string { return s.PrimaryKey.Reveal() }), on(func(s *Subscription) string { return s.SecondaryKey.Reveal() })
	for name, f := range map[string]func(*Subscription) *time.Time{"CreatedDate": func(s *Subscription) *time.Time { return s.CreatedDate }, "StartDate": func(s *Subscription) *time.Time { return s.StartDate }, "EndDate": func(s *Subscription) *time.Time { return s.EndDate }} {
		s.instance[name] = prop("", func(c call) Value { return instant(f(c.on.(*Subscription))) })
	}
	d := define("IDeployment")
	d.instance["GatewayId"], d.instance["Region"] = on(func(d *Deployment) string { return d.GatewayID }), on(func(d *Deployment) string { return d.Region })
	d.instance["ServiceId"], d.instance["ServiceName"] = on(func(d *Deployment) string { return d.ServiceID }), on(func(d *Deployment) string { return d.ServiceName })
	d.instance["Certificates"] = prop("Dictionary<string,X509Certificate2>", func(c call) Value {
		out := &dict{values: map[Value]Value{}, fixed: true}
		for id, cert := range c.on.(*Deployment).Certificates {
			out.set(id, cert)
		}
		return out
	})
	u := define("IUser")
	u.instance["Id"], u.instance["Email"] = on(func(u *User) string { return u.ID }), on(func(u *User) string { return u.Email })
	u.instance["FirstName"], u.instance["LastName"] = on(func(u *User) string { return u.FirstName }), on(func(u *User) string { return u.LastName })
	u.instance["Note"] = on(func(u *User) string { return u.Note })
	u.instance["RegistrationDate"] = prop("DateTime", func(c call) Value { return DateTime{c.on.(*User).RegistrationDate.UTC()} })
}

// instant turns an optional time into DateTime?.
func instant(t *time.Time) Value {
	if t == nil {
		return nil
	}
	return DateTime{t.UTC()}
}

func addExceptions() {
	for _, name := range []string{"Exception", "ArgumentException", "InvalidOperationException", "FormatException", "NullReferenceException", "KeyNotFoundException", "InvalidCastException",
		"ArgumentNullException", "JsonReaderException", "OverflowException", "IndexOutOfRangeException"} {
		k := define(name)
		full := "System." + name
		create := method(0, 2, name, func(c call) Value {
			e := &Exception{Type: full, Message: "Exception of type '" + full + "' was thrown."}
			if c.has(0) {
				e.Message = Text(c.args[0])
			}
			return e
		})
		k.create = &create
		k.instance["Message"] = on(func(e *Exception) string { return e.Message })
		k.instance["InnerException"] = prop("Exception", func(call) Value { return nil })
		k.instance["StackTrace"] = on(func(*Exception) string { return "" })
	}
}

func addJwt() {
	k := define("Jwt")
	k.instance["Algorithm"], k.instance["Id"] = on(func(j *Jwt) string { return j.Algorithm }), on(func(j *Jwt) string { return j.ID })
	k.instance["Issuer"], k.instance["Subject"] = on(func(j *Jwt) string { return j.Issuer }), on(func(j *Jwt) string { return j.Subject })
	k.instance["Type"] = on(func(j *Jwt) string { return j.Type })
	k.instance["Audiences"] = prop("IEnumerable<string>", func(c call) Value {
		l := texts(c.on.(*Jwt).Audiences)
		l.of = "IEnumerable"
		return l
	})
	k.instance["Claims"] = prop("Dictionary<string,string[]>", func(c call) Value { return c.on.(*Jwt).shown })
	k.instance["ExpirationTime"] = prop("", func(c call) Value { return instant(c.on.(*Jwt).ExpirationTime) })
	k.instance["IssuedAt"] = prop("", func(c call) Value { return instant(c.on.(*Jwt).IssuedAt) })
	k.instance["NotBefore"] = prop("", func(c call) Value { return instant(c.on.(*Jwt).NotBefore) })
	s := define("string")
	s.instance["AsJwt"] = method(0, 0, "Jwt", func(c call) Value { return nullable(asJwt(c)) })
	s.instance["TryParseJwt"] = method(1, 1, "bool", func(c call) Value {
		j := asJwt(c)
		c.out(0)(nullable(j))
		return j != nil
	})
	basic := define("BasicAuthCredentials")
	basic.instance["UserId"] = prop("string", func(c call) Value { return c.on.(*object).fields["UserId"] })
	basic.instance["Password"] = prop("string", func(c call) Value { return c.on.(*object).fields["Password"] })
	basic.instance["Username"] = basic.instance["UserId"]
	s.instance["AsBasic"] = method(0, 0, "BasicAuthCredentials", func(c call) Value { return nullable(asBasic(c)) })
	s.instance["TryParseBasic"] = method(1, 1, "bool", func(c call) Value {
		b := asBasic(c)
		c.out(0)(nullable(b))
		return b != nil
	})
	define("ExpressionSyntaxExtensions")
}

// asJwt reads a token, with or without the word Bearer. It trusts nothing.
func asJwt(c call) *Jwt {
	text, _ := c.on.(string)
	if scheme, token, two := strings.Cut(strings.TrimSpace(text), " "); two && strings.EqualFold(scheme, "Bearer") {
		text = strings.TrimSpace(token)
	}
	c.m.room(3 * len(text))
	j, err := ParseJwt(text)
	if err != nil {
		return nil
	}
	return j
}

// asBasic reads credentials of RFC 7617.
func asBasic(c call) *object {
	text, _ := c.on.(string)
	scheme, encoded, two := strings.Cut(strings.TrimSpace(text), " ")
	decoded, err := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
	user, password, colon := strings.Cut(string(decoded), ":")
	if !two || !strings.EqualFold(scheme, "Basic") || err != nil || !colon {
		return nil
	}
	return &object{kind: "BasicAuthCredentials", fields: map[string]Value{"UserId": user, "Password": password}, text: "BasicAuthCredentials"}
}
