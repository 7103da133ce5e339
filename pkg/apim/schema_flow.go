package apim

// flowDefinitions are the policies that call, wait, count, cache and rewrite
// bodies.
var flowDefinitions = map[string]definition{
	"send-request": {everywhere, schema{
		attributes: []attribute{oneOf("mode", "new", "copy"), text("response-variable-name").fixed(), integer("timeout"), integer("timeout-ms"), boolean("ignore-error"),
			boolean("buffer-response").fixed(), boolean("fail-on-error-status-code").fixed()},
		ordered: true,
		children: []child{{"set-url", false, true, textual}, {"set-method", false, true, textual}, {"set-header", false, false, headerSchema}, {"set-body", false, true, bodySchema},
			{"authentication-certificate", false, true, schema{attributes: []attribute{text("thumbprint"), text("certificate-id"), text("body"), text("password")}}},
			{"authentication-token", false, true, schema{attributes: []attribute{text("resource")}}}, {"authentication-managed-identity", false, true, schema{attributes: []attribute{text("resource"), text("client-id"), text("output-token-variable-name"), boolean("ignore-error")}}},
			{"proxy", false, true, schema{attributes: []attribute{text("url").must(), text("username"), text("password")}}}}}},
	"cache-lookup-value": {everywhere, schema{attributes: []attribute{text("key").must(), text("default-value"), text("variable-name").must().fixed(), cachingType}}},
	"cache-store-value":  {everywhere, schema{attributes: []attribute{text("key").must(), text("value").must(), integer("duration").must(), cachingType}}},
	"cache-remove-value": {everywhere, schema{attributes: []attribute{text("key").must(), cachingType}}},
	"quota-by-key": {inboundOnly, schema{attributes: []attribute{integer("calls"), integer("bandwidth"), text("counter-key").must(), integer("renewal-period"), text("first-period-start").fixed(),
		boolean("increment-condition"), integer("increment-count")}}},
	"retry": {everywhere, schema{attributes: []attribute{boolean("condition").must(), integer("count").must(), integer("interval").must(), integer("max-interval"), integer("delta"), boolean("first-fast-retry")},
		policies: true}},
	"limit-concurrency": {everywhere, schema{attributes: []attribute{text("key").must(), integer("max-count").must().fixed()}, policies: true}},
	"wait":              {[]Section{Inbound, Backend, Outbound}, schema{attributes: []attribute{oneOf("for", "all", "any").must()}, policies: true}},
	"find-and-replace":  {everywhere, schema{attributes: []attribute{text("from").must(), text("to")}}},
	"emit-metric": {everywhere, schema{attributes: []attribute{text("name").must(), text("namespace").fixed(), {name: "value", form: numberForm, wants: "a number"}, boolean("default-dimensions").fixed()},
		children: []child{{"dimension", false, false, schema{attributes: []attribute{text("name").must(), text("value")}}}}}},
	"validate-client-certificate": {inboundOnly, schema{
		attributes: []attribute{boolean("validate-revocation").fixed(), boolean("validate-trust").fixed(), boolean("validate-not-before").fixed(), boolean("validate-not-after").fixed(), boolean("ignore-error").fixed()},
		children: []child{{"identities", false, true, schema{children: []child{{"identity", true, false, schema{attributes: []attribute{text("thumbprint"), text("serial-number"), text("common-name"),
			text("subject"), text("dns-name"), text("issuer-subject"), text("issuer-thumbprint"), text("issuer-certificate-id")}}}}}}}}},
}

// cachingType says which cache; this gateway has an internal one.
var cachingType = oneOf("caching-type", "prefer-external", "internal", "external").fixed()

func init() {
	for name, d := range flowDefinitions {
		definitions[name] = d
		delete(otherPolicies, name)
	}
}
