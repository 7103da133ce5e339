// Clients that nobody here wrote, against the real commands and a real browser.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { request as forward } from "node:http";
import { createServer as createTLS } from "node:https";
import { join } from "node:path";
import { after, before, test } from "node:test";
import * as msal from "@azure/msal-node";
import * as oauth from "oauth4webapi";
import * as client from "openid-client";
import { catcher, enrol, register, running, shoot, signIn } from "./scene.js";
import { directory, freePort, launch, person, root } from "./touchstone.js";

let browser;
before(async () => { browser = await launch(); });
after(async () => browser?.close());

// discovered is openid-client's view of the server.
const discovered = (touchstone, id, secret) => client.discovery(new URL(touchstone.issuer), id, secret, secret ? client.ClientSecretBasic(secret) : client.None(), { execute: [client.allowInsecureRequests] });

// visit goes to an address from which the page may go on by itself.
const visit = (p, href) => p.page.goto(href, { waitUntil: "commit" }).catch((error) => { if (!/interrupted|ERR_ABORTED/.test(error.message)) throw error; });

// request starts an authorization and returns what is needed to finish it.
async function request(config, parameters) {
	const verifier = client.randomPKCECodeVerifier(), state = client.randomState(), nonce = client.randomNonce();
	const url = client.buildAuthorizationUrl(config, { state, nonce, code_challenge: await client.calculatePKCECodeChallenge(verifier), code_challenge_method: "S256", ...parameters });
	return { href: url.href, checks: { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce, idTokenExpected: true } };
}

test("a third party asks, is refused, is allowed, by form post, and is shown the door", async (t) => {
	const touchstone = await running(t);
	const p = await person(browser), rp = await catcher(t);
	await enrol(p, touchstone.link());
	const secret = await register(touchstone, "shop", rp.redirect, "--kind=confidential", "--name=Corner shop", "--scope=openid", "--scope=profile", "--scope=offline_access", `--backchannel-logout-uri=${rp.origin}/out`);
	const config = await discovered(touchstone, "shop", secret);
	const parameters = { redirect_uri: rp.redirect, scope: "openid profile offline_access", response_mode: "form_post" };
	let asked = await request(config, parameters);
	await visit(p, asked.href);
	await signIn(p);
	await p.page.getByText("Corner shop asks you, Ada").waitFor();
	await p.page.getByText("See your name").waitFor();
	await shoot(p.page, "consent");
	await p.page.getByRole("button", { name: "Cancel" }).click();
	let got = await rp.next();
	assert.equal(got.method, "POST");
	assert.equal(got.form.get("error"), "access_denied");
	assert.equal(got.form.get("iss"), touchstone.issuer);

	asked = await request(config, parameters);
	await visit(p, asked.href);
	await p.page.getByRole("button", { name: "Agree and continue" }).click();
	got = await rp.next();
	await p.page.waitForURL(rp.redirect);
	const posted = new Request(rp.redirect, { method: "POST", headers: { "Content-Type": "application/x-www-form-urlencoded" }, body: got.form.toString() });
	const tokens = await client.authorizationCodeGrant(config, posted, asked.checks);
	assert.equal(tokens.claims().name, "Ada");
	const info = await client.fetchUserInfo(config, tokens.access_token, tokens.claims().sub);
	assert.equal(info.preferred_username, "Ada");

	// Agreed once, it is not asked again; taken back, it is, and access has ended.
	asked = await request(config, parameters);
	await visit(p, asked.href);
	assert.ok((await rp.next()).form.get("code"));
	await p.page.waitForURL(rp.redirect);
	await p.page.goto(touchstone.issuer + "/");
	await p.page.getByText("Corner shop").waitFor();
	await shoot(p.page, "account-applications");
	p.page.on("dialog", (dialog) => dialog.accept());
	await p.page.getByRole("button", { name: "Take back" }).click();
	await p.page.getByText("Corner shop").waitFor({ state: "detached" });
	await assert.rejects(client.refreshTokenGrant(config, tokens.refresh_token), (error) => error.error === "invalid_grant");

	// When the person signs out, the shop is told behind the browser's back.
	await p.page.getByRole("button", { name: "Sign out here" }).click();
	got = await rp.next();
	assert.equal(got.url.pathname, "/out");
	const [header, payload] = got.form.get("logout_token").split(".").slice(0, 2).map((part) => JSON.parse(Buffer.from(part, "base64url")));
	assert.equal(header.typ, "logout+jwt");
	assert.equal(payload.sid, tokens.claims().sid);
});

