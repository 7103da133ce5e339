import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { enrol, learnAttestation, running, shoot } from "./scene.js";
import { directory, freePort, launch, metadata, person, root, start } from "./touchstone.js";

let browser;

before(async () => { browser = await launch(); });

after(async () => browser?.close());

const run = promisify(execFile);

test("the token bench says why each token is refused, and its curl fails for that", async (t) => {
	const touchstone = await running(t);
	const p = await person(browser, { permissions: ["clipboard-read", "clipboard-write"] });
	const page = p.page, list = page.locator("#judgementlist");
	await page.goto(touchstone.issuer + "/playground");
	await page.getByRole("heading", { name: "Token bench" }).waitFor();
	await shoot(page, "bench");
	const make = async (operation, ...flaws) => {
		await page.getByLabel("For the operation").selectOption({ label: operation });
		for (const box of await page.getByRole("checkbox").all()) await box.setChecked(flaws.includes(await box.inputValue()));
		const judged = page.waitForResponse((r) => r.url().endsWith("/explain"));
		await page.getByRole("button", { name: "Make it and check it" }).click();
		await judged;
		await list.locator("li").first().waitFor();
	};
	const curl = async () => {
		await list.locator("li").first().getByRole("button", { name: /curl/ }).click();
		const command = await page.evaluate(() => navigator.clipboard.readText());
		return (await run("sh", ["-c", command])).stdout;
	};
	for (const [flaw, status, said] of [
		["unattested", 401, /Missing in authenticator_attestation: attested, hardware, metadata_current/],
		["synced", 401, /Missing in authenticator_attestation: attested, device_bound/],
		["revoked", 401, /Missing in authenticator_attestation: metadata_current/],
		["expired", 401, /JWT Validation Failed: IDX10223/],
		["audience", 401, /JWT Validation Failed: IDX10214/],
		["issuer", 401, /They differ in a trailing slash only/],
	]) {
		await make("Orders: Refund an order", flaw);
		assert.match(await list.locator("li").first().textContent(), said, flaw);
		assert.match(await list.locator("li").first().textContent(), new RegExp(`Refused: ${status}`));
		assert.match(await curl(), new RegExp(`^HTTP/1.1 ${status} `));
		if (flaw === "issuer") await shoot(page, "bench-refused");
	}
	await make("Orders: Refund an order");
	await page.getByText("Every operation would let it pass").waitFor();
	assert.match(await curl(), /^HTTP\/1.1 200 OK[^]*"done": true/);
	await shoot(page, "bench-passed");
	await page.getByRole("textbox", { name: "Access token" }).fill("Authorization: Bearer this.is not");
	await page.getByRole("button", { name: "Check it", exact: true }).click();
	await page.getByText("This cannot be decoded as a JWT").waitFor();
	await list.getByText("JWT is not well formed").first().waitFor();
	await shoot(page, "bench-unreadable");
	await page.getByRole("button", { name: "Take mine" }).click();
	await page.getByText("Sign in first").waitFor();
	await enrol(p, touchstone.link());
	await page.goto(touchstone.issuer + "/playground");
	await page.getByRole("button", { name: "Sign in with a passkey" }).click();
	await page.waitForURL(/\/signin\?request=|\/playground$/);
	if (page.url().includes("/signin")) await page.getByRole("button", { name: "Sign in with a passkey" }).click();
	await page.getByText("authenticator_attestation").first().waitFor();
	await page.getByRole("button", { name: "Take mine" }).click();
	await page.getByText("1 of 3 operations would refuse it").waitFor();
	await page.getByText("Missing in authenticator_attestation").waitFor();
	const token = await page.getByRole("textbox", { name: "Access token" }).inputValue();
	assert.ok(!touchstone.output().includes(token.split(".")[2]), "the token stands in the log");
	assert.equal(await page.evaluate(() => Object.keys(localStorage).length + Object.keys(sessionStorage).length), 0, "something is stored");
	assert.deepEqual(p.faults, []);
});

