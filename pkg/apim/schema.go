package apim

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// attribute says what an attribute may hold. An expression may stand for any
// value unless the attribute is literal.
type attribute struct {
	name     string
	required bool
	literal  bool
	form     *regexp.Regexp
	wants    string
}

var (
	integerForm = regexp.MustCompile(`^[+-]?\d+$`)
	booleanForm = regexp.MustCompile(`^(true|false|1|0)$`)
	numberForm  = regexp.MustCompile(`^[+-]?\d+(\.\d+)?$`)
)

func text(name string) attribute { return attribute{name: name} }
func integer(name string) attribute {
	return attribute{name: name, form: integerForm, wants: "a whole number"}
}
func boolean(name string) attribute {
	return attribute{name: name, form: booleanForm, wants: "true or false, in lower case"}
}
func oneOf(name string, words ...string) attribute {
	return attribute{name: name, form: regexp.MustCompile("^(" + strings.Join(words, "|") + ")$"), wants: "one of " + strings.Join(words, ", ")}
}
func (a attribute) must() attribute { a.required = true; return a }

// fixed refuses expressions; named values are substituted before anyone looks.
func (a attribute) fixed() attribute { a.literal = true; return a }

// schema is what an element may hold.
type schema struct {
	attributes []attribute
	children   []child
	// ordered: the children must come in the order listed (xs:sequence).
	ordered bool
	// policies: the children are policies of the enclosing section.
	policies bool
	// text: character data may stand inside.
	text bool
}

// child is an element that may stand in another.
type child struct {
	name string
	// must: at least one; once: at most one.
	must, once bool
	schema     schema
}

// definition is one policy: where it may stand and what it holds.
type definition struct {
	sections []Section
	schema   schema
}

var textual = schema{text: true}

var (
	inboundOnly = []Section{Inbound}
	everywhere  = Sections()
)

// statusSchema and headerSchema stand as policies and inside return-response.
var (
	statusSchema = schema{attributes: []attribute{integer("code"), text("reason")}}
	headerSchema = schema{attributes: []attribute{text("name").must(), oneOf("exists-action", "override", "skip", "append", "delete")},
		children: []child{{"value", false, false, textual}}}
	bodySchema = schema{attributes: []attribute{oneOf("template", "none", "liquid").fixed(), oneOf("xsi-nil", "blank", "null").fixed(), boolean("parse-date").fixed()}, text: true}
)

// definitions are the policies whose content is checked, from the reference of
// API Management and its published schema. Every policy also takes id.
var definitions = map[string]definition{
	"base": {everywhere, schema{}},
	"validate-jwt": {inboundOnly, schema{
		attributes: []attribute{text("header-name"), text("query-parameter-name"), text("token-value"), integer("failed-validation-httpcode"),
			text("failed-validation-error-message"), boolean("require-expiration-time"), text("require-scheme"), boolean("require-signed-tokens"),
			integer("clock-skew"), text("output-token-variable-name").fixed()},
		ordered: true,
		children: []child{
			{"openid-config", false, false, schema{attributes: []attribute{text("url").must(), boolean("validate-connectivity").fixed()}}},
			{"issuer-signing-tokens", false, true, schema{children: []child{{"token", false, false, textual}}}},
			{"issuer-signing-keys", false, true, schema{children: []child{{"key", false, false, keySchema}, {"zumo-master-key", false, false, schema{attributes: []attribute{text("id")}, text: true}}}}},
			{"decryption-keys", false, true, schema{children: []child{{"key", true, false, schema{attributes: []attribute{text("id"), text("certificate-id")}, text: true}}}}},
			{"audiences", false, true, schema{children: []child{{"audience", false, false, textual}}}},
			{"issuers", false, true, schema{children: []child{{"issuer", false, false, textual}}}},
			{"required-claims", false, true, schema{children: []child{{"claim", false, false, schema{
				attributes: []attribute{text("name").must(), oneOf("match", "all", "any"), text("separator")},
				children:   []child{{"value", false, false, textual}}}}}}},
		}}},
	"cors": {inboundOnly, schema{
		attributes: []attribute{boolean("allow-credentials"), boolean("terminate-unmatched-request")},
		children: []child{
			{"allowed-origins", true, true, schema{children: []child{{"origin", true, false, textual}}}},
			{"allowed-methods", false, true, schema{attributes: []attribute{integer("preflight-result-max-age")}, children: []child{{"method", true, false, textual}}}},
			{"allowed-headers", false, true, schema{children: []child{{"header", true, false, textual}}}},
			{"expose-headers", false, true, schema{children: []child{{"header", true, false, textual}}}},
		}}},
	"choose": {everywhere, schema{ordered: true, children: []child{
		{"when", true, false, schema{attributes: []attribute{boolean("condition").must()}, policies: true}},
		{"otherwise", false, true, schema{policies: true}}}}},
	"check-header": {inboundOnly, schema{
		attributes: []attribute{text("name").must(), integer("failed-check-httpcode").must(), text("failed-check-error-message"), boolean("ignore-case")},
		children:   []child{{"value", false, false, textual}}}},
	"ip-filter": {inboundOnly, schema{attributes: []attribute{oneOf("action", "allow", "forbid").must()}, children: []child{
		{"address", false, false, textual}, {"address-range", false, false, schema{attributes: []attribute{text("from").must(), text("to").must()}}}}}},
	"rate-limit-by-key": {inboundOnly, schema{attributes: []attribute{integer("calls").must(), integer("renewal-period").must(), text("counter-key").must(),
		boolean("increment-condition"), integer("increment-count"), boolean("increment-after-response").fixed(), boolean("flexible-retry-window").fixed(),
		text("retry-after-header-name"), text("retry-after-variable-name"), text("remaining-calls-header-name"), text("remaining-calls-variable-name"), text("total-calls-header-name")}}},
	"rewrite-uri":         {inboundOnly, schema{attributes: []attribute{text("template").must(), boolean("copy-unmatched-params")}}},
	"set-backend-service": {[]Section{Inbound, Backend}, schema{attributes: []attribute{text("base-url"), text("backend-id"), text("sf-resolve-condition"), text("sf-service-instance-name"), text("sf-partition-key"), text("sf-listener-name"), oneOf("sf-replica-type", "primary", "secondary"), text("dapr-app-id"), text("dapr-method"), text("dapr-namespace")}}},
	"set-query-parameter": {[]Section{Inbound, Backend}, headerSchema},
	"forward-request": {[]Section{Backend}, schema{attributes: []attribute{integer("timeout"), integer("timeout-ms"), integer("continue-timeout"), boolean("follow-redirects"),
		boolean("buffer-request-body").fixed(), boolean("buffer-response").fixed(), boolean("fail-on-error-status-code").fixed(), text("http-version")}}},
	"set-body":         {[]Section{Inbound, Backend, Outbound}, bodySchema},
	"set-method":       {[]Section{Inbound, OnError}, textual},
	"set-variable":     {everywhere, schema{attributes: []attribute{text("name").must(), text("value").must()}}},
	"set-header":       {everywhere, headerSchema},
	"set-status":       {everywhere, statusSchema},
	"include-fragment": {everywhere, schema{attributes: []attribute{text("fragment-id").must().fixed()}}},
	"return-response": {everywhere, schema{attributes: []attribute{text("response-variable-name")}, ordered: true,
		children: []child{{"set-status", false, true, statusSchema}, {"set-header", false, false, headerSchema}, {"set-body", false, true, bodySchema}}}},
	"trace": {everywhere, schema{attributes: []attribute{text("source").must().fixed(), oneOf("severity", "verbose", "information", "error").fixed()},
		children: []child{{"message", false, true, textual}, {"metadata", false, false, schema{attributes: []attribute{text("name").must(), text("value").must()}}}}, text: true}},
}