test("oauth4webapi steps up, and a weaker passkey does not answer", async (t) => {
	const touchstone = await running(t);
	const p = await person(browser), rp = await catcher(t);
	await enrol(p, touchstone.link());
	await register(touchstone, "native", "http://127.0.0.1/cb", "--first-party", "--scope=openid", "--scope=offline_access");
	const issuer = new URL(touchstone.issuer), insecure = { [oauth.allowInsecureRequests]: true };
	const as = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, insecure));
	assert.ok(as.acr_values_supported.includes("phrh") && as.response_modes_supported.includes("form_post"));
	const native = { client_id: "native" }, verifier = oauth.generateRandomCodeVerifier();
	const authorize = async (extra) => {
		const url = new URL(as.authorization_endpoint);
		for (const [name, value] of Object.entries({ client_id: "native", redirect_uri: rp.redirect, response_type: "code", scope: "openid offline_access", state: "s", code_challenge: await oauth.calculatePKCECodeChallenge(verifier), code_challenge_method: "S256", ...extra })) url.searchParams.set(name, value);
		await p.page.goto(url.href);
	};
	await authorize({});
	await signIn(p);
	const parameters = oauth.validateAuthResponse(as, native, (await rp.next()).url, "s");
	await p.page.waitForURL(rp.origin + "/cb?*");
	const answer = await oauth.processAuthorizationCodeResponse(as, native, await oauth.authorizationCodeGrantRequest(as, native, oauth.None(), parameters, rp.redirect, verifier, insecure));
	assert.equal(oauth.getValidatedIdTokenClaims(answer).acr, "phr");
	await oauth.processRefreshTokenResponse(as, native, await oauth.refreshTokenGrantRequest(as, native, oauth.None(), answer.refresh_token, insecure));

	// The session does not suffice for a stronger level, and neither does the passkey.
	await authorize({ acr_values: "phrh" });
	await p.page.getByText("It asks for a passkey of which we know that").waitFor();
	await shoot(p.page, "signin-stepup");
	await signIn(p);
	await p.page.getByText("This needs a stronger passkey").waitFor();
	await p.page.getByRole("button", { name: "Cancel and go back to native" }).click();
	const refused = (await rp.next()).url;
	assert.throws(() => oauth.validateAuthResponse(as, native, refused, "s"), (error) => error.error === "unmet_authentication_requirements");
});

test("a device is connected with its code, and only by whom agrees", async (t) => {
	const touchstone = await running(t);
	const p = await person(browser);
	await enrol(p, touchstone.link());
	await register(touchstone, "tv", "http://127.0.0.1/cb", "--first-party", "--name=Television", "--grant-type=urn:ietf:params:oauth:grant-type:device_code", "--grant-type=refresh_token", "--scope=openid", "--scope=profile", "--scope=offline_access");
	const config = await discovered(touchstone, "tv");
	const device = await client.initiateDeviceAuthorization(config, { scope: "openid profile offline_access" });
	const polling = client.pollDeviceAuthorizationGrant(config, device);
	await p.page.goto(device.verification_uri_complete);
	await p.page.getByRole("link", { name: "Sign in" }).click();
	await p.page.getByRole("button", { name: "Sign in with a passkey" }).click();
	await p.page.getByRole("heading", { name: "Ada" }).waitFor();
	await p.page.goto(device.verification_uri);
	assert.equal(await p.page.getByLabel("Code").inputValue(), device.user_code);
	await p.page.getByLabel("Code").fill("BBBB-BBBB");
	await p.page.getByRole("button", { name: "Continue" }).click();
	await p.page.getByText("We do not know this code").waitFor();
	await shoot(p.page, "device-wrong");
	await p.page.getByLabel("Code").fill(device.user_code.toLowerCase().replace("-", " "));
	await p.page.getByRole("button", { name: "Continue" }).click();
	await p.page.getByText("Television asks to").waitFor();
	await p.page.getByText("If somebody sent you this code").waitFor();
	await shoot(p.page, "device");
	await p.page.getByRole("button", { name: "Connect the device" }).click();
	await p.page.getByText("The device is connected").waitFor();
	const tokens = await polling;
	assert.equal((await client.fetchUserInfo(config, tokens.access_token, tokens.claims().sub)).name, "Ada");
	await client.refreshTokenGrant(config, tokens.refresh_token);
});