const portal = "https://portal.example", callback = portal + "/signin-oauth/code-pkce/callback/touchstone";

// portalConsole signs a person in as the developer portal's console does: from the
// portal's origin in a window of its own, with a slash behind the authorization
// endpoint, PKCE, no state and no resource, and the exchange in the browser.
async function portalConsole(p, issuer) {
	await p.context.route(portal + "/**", (route) => route.fulfill({ contentType: "text/html", body: route.request().url().startsWith(callback)
		? `<script>opener.postMessage({ code: new URLSearchParams(location.search).get("code") }, location.origin); close();</script>` : "<title>portal</title>" }));
	await p.page.goto(portal + "/");
	const popup = p.context.waitForEvent("page");
	const answer = p.page.evaluate(async ({ issuer, callback }) => {
		const base64url = (bytes) => btoa(String.fromCharCode(...new Uint8Array(bytes))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
		const verifier = base64url(crypto.getRandomValues(new Uint8Array(48)));
		const code_challenge = base64url(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(verifier)));
		const told = new Promise((resolve) => addEventListener("message", (event) => resolve(event.data.code), { once: true }));
		open(`${issuer}/authorize/?` + new URLSearchParams({ response_type: "code", client_id: "console", code_challenge_method: "S256", code_challenge, redirect_uri: callback, scope: "orders.read orders.write" }), "_blank", "width=400,height=500");
		const body = new URLSearchParams({ client_id: "console", code_verifier: verifier, grant_type: "authorization_code", redirect_uri: callback, code: await told });
		return (await fetch(issuer + "/token", { method: "POST", headers: { "Content-Type": "application/x-www-form-urlencoded" }, body: body.toString() })).json();
	}, { issuer, callback });
	const opened = await popup;
	await opened.waitForURL(/\/signin\?request=/);
	// The window has its own virtual authenticator: the person's key is moved there.
	const cdp = await p.context.newCDPSession(opened);
	await cdp.send("WebAuthn.enable");
	const { authenticatorId } = await cdp.send("WebAuthn.addVirtualAuthenticator", { options: {
		protocol: "ctap2", ctap2Version: "ctap2_1", transport: "usb", hasResidentKey: true, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true } });
	for (const credential of (await p.cdp.send("WebAuthn.getCredentials", { authenticatorId: p.authenticatorId })).credentials) await cdp.send("WebAuthn.addCredential", { authenticatorId, credential });
	// The field of the page may take the passkey first; the window closes either way.
	const closed = opened.isClosed() || opened.waitForEvent("close");
	await opened.getByRole("button", { name: "Sign in with a passkey" }).click().catch(() => closed);
	return answer;
}

const trustFile = (issuer) => `
levels: [{name: company-key, facts: [uv, device_bound, attested], models: {allow: [{name: "Chromium *"}]}}]
apis:
  - {name: orders, audience: "https://api.example/orders", path: /orders, scopes: [{name: orders.read, title: See}, {name: orders.write, title: Change}], automation: [night-batch], token_lifetime: 15m, operations: [{name: list, method: GET, url: /}]}
clients:
  - {id: playground, name: Playground, kind: public, first_party: true, redirect_uris: ["${issuer}/playground/callback"], scopes: [openid], apis: [orders]}
  - {id: console, name: Portal, kind: public, first_party: true, redirect_uris: ["${callback}"], scopes: [orders.read, orders.write], apis: [orders]}
  - {id: night-batch, name: Batch, kind: workload, grant_types: [client_credentials], scopes: [orders.read], apis: [orders]}
`;

const templates = readdirSync(join(root, "pkg/apim/templates"), { withFileTypes: true }).filter((entry) => entry.isDirectory()).map((entry) => entry.name);