// keySchema is <key> inside issuer-signing-keys. n and e take no expressions.
var keySchema = schema{attributes: []attribute{text("id"), text("certificate-id"), text("n").fixed(), text("e").fixed()}, text: true}

// otherPolicies are policies that exist, with the sections they may stand in;
// their content is not checked.
var otherPolicies = map[string][]Section{
	"validate-azure-ad-token": inboundOnly, "validate-client-certificate": inboundOnly, "rate-limit": inboundOnly, "quota": inboundOnly,
	"quota-by-key": inboundOnly, "authentication-basic": inboundOnly, "authentication-certificate": inboundOnly,
	"authentication-managed-identity": inboundOnly, "get-authorization-context": inboundOnly, "cache-lookup": inboundOnly,
	"wait": {Inbound, Backend, Outbound}, "send-request": everywhere, "send-one-way-request": everywhere, "emit-metric": everywhere,
	"retry": everywhere, "limit-concurrency": everywhere, "find-and-replace": everywhere, "log-to-eventhub": everywhere,
	"cache-lookup-value": everywhere, "cache-store-value": everywhere, "cache-remove-value": everywhere, "cache-store": {Outbound}, "jsonp": {Outbound},
	"mock-response": everywhere, "json-to-xml": everywhere, "xml-to-json": everywhere, "validate-content": everywhere, "validate-parameters": inboundOnly,
	"validate-headers": {Outbound, OnError}, "validate-status-code": {Outbound, OnError}, "proxy": inboundOnly, "redirect-content-urls": everywhere,
	"validate-graphql-request": inboundOnly, "validate-odata-request": inboundOnly, "llm-content-safety": inboundOnly, "azure-openai-token-limit": inboundOnly,
}

// childOf returns the child of that name and its place in the order.
func (s schema) childOf(name string) (child, int) {
	i := slices.IndexFunc(s.children, func(c child) bool { return c.name == name })
	if i < 0 {
		return child{}, -1
	}
	return s.children[i], i
}

func (s schema) names() []string {
	names := make([]string, len(s.children))
	for i, c := range s.children {
		names[i] = "<" + c.name + ">"
	}
	return names
}

// Bool reads an xs:boolean: true, false, 1 or 0.
func Bool(text string) (value, ok bool) {
	return text == "true" || text == "1", booleanForm.MatchString(text)
}

// Int reads a whole number of the range that policies use.
func Int(text string) (int, bool) {
	n, err := strconv.ParseInt(text, 10, 32)
	return int(n), err == nil
}