test("oidc-client-ts signs a person in from a page of another origin", async (t) => {
	const touchstone = await running(t);
	const p = await person(browser);
	await enrol(p, touchstone.link());
	const page = `<!doctype html><title>rp</title><p id="who">nobody</p><script src="/oidc.js"></script><script>
		const manager = new oidc.UserManager({ authority: "${touchstone.issuer}", client_id: "spa", redirect_uri: location.origin + "/", scope: "openid profile offline_access", loadUserInfo: true });
		const tell = (text) => { document.getElementById("who").textContent = text; };
		(async () => {
			if (!location.search.includes("code=")) return manager.signinRedirect();
			const user = await manager.signinCallback();
			const renewed = await manager.signinSilent();
			tell(user.profile.name + " " + (renewed.access_token !== user.access_token));
		})().catch((error) => tell("failed: " + error));
	</script>`;
	const rp = await catcher(t, { "/": { body: page }, "/oidc.js": { type: "text/javascript", body: readFileSync(new URL("node_modules/oidc-client-ts/dist/browser/oidc-client-ts.min.js", import.meta.url)) } });
	await register(touchstone, "spa", rp.origin + "/", "--first-party", "--scope=openid", "--scope=profile", "--scope=offline_access");
	await p.page.goto(rp.origin + "/");
	await signIn(p);
	await p.page.getByText("Ada true").waitFor();
	assert.deepEqual(p.faults, []);
});

test("Apache's mod_auth_openidc guards a page", async (t) => {
	const touchstone = await running(t);
	const p = await person(browser);
	await enrol(p, touchstone.link());
	const port = await freePort(), dir = directory(), base = `http://localhost:${port}`;
	const secret = await register(touchstone, "apache", `${base}/secret/callback`, "--kind=confidential", "--first-party", "--scope=openid", "--scope=profile", `--post-logout-redirect-uri=${base}/`);
	mkdirSync(join(dir, "www", "secret"), { recursive: true });
	writeFileSync(join(dir, "www", "secret", "index.html"), "the secret page");
	writeFileSync(join(dir, "www", "index.html"), "the front page");
	writeFileSync(join(dir, "apache.conf"), `
ServerRoot ${dir}
ServerName localhost
Listen 127.0.0.1:${port}
PidFile ${dir}/pid
ErrorLog ${dir}/error.log
Mutex file:${dir}
${process.getuid() === 0 ? "User www-data\nGroup www-data" : ""}
${["mpm_event", "authn_core", "authz_core", "authz_user", "auth_openidc", "dir", "mime"].map((name) => `LoadModule ${name}_module /usr/lib/apache2/modules/mod_${name}.so`).join("\n")}
TypesConfig /etc/mime.types
DocumentRoot ${dir}/www
DirectoryIndex index.html
OIDCProviderMetadataURL ${touchstone.issuer}/.well-known/openid-configuration
OIDCClientID apache
OIDCClientSecret ${secret}
OIDCRedirectURI ${base}/secret/callback
OIDCCryptoPassphrase a-passphrase-for-tests
OIDCScope "openid profile"
OIDCPKCEMethod S256
OIDCRemoteUserClaim preferred_username
OIDCCookieSameSite On
<Location /secret>
  AuthType openid-connect
  Require claim preferred_username:Ada
</Location>
`);
	const apache = spawn("/usr/sbin/apache2", ["-X", "-f", join(dir, "apache.conf")], { stdio: "inherit" });
	const stopped = new Promise((resolve) => apache.once("exit", resolve));
	t.after(async () => { apache.kill(); await stopped; });
	for (let i = 0; !(await fetch(base + "/").then((r) => r.ok, () => false)); i++) {
		if (i > 100 || apache.exitCode !== null) throw new Error("Apache did not start: " + (existsSync(join(dir, "error.log")) ? readFileSync(join(dir, "error.log"), "utf8") : apache.exitCode));
		await new Promise((resolve) => setTimeout(resolve, 50));
	}
	await p.page.goto(base + "/secret/");
	await signIn(p);
	await p.page.getByText("the secret page").waitFor();
	await p.page.goto(`${base}/secret/callback?logout=${encodeURIComponent(base + "/")}`);
	await p.page.waitForURL(base + "/");
	await p.page.goto(base + "/secret/");
	await p.page.waitForURL(/\/signin\?request=/);
});