// gateway runs every shipped template as it is, each as the API of its name.
async function gateway(t, issuer, backend, more = "") {
	const dir = directory(), port = await freePort(), shipped = join(root, "pkg/apim/templates");
	const policy = (name, file) => (existsSync(join(shipped, name, file)) ? `, policy: ${join(shipped, name, file)}` : "");
	writeFileSync(join(dir, "gateway.yaml"), `
listen: 127.0.0.1:${port}
${more}
subscriptions: [{name: portal, keys: [portal-key]}]
global_policy: ${join(shipped, "signed-in", "global.policy.xml")}
named_values: {touchstone-issuer: "${issuer}", touchstone-audience-orders: "https://api.example/orders"}
apis:
${templates.map((name) => `  - {name: ${name}, path: /${name}, backend: "${backend}"${policy(name, "orders.policy.xml")}, operations: [
    {name: list, method: GET, url_template: /${policy(name, "orders.list.policy.xml")}}, {name: refund, method: POST, url_template: "/{id}/refund"${policy(name, "orders.refund.policy.xml")}}]}`).join("\n")}
`);
	const child = spawn(join(root, "bin", "touchstone-gateway"), [`--config=${join(dir, "gateway.yaml")}`], { stdio: "ignore" });
	const exited = new Promise((resolve) => child.once("exit", resolve));
	t.after(async () => { child.kill("SIGINT"); await exited; });
	const origin = `http://127.0.0.1:${port}`;
	for (let i = 0; !(await fetch(origin + "/signed-in/").then(() => true, () => false)); i++) {
		assert.ok(i < 200 && child.exitCode === null, "the gateway did not start");
		await new Promise((resolve) => setTimeout(resolve, 50));
	}
	return origin;
}

async function world(t, flags) {
	const port = await freePort(), file = join(directory(), "trust.yaml");
	writeFileSync(file, trustFile(`http://localhost:${port}`));
	const touchstone = await start({ port, args: [`--trust=${file}`, ...flags] });
	t.after(async () => { await touchstone.stop(); touchstone.remove(); });
	const p = await person(browser, { permissions: ["local-network-access"] });
	await enrol(p, touchstone.link());
	const api = createServer((request, response) => response.end(JSON.stringify(request.headers)));
	await new Promise((resolve) => api.listen(0, "127.0.0.1", resolve));
	t.after(() => api.close());
	return { touchstone, p, backend: `http://127.0.0.1:${api.address().port}` };
}

test("the developer portal's console signs in and calls through the shipped policy", async (t) => {
	const { touchstone, p, backend } = await world(t, []);
	const origin = await gateway(t, touchstone.issuer, backend);
	const answer = await portalConsole(p, touchstone.issuer);
	assert.equal(answer.token_type, "Bearer", JSON.stringify(answer));
	const called = (api, token, key = "portal-key") => p.page.evaluate(async ({ url, token, key }) => {
		const response = await fetch(url, { headers: { "Cache-Control": "no-cache", "Ocp-Apim-Subscription-Key": key, ...(token && { Authorization: "Bearer " + token }) } }).catch((error) => ({ status: String(error) }));
		return { status: response.status, body: response.ok ? await response.json() : undefined, challenge: response.headers?.get("WWW-Authenticate") };
	}, { url: `${origin}/${api}/`, token, key });
	await p.context.unrouteAll(); // Playwright answers preflights itself while it serves a page
	const passed = await called("developer-portal", answer.access_token);
	assert.equal(passed.status, 200);
	assert.equal(passed.body["x-touchstone-client"], "console");
	assert.equal(passed.body.authorization, undefined, "the token reached the API");
	const refused = await called("developer-portal");
	assert.equal(refused.status, 401);
	assert.match(refused.challenge, /resource_metadata=".*\/\.well-known\/oauth-protected-resource\/orders"/, "the page cannot read the challenge");
	// As in API Management, a wrong key is refused before any policy, so that no cors lets the page read it.
	assert.match((await called("developer-portal", answer.access_token, "a wrong key")).status, /TypeError/);
	assert.match((await called("signed-in", answer.access_token)).status, /TypeError/, "an API without cors let another origin in");
	assert.deepEqual(p.faults, []);
});

