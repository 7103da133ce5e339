// An ordinary public client: authorization code with PKCE S256 (RFC 7636),
// state, nonce, and the issuer checked in the answer (RFC 9207). Tokens live in
// memory only.
import { startBench } from "./bench.js";
import { base, show } from "./passkey.js";

const $ = (id) => document.getElementById(id);
const page = $("playground").dataset;
const meanings = JSON.parse(page.meanings);
const redirect = location.origin + base + "/playground/callback";
let tokens, discovery, last, challenge;

const base64url = (bytes) => btoa(String.fromCharCode(...new Uint8Array(bytes))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
const random = () => base64url(crypto.getRandomValues(new Uint8Array(32)));
const decode = (part) => JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(part.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0))));
const read = (jwt) => jwt.split(".").slice(0, 2).map(decode);

// signIn starts an authorization; a step-up adds what the gateway's challenge
// asked for (RFC 9470 section 4).
async function signIn(more = {}) {
	const pending = { verifier: random(), state: random(), nonce: random() };
	sessionStorage.setItem("playground", JSON.stringify(pending));
	const challenge = base64url(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(pending.verifier)));
	location.assign(discovery.authorization_endpoint + "?" + new URLSearchParams({
		client_id: page.client, redirect_uri: redirect, response_type: "code", scope: page.scope, resource: page.resource,
		state: pending.state, nonce: pending.nonce, code_challenge: challenge, code_challenge_method: "S256", ...more,
	}));
}

async function token(body) {
	const response = await fetch(discovery.token_endpoint, { method: "POST", body: new URLSearchParams({ client_id: page.client, ...body }) });
	const answer = await response.json();
	if (!response.ok) throw new Error(answer.error_description || answer.error);
	return answer;
}

async function finish() {
	const answer = new URLSearchParams(location.search);
	const pending = JSON.parse(sessionStorage.getItem("playground") || "null");
	sessionStorage.removeItem("playground");
	history.replaceState(null, "", base + "/playground");
	if (!pending || answer.get("state") !== pending.state) return show($("message"), "This answer does not belong to a sign-in that was started here.", "bad");
	if (answer.get("iss") !== discovery.issuer) return show($("message"), "The answer came from another issuer.", "bad");
	if (answer.has("error")) return show($("message"), answer.get("error_description") || answer.get("error"), "");
	const got = await token({ grant_type: "authorization_code", code: answer.get("code"), redirect_uri: redirect, code_verifier: pending.verifier });
	if (read(got.id_token)[1].nonce !== pending.nonce) return show($("message"), "The ID token does not belong to this sign-in.", "bad");
	accept(got);
}

function accept(got) {
	tokens = { ...tokens, ...got };
	const [header, payload] = read(tokens.access_token);
	$("empty").hidden = true;
	$("claims").replaceChildren(...Object.entries(payload).map(([name, value]) => row(name, value)));
	$("json").textContent = JSON.stringify({ header, payload }, null, 2);
	$("raw").hidden = false;
	if (tokens.id_token) {
		$("idjson").textContent = JSON.stringify(read(tokens.id_token)[1], null, 2);
		$("idtoken").hidden = false;
	}
	$("signin").querySelector("span").textContent = "Sign in again";
	$("signin").classList.remove("primary");
	$("refresh").hidden = !tokens.refresh_token;
	$("signout").hidden = false;
}

function row(name, value) {
	const div = document.createElement("div");
	const dt = Object.assign(document.createElement("dt"), { textContent: name });
	const dd = Object.assign(document.createElement("dd"), { className: "value" });
	if (name === "authenticator_attestation") {
		for (const fact of value) dd.append(Object.assign(document.createElement("span"), { className: "fact", textContent: `${fact}: ${meanings.facts[fact] || ""}` }));
	} else if (["iat", "exp", "auth_time"].includes(name)) dd.textContent = `${value} (${new Date(value * 1000).toLocaleString()})`;
	else dd.textContent = Array.isArray(value) ? value.join(", ") : typeof value === "object" ? JSON.stringify(value) : value;
	const meaning = Object.assign(document.createElement("dd"), { className: "meaning", textContent: meanings.claims[name] || "" });
	div.append(dt, dd, meaning);
	return div;
}