test("Microsoft's msal-node signs a person in, over TLS", async (t) => {
	const touchstone = await running(t), dir = directory();
	const [outside, inside] = [await freePort(), await freePort()], issuer = `https://localhost:${outside}`;
	execFileSync("openssl", ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", join(dir, "key.pem"), "-out", join(dir, "cert.pem")], { stdio: "ignore" });
	// A server for deployment, behind a proxy that ends TLS, on the development cluster's database.
	const serve = spawn(join(root, "bin", "touchstone"), ["serve", `--issuer=${issuer}`, `--listen=127.0.0.1:${inside}`, `--sealing-key=${join(touchstone.state, "sealing.key")}`, `--state-dir=${touchstone.state}`], { stdio: ["ignore", "inherit", "inherit"] });
	const stopped = new Promise((resolve) => serve.once("exit", resolve));
	const proxy = createTLS({ key: readFileSync(join(dir, "key.pem")), cert: readFileSync(join(dir, "cert.pem")) }, (request, response) => {
		request.pipe(forward({ host: "127.0.0.1", port: inside, path: request.url, method: request.method, headers: request.headers }, (answer) => { response.writeHead(answer.statusCode, answer.headers); answer.pipe(response); })
			.on("error", () => response.writeHead(502).end()));
	});
	await new Promise((resolve) => proxy.listen(outside, "127.0.0.1", resolve));
	const strict = process.env.NODE_TLS_REJECT_UNAUTHORIZED;
	process.env.NODE_TLS_REJECT_UNAUTHORIZED = "0"; // the certificate is made for this test
	t.after(async () => { process.env.NODE_TLS_REJECT_UNAUTHORIZED = strict ?? "1"; proxy.close(); proxy.closeAllConnections(); serve.kill(); await stopped; });
	for (let i = 0; !(await fetch(issuer + "/healthz").then((r) => r.ok, () => false)); i++) {
		assert.ok(i < 200 && serve.exitCode === null, "the server did not start");
		await new Promise((resolve) => setTimeout(resolve, 50));
	}
	const p = await person(browser, { ignoreHTTPSErrors: true }), rp = await catcher(t);
	await enrol(p, touchstone.command("user", "invite", "Grace", `--issuer=${issuer}`));
	await register({ ...touchstone, issuer }, "msal", "http://127.0.0.1/cb", "--first-party", "--scope=openid", "--scope=profile", "--scope=offline_access");
	const application = new msal.PublicClientApplication({ auth: { clientId: "msal", authority: issuer, knownAuthorities: [`localhost:${outside}`] }, system: { protocolMode: "OIDC" } });
	const { verifier, challenge } = await new msal.CryptoProvider().generatePkceCodes();
	const scopes = ["openid", "profile", "offline_access"];
	await p.page.goto(await application.getAuthCodeUrl({ scopes, redirectUri: rp.redirect, codeChallenge: challenge, codeChallengeMethod: "S256" }));
	await signIn(p);
	const got = await rp.next();
	const tokens = await application.acquireTokenByCode({ code: got.url.searchParams.get("code"), redirectUri: rp.redirect, scopes, codeVerifier: verifier });
	assert.equal(tokens.idTokenClaims.preferred_username, "Grace");
	assert.equal(tokens.idTokenClaims.iss, issuer);
	assert.ok((await p.context.cookies(issuer)).some((cookie) => cookie.name === "__Host-touchstone_session" && cookie.secure && cookie.httpOnly));
	const renewed = await application.acquireTokenSilent({ account: tokens.account, scopes, forceRefresh: true });
	assert.notEqual(renewed.accessToken, tokens.accessToken);
});