test("every shipped template lets through and refuses what it says, with real tokens", async (t) => {
	const attestation = await learnAttestation(browser);
	const { touchstone, p, backend } = await world(t, metadata(attestation));
	const other = await world(t, []); // without metadata no passkey proves its model
	const secret = touchstone.command("client", "rotate-secret", "night-batch");
	let workload = {};
	for (let i = 0; !workload.access_token; i++) { // the server learns of the secret in a moment
		assert.ok(i < 100, JSON.stringify(workload));
		workload = await fetch(touchstone.issuer + "/token", { method: "POST", body: new URLSearchParams({ grant_type: "client_credentials", client_id: "night-batch", client_secret: secret, scope: "orders.read" }) }).then((r) => r.json());
		if (!workload.access_token) await new Promise((resolve) => setTimeout(resolve, 50));
	}
	const attested = (await portalConsole(p, touchstone.issuer)).access_token, unattested = (await portalConsole(other.p, other.touchstone.issuer)).access_token;
	const now = await gateway(t, touchstone.issuer, backend), later = await gateway(t, touchstone.issuer, backend, "clock: {offset: 6m}"), elsewhere = await gateway(t, other.touchstone.issuer, backend);
	const who = { attested: [now, attested], later: [later, attested], unattested: [elsewhere, unattested], workload: [now, workload.access_token], foreign: [now, unattested], nobody: [now] };
	const ask = async (name, template, method, path) => {
		const [origin, token] = who[name];
		const response = await fetch(`${origin}/${template}${path}`, { method, headers: { "X-Touchstone-Subject": "forged", ...(token && { Authorization: "Bearer " + token }) } });
		const answer = `${response.status} ${response.headers.get("WWW-Authenticate")?.match(/error="(\w+)"/)?.[1] ?? ""}`.trim();
		assert.ok(!(await response.text()).includes('"forged"'), `${template} let a forged identity through`);
		return answer;
	};
	const stronger = "401 insufficient_user_authentication", invalid = "401 invalid_token", scope = "403 insufficient_scope";
	const list = { attested: "200", later: "200", unattested: "200", workload: invalid, foreign: invalid, nobody: "401" };
	// What lists and refunds are answered, where it is not as in list; roles are not issued yet, so what asks for one is refused to all.
	const table = {
		"signed-in": [{}],
		"phishing-resistant": [{}],
		"hardware-key": [{ unattested: stronger }],
		"listed-models": [{ unattested: stronger }],
		"scopes-and-roles": [{}, { attested: scope, later: scope, unattested: scope, workload: invalid }],
		"recent-sign-in": [{}, { later: stronger }],
		automation: [{ workload: "200" }],
		"developer-portal": [{}],
		administrative: [{ attested: scope, later: scope, unattested: scope }],
		"rate-per-device": [{}],
		"certificate-bound": [{ attested: invalid, later: invalid, unattested: invalid }],
		"single-use": [{}, { attested: invalid, later: invalid, unattested: invalid }], // the refund comes second, with the same token
		approval: [{}, { attested: scope, later: scope, unattested: scope }],
	};
	assert.deepEqual(Object.keys(table).sort(), templates.sort());
	const got = {}, want = {};
	for (const [template, [lists, refunds = lists]] of Object.entries(table)) {
		for (const name of Object.keys(who)) {
			const key = `${template}, ${name}`;
			want[key] = [{ ...list, ...lists }[name], { ...list, ...refunds }[name]];
			got[key] = [await ask(name, template, "GET", "/"), await ask(name, template, "POST", "/7/refund")];
		}
	}
	assert.deepEqual(got, want);
	let last;
	for (let i = 0; i < 100 && last !== "429"; i++) last = await ask("attested", "rate-per-device", "GET", "/");
	assert.equal(last, "429", "no rate limit of a hundred calls held");
	assert.equal(await ask("unattested", "rate-per-device", "GET", "/"), "200", "another device paid for it");
});