async function call(button) {
	const { method, path } = button.dataset;
	const headers = {};
	if (!("anonymous" in button.dataset)) {
		if (!tokens) return show($("message"), "Sign in first, or call without a token to see the refusal.", "");
		headers.Authorization = "Bearer " + tokens.access_token;
	}
	show($("message"), "");
	last = { method, url: page.gateway + path, headers };
	let response, text, trace;
	try {
		response = await fetch(last.url, { method, headers });
		text = await response.text();
		const id = response.headers.get("Apim-Trace-Id");
		if (id) trace = await (await fetch(`${page.gateway}/.touchstone/traces/${id}`)).json();
	} catch {
		return show($("message"), `The gateway at ${page.gateway} does not answer. Is it running?`, "bad");
	}
	decide(response, text, trace);
}

// stepUp reads what a step-up challenge asks for (RFC 9470 section 3), or returns null.
function stepUp(header) {
	if (!header.includes('error="insufficient_user_authentication"')) return null;
	const asked = {};
	for (const name of ["acr_values", "max_age"]) {
		const value = header.match(new RegExp(`\\b${name}="([^"]*)"`));
		if (value) asked[name] = value[1];
	}
	return asked;
}

function decide(response, text, trace) {
	const passed = response.ok;
	$("decision").className = "decision " + (passed ? "passed" : "refused");
	$("verdict").textContent = `${passed ? "Passed" : "Refused"}: ${response.status}`;
	$("why").textContent = passed ? "The token shows everything that this operation asks for." : response.headers.get("WWW-Authenticate") || "";
	$("steps").replaceChildren(...(trace?.steps ?? []).filter((s) => s.result !== "skipped").map((s) => {
		const li = document.createElement("li");
		li.textContent = `${s.policy}${s.scope ? ` (${s.scope})` : ""}: ${s.message}.` + (s.wanted ? ` Wanted ${s.wanted}, found ${s.found || "nothing"}.` : "") + (s.hint ? ` ${s.hint}` : "");
		return li;
	}));
	challenge = stepUp(response.headers.get("WWW-Authenticate") || "");
	$("stepup").hidden = !challenge;
	try { text = JSON.stringify(JSON.parse(text), null, 2); } catch { /* shown as it is */ }
	$("answer").textContent = text;
	$("decision").hidden = false;
	$("decision").focus();
}

$("signin").addEventListener("click", () => signIn());
$("stepup").addEventListener("click", () => signIn(challenge));
$("refresh").addEventListener("click", async () => {
	try { accept(await token({ grant_type: "refresh_token", refresh_token: tokens.refresh_token })); show($("message"), "A fresh token, with the facts of your sign-in.", "good"); }
	catch (error) { show($("message"), error.message, "bad"); }
});
$("signout").addEventListener("click", () => location.assign(discovery.end_session_endpoint + "?" + new URLSearchParams({ id_token_hint: tokens.id_token, post_logout_redirect_uri: location.origin + base + "/playground" })));
$("curl").addEventListener("click", () => navigator.clipboard.writeText(`curl -i -X ${last.method} ${Object.entries(last.headers).map(([k, v]) => `-H '${k}: ${v}' `).join("")}'${last.url}'`));
document.addEventListener("click", (event) => { const button = event.target.closest("[data-call]"); if (button) call(button); });

if ($("bench")) startBench({ bench: page.bench, read, mine: () => tokens?.access_token });

try {
	discovery = await (await fetch(page.issuer + "/.well-known/openid-configuration")).json();
	if (location.pathname.endsWith("/callback")) await finish();
} catch (error) {
	show($("message"), error.message, "bad");
}
