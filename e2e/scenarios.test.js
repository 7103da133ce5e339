import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { copyFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { after, before, test } from "node:test";
import * as client from "openid-client";
import { enrol, learnAttestation, running, shoot } from "./scene.js";
import { directory, freePort, launch, metadata, person, root, start } from "./touchstone.js";

let browser, attestation;

before(async () => {
	browser = await launch();
	attestation = await learnAttestation(browser);
});

after(async () => browser?.close());

async function signInAtPlayground(p, t) {
	await p.page.goto(t.issuer + "/playground");
	await p.page.getByRole("button", { name: "Sign in with a passkey" }).click();
	await p.page.waitForURL(/\/signin\?request=|\/playground$/);
	if (p.page.url().includes("/signin")) await p.page.getByRole("button", { name: "Sign in with a passkey" }).click();
	await p.page.getByText("authenticator_attestation").first().waitFor();
}

const call = async (p, title) => {
	const item = p.page.getByRole("listitem").filter({ hasText: title });
	await p.page.evaluate(() => { document.getElementById("decision").hidden = true; });
	await item.getByRole("button", { name: "Call", exact: true }).click();
	await p.page.locator("#decision:not([hidden])").waitFor();
	return p.page.locator("#verdict").textContent();
};

test("enrol, sign in, read the token, pass the gateway", async (t) => {
	const touchstone = await running(t, ...metadata(attestation));
	const p = await person(browser);
	await p.page.goto(touchstone.link());
	await p.page.getByText("Hello Ada").waitFor();
	await shoot(p.page, "enrol");
	await enrol(p, touchstone.link());
	await shoot(p.page, "enrol-done");
	assert.ok(!p.page.url().includes("#"), "the link's secret stays in the address");
	await p.page.goto(touchstone.issuer + "/signin");
	await shoot(p.page, "signin");
	await signInAtPlayground(p, touchstone);
	const claims = await p.page.locator("#claims").textContent();
	for (const fact of ["attested:", "hardware:", "fido_l1:", "metadata_current:", "uv:", "Chromium Virtual Key", "phrh"]) assert.ok(claims.includes(fact), `the token lacks ${fact}`);
	assert.equal(await call(p, "List the orders"), "Passed: 200");
	assert.match(await p.page.locator("#answer").textContent(), /X-Touchstone-Subject/);
	assert.equal(await call(p, "Refund an order"), "Passed: 200");
	await shoot(p.page, "playground");
	await p.page.getByRole("button", { name: "Refresh the token" }).click();
	await p.page.getByText("A fresh token").waitFor();
	await p.page.goto(touchstone.issuer + "/");
	await p.page.getByText("Verified: Chromium Virtual Key").waitFor();
	await shoot(p.page, "account");
	assert.deepEqual(p.faults, []);
});

test("an issuer with a path keeps everything below it", async (t) => {
	const touchstone = await start({ path: "/login/eu-1" });
	t.after(async () => { await touchstone.stop(); touchstone.remove(); });
	const p = await person(browser);
	const outside = [];
	p.page.on("request", (r) => { if (r.url().startsWith(new URL(touchstone.issuer).origin) && !r.url().startsWith(touchstone.issuer + "/")) outside.push(r.url()); });
	await enrol(p, touchstone.link());
	await signInAtPlayground(p, touchstone);
	assert.equal(await call(p, "List the orders"), "Passed: 200");
	await p.page.getByRole("button", { name: "Refresh the token" }).click();
	await p.page.getByText("A fresh token").waitFor();
	await p.page.goto(touchstone.issuer);
	await p.page.getByRole("heading", { name: "Ada" }).waitFor();
	await p.page.getByRole("button", { name: "Sign out everywhere" }).click();
	await p.page.getByText("You are signed out").waitFor();
	await p.page.getByRole("link", { name: "Sign in" }).click();
	await p.page.getByRole("button", { name: "Sign in with a passkey" }).click();
	await p.page.getByRole("heading", { name: "Ada" }).waitFor();
	assert.deepEqual(outside.filter((url) => !url.endsWith("/favicon.ico") && url !== touchstone.issuer), []);
	assert.deepEqual(p.faults, []);
});

test("a spare passkey is added from the account page, and no key twice", async (t) => {
	const touchstone = await running(t);
	const p = await person(browser);
	await enrol(p, touchstone.link());
	await p.page.goto(touchstone.issuer + "/signin");
	await p.page.getByRole("button", { name: "Sign in with a passkey" }).click();
	await p.page.getByText("This is your only passkey").waitFor();
	await p.page.getByRole("button", { name: "Add a passkey" }).click();
	await p.page.getByText("This key is already on your account").waitFor();
	await shoot(p.page, "account-add-again");
	await p.cdp.send("WebAuthn.removeVirtualAuthenticator", { authenticatorId: p.authenticatorId });
	await p.cdp.send("WebAuthn.addVirtualAuthenticator", { options: {
		protocol: "ctap2", ctap2Version: "ctap2_1", transport: "internal", hasResidentKey: true, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true } });
	await p.page.getByRole("button", { name: "Add a passkey" }).click();
	await p.page.getByText("This is your only passkey").waitFor({ state: "detached" });
	assert.equal(await p.page.getByRole("button", { name: "Rename" }).count(), 2);
	await shoot(p.page, "account-two");
	await p.page.getByRole("button", { name: "Sign out here" }).click();
	await p.page.getByRole("link", { name: "Sign in" }).click(); // the platform's own passkey answers the field without a click
	await p.page.getByRole("heading", { name: "Ada" }).waitFor();
	assert.deepEqual(p.faults, []);
});

test("a foreign anchor attests nothing, and the gateway says what is missing", async (t) => {
	const touchstone = await running(t, ...metadata(attestation, "foreign"));
	const p = await person(browser);
	await enrol(p, touchstone.link());
	await signInAtPlayground(p, touchstone);
	assert.ok(!(await p.page.locator("#claims").textContent()).includes("attested:"));
	assert.equal(await call(p, "List the orders"), "Passed: 200");
	assert.equal(await call(p, "Refund an order"), "Refused: 401");
	assert.match(await p.page.locator("#why").textContent(), /insufficient_user_authentication.*acr_values="phrh"/);
	assert.match(await p.page.locator("#steps").textContent(), /Missing in authenticator_attestation: attested, hardware, metadata_current/);
	await shoot(p.page, "playground-refused");
});

test("the model is reported as compromised while its owner is signed in", async (t) => {
	const flags = metadata(attestation);
	const touchstone = await running(t, ...flags);
	const p = await person(browser);
	await enrol(p, touchstone.link());
	await signInAtPlayground(p, touchstone);
	assert.equal(await call(p, "Refund an order"), "Passed: 200");
	const blob = flags[0].slice("--metadata=".length), next = blob.replace("blob.jwt", "next.jwt");
	const plan = touchstone.command("mds", "plan", next, ...flags);
	assert.match(plan, /1 passkeys of 1 people were looked at; 1 change\. 1 refresh families end\./);
	assert.match(plan, /Lose the API orders \/ refund \(1\):\s+Ada/);
	assert.match(plan, /loses metadata_current; falls below phrh; because the metadata reports USER_KEY_REMOTE_COMPROMISE/);
	assert.match(touchstone.command("authenticators", ...flags), /Ada .*Chromium Virtual Key .*FIDO_CERTIFIED_L1 .*usable .*phr phrh/);
	copyFileSync(next, blob);
	assert.match(touchstone.command("mds", "refresh", ...flags), /no\. 2, 1 models/);
	for (let i = 0; !touchstone.command("audit", "tail").includes("fleet.rejudged"); i++) {
		assert.ok(i < 100, "the fleet was not judged again");
		await new Promise((resolve) => setTimeout(resolve, 100));
	}
	await p.page.getByRole("button", { name: "Refresh the token" }).click();
	await p.page.getByText("has changed since you signed in").waitFor();
	await shoot(p.page, "playground-ended");
	await p.page.goto(touchstone.issuer + "/signin");
	await p.page.getByRole("button", { name: "Sign in with a passkey" }).click();
	await p.page.getByText("has lost standing").waitFor();
	await p.page.getByText("Model not in good standing").waitFor();
	await shoot(p.page, "account-lost-standing");
	await p.page.getByRole("button", { name: "I have read this" }).click();
	await p.page.getByText("has lost standing").waitFor({ state: "detached" });
	await signInAtPlayground(p, touchstone);
	const claims = await p.page.locator("#claims").textContent();
	assert.ok(claims.includes("attested:") && !claims.includes("metadata_current:"), "the new token does not tell the truth");
	assert.equal(await call(p, "List the orders"), "Passed: 200");
	assert.equal(await call(p, "Refund an order"), "Refused: 401");
	assert.match(touchstone.command("authenticators", ...flags), /USER_KEY_REMOTE_COMPROMISE.*phrh: lacks metadata_current/);
	assert.deepEqual(p.faults, []);
});

test("the gateway asks for more, the client passes it on, the person reads why, and the new token passes", async (t) => {
	const flags = metadata(attestation, "late");
	const touchstone = await running(t, ...flags);
	const p = await person(browser);
	await enrol(p, touchstone.link());
	await signInAtPlayground(p, touchstone);
	assert.equal(await call(p, "Refund an order"), "Refused: 401");
	const blob = flags[0].slice("--metadata=".length);
	copyFileSync(blob.replace("blob.jwt", "next.jwt"), blob);
	touchstone.command("mds", "refresh", ...flags);
	for (let i = 0; !touchstone.command("audit", "tail").includes("credential.rejudged"); i++) {
		assert.ok(i < 100, "the fleet was not judged again");
		await new Promise((resolve) => setTimeout(resolve, 100));
	}
	// The session still says what was known when it began; it does not answer the step-up.
	await p.page.getByRole("button", { name: "Sign in as the gateway asks" }).click();
	await p.page.getByText("the private key is protected by hardware").waitFor();
	await p.page.getByRole("button", { name: "Sign in with a passkey" }).click();
	await p.page.getByText("authenticator_attestation").first().waitFor();
	assert.equal(await call(p, "Refund an order"), "Passed: 200");
	assert.deepEqual(p.faults, []);
});

test("a trust file refuses a model at enrolment, and says which", async (t) => {
	const flags = metadata(attestation), file = join(directory(), "trust.yaml");
	const rules = (mode) => writeFileSync(file, `
levels: [{name: company, facts: [uv, attested], models: {allow: [{vendor: Yubico}]}}]
rules: [{name: company-keys, level: company, mode: ${mode}}]
apis: [{name: orders, audience: "http://localhost/orders", path: /orders}]
clients: [{id: playground, name: Playground, redirect_uris: ["http://localhost/cb"], scopes: [openid], apis: [orders]}]
`);
	rules("enforce");
	const touchstone = await running(t, ...flags);
	const p = await person(browser), q = await person(browser);
	await enrol(p, touchstone.link());
	assert.match(touchstone.command("trust", "plan", file, ...flags), /Locked out: no passkey left to sign in with \(1\):\s+Ada/);
	assert.throws(() => touchstone.command("trust", "apply", file, ...flags), /not confirmed/);
	touchstone.command("trust", "apply", file, "--yes", ...flags);
	for (let i = 0; ; i++) {
		assert.ok(i < 100, "the trust file did not reach the server");
		await p.page.goto(touchstone.issuer + "/signin");
		await p.page.getByRole("button", { name: "Sign in with a passkey" }).click();
		if (await p.page.getByText("We found: Chromium Virtual Key.").waitFor({ timeout: 1000 }).then(() => true, () => false)) break;
	}
	await shoot(p.page, "signin-model");
	await q.page.goto(touchstone.command("user", "invite", "Bob", `--issuer=${touchstone.issuer}`));
	await q.page.getByRole("button", { name: "Create a passkey" }).click();
	await q.page.getByText("We found: Chromium Virtual Key.").waitFor();
	await shoot(q.page, "enrol-model");
	rules("warn, from: 2999-01-31");
	touchstone.command("trust", "apply", file, ...flags);
	for (let i = 0; ; i++) {
		assert.ok(i < 100, "the trust file did not reach the server");
		await q.page.getByRole("button", { name: "Try again" }).click();
		if (await q.page.getByText("From 31 January 2999").waitFor({ timeout: 1000 }).then(() => true, () => false)) break;
	}
	await shoot(q.page, "enrol-warned");
});

test("an auditor checks the record without us, and a witness holds us to it", async (t) => {
	const files = directory(), port = await freePort();
	// The witness learns the log's key, and the log the witness's: start, stop, start.
	const first = await start({ state: files });
	const p = await person(browser);
	await enrol(p, first.link());
	await signInAtPlayground(p, first);
	const key = first.command("audit", "key");
	await first.stop();
	const witness = spawn(join(root, "bin", "touchstone"), ["audit", "witness", `--listen=127.0.0.1:${port}`, "--name=witness.test", `--dir=${join(files, "witness")}`, `--log=${key}`]);
	t.after(() => witness.kill());
	const witnessKey = await new Promise((resolve) => witness.stdout.once("data", (data) => resolve(String(data).trim())));
	const touchstone = await start({ state: files, port: first.port, gatewayPort: first.gatewayPort, args: [`--audit-file=${join(files, "anchors")}`, `--audit-witness=http://127.0.0.1:${port} ${witnessKey}`] });
	t.after(async () => { await touchstone.stop(); touchstone.remove(); });
	await p.page.getByRole("button", { name: "Refresh the token" }).click();
	await p.page.getByText("A fresh token").waitFor();
	const auditor = (...args) => execFileSync(join(root, "bin", "touchstone-audit"), [...args, `--key=${key}`], { encoding: "utf8", env: {}, stdio: ["ignore", "pipe", "pipe"] });
	let checkpoint;
	for (let i = 0; ; i++) {
		checkpoint = await fetch(touchstone.issuer + "/audit/checkpoint").then((r) => r.text());
		if (checkpoint.includes("— witness.test ") && touchstone.command("audit", "tail", "-n", "1").includes("token.refreshed") && touchstone.command("audit", "search", "--action=token.refreshed")) break;
		assert.ok(i < 200, "no cosigned checkpoint came: " + checkpoint + touchstone.output());
		await new Promise((resolve) => setTimeout(resolve, 100));
	}
	assert.match(touchstone.command("audit", "check"), /entries are as they were logged/);
	const write = (name, text) => { writeFileSync(join(files, name), text); return join(files, name); };
	const kept = write("kept", checkpoint), exported = touchstone.command("audit", "export", "--personal") + "\n", all = write("all", touchstone.command("audit", "checkpoints"));
	assert.match(auditor(write("export", exported), `--checkpoint=${kept}`, `--checkpoints=${all}`, `--witness=${witnessKey}`), /Witness witness\.test cosigned it\.\s+\d+ entries of localhost:\d+\/audit are as they were logged/);
	const lines = exported.trim().split("\n"), at = lines.findIndex((line) => line.includes("session.signed_in"));
	const changed = lines.map((line, i) => (i === at ? line.replace('"outcome":"done"', '"outcome":"refused"') : line)).join("\n");
	assert.throws(() => auditor(write("changed", changed), `--checkpoint=${kept}`), new RegExp(`leaf ${at}: the entry is not the one that was logged`));
	assert.throws(() => auditor(write("cut", lines.slice(0, 2).join("\n") + "\n"), `--checkpoint=${kept}`), /missing: the record ends at 2 entries/);
	assert.throws(() => auditor(write("export", exported), `--checkpoint=${write("forged", checkpoint.replace(/^\d+$/m, "1"))}`), /checkpoint/);
	const entry = JSON.parse(touchstone.command("audit", "search", "--person=Ada", "--action=session.signed_in").split("\n")[0]);
	assert.match(auditor(write("proof", touchstone.command("audit", "prove", entry.id))), /Entry \d+ of localhost:\d+\/audit \(session\.signed_in, done at .* UTC\) is in the log of \d+ entries\./);
	const tile = await fetch(touchstone.issuer + "/audit/tile/0/000.p/2");
	assert.equal((await tile.arrayBuffer()).byteLength, 64);
	assert.equal((await fetch(touchstone.issuer + "/audit/tile/0/x999/999")).status, 404);
	// Erased, the person is gone from the record and every proof still holds.
	touchstone.command("audit", "erase", "Ada", "--yes");
	const later = touchstone.command("audit", "export", "--personal");
	assert.ok(!later.includes(entry.user_id));
	assert.match(auditor(write("later", later + "\n"), `--checkpoint=${kept}`), /are as they were logged/);
	const today = new Date().toISOString().slice(0, 10);
	const report = write("report.html", touchstone.command("audit", "report", `--from=${today}`, `--to=${today}`));
	await p.page.goto("file://" + report);
	await p.page.getByText("entries of the record are as they were logged").waitFor();
	await p.page.getByText("witness witness.test").waitFor();
	await shoot(p.page, "report");
});

test("a link works once, also in another browser", async (t) => {
	const touchstone = await running(t);
	const first = await person(browser), second = await person(browser);
	const link = touchstone.link();
	await enrol(first, link);
	await second.page.goto(link);
	await second.page.getByText("This link was already used").waitFor();
	await shoot(second.page, "enrol-used");
	await second.page.goto("about:blank");
	await second.page.goto(touchstone.issuer + "/enrol#forged");
	await second.page.getByText("This link does not work").waitFor();
});

test("a closed prompt loses nothing", async (t) => {
	const touchstone = await running(t);
	const p = await person(browser);
	await p.cdp.send("WebAuthn.setUserVerified", { authenticatorId: p.authenticatorId, isUserVerified: false });
	await p.page.goto(touchstone.link());
	await p.page.getByRole("button", { name: "Create a passkey" }).click();
	await p.page.getByText("Nothing was changed").waitFor();
	await shoot(p.page, "enrol-closed");
	await p.cdp.send("WebAuthn.setUserVerified", { authenticatorId: p.authenticatorId, isUserVerified: true });
	await p.page.getByRole("button", { name: "Try again" }).click();
	await p.page.getByText("Your passkey is ready").waitFor();
});

test("an attacker's authorization request gives the attacker nothing", async (t) => {
	const touchstone = await running(t);
	const victim = await person(browser), attacker = await person(browser);
	await enrol(victim, touchstone.link());
	await attacker.page.goto(touchstone.issuer + "/playground");
	await attacker.page.getByRole("button", { name: "Sign in with a passkey" }).click();
	await attacker.page.waitForURL(/\/signin\?request=/);
	const stolen = attacker.page.url();
	await victim.page.goto(stolen);
	await victim.page.getByText("This sign-in belongs to another browser").waitFor();
	await shoot(victim.page, "error");
	await attacker.page.goto(stolen.replace("/signin", "/authorize/callback"));
	assert.ok(!attacker.page.url().includes("code="));
});

test("a session is revoked from another browser, and a removed passkey is told apart", async (t) => {
	const touchstone = await running(t);
	const one = await person(browser), two = await person(browser);
	await enrol(one, touchstone.link());
	await enrol(two, touchstone.command("user", "invite", "Ada", "--issuer=" + touchstone.issuer));
	for (const p of [one, two]) {
		await p.page.goto(touchstone.issuer + "/signin");
		await p.page.getByRole("button", { name: "Sign in with a passkey" }).click();
		await p.page.getByRole("heading", { name: "Ada" }).waitFor();
	}
	await one.page.reload();
	await one.page.getByRole("button", { name: "End this session" }).click();
	await one.page.getByRole("button", { name: "End this session" }).waitFor({ state: "detached" });
	await two.page.reload();
	await two.page.getByRole("link", { name: "Sign in" }).waitFor();

	one.page.on("dialog", (dialog) => dialog.accept());
	await one.page.getByRole("listitem").filter({ hasNotText: "used to sign in here" }).getByRole("button", { name: "Remove" }).click();
	await one.page.getByText("This is your only passkey").waitFor();
	await two.page.goto(touchstone.issuer + "/signin");
	await two.page.getByRole("button", { name: "Sign in with a passkey" }).click();
	await two.page.getByText("This passkey was removed").waitFor();
	await one.page.getByRole("button", { name: "Sign out everywhere" }).click();
	await one.page.waitForURL(/\/signout$/);
	await one.page.goto(touchstone.issuer + "/");
	await one.page.getByRole("link", { name: "Sign in" }).waitFor();
	await shoot(two.page, "signin-removed");
});

test("kill -9 loses no acknowledged write", async (t) => {
	let touchstone = await start();
	const p = await person(browser);
	await enrol(p, touchstone.link());
	await signInAtPlayground(p, touchstone);
	await touchstone.kill();
	touchstone = await start({ state: touchstone.state, port: touchstone.port, gatewayPort: touchstone.gatewayPort });
	t.after(async () => { await touchstone.stop(); touchstone.remove(); });
	assert.equal(touchstone.link(), undefined, "the enrolled passkey is forgotten");
	await p.page.getByRole("button", { name: "Refresh the token" }).click();
	await p.page.getByText("A fresh token").waitFor();
	assert.equal(await call(p, "List the orders"), "Passed: 200");
});

test("kill -9 in the middle of writing: acknowledged tokens are known, spent ones stay spent", async (t) => {
	let touchstone = await start();
	const p = await person(browser);
	await enrol(p, touchstone.link());
	await signInAtPlayground(p, touchstone);
	// Eight grants of one session, each refreshed without pause until the server dies.
	const grants = await p.page.evaluate(async ({ issuer }) => {
		const b64 = (bytes) => btoa(String.fromCharCode(...new Uint8Array(bytes))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
		const verifier = b64(crypto.getRandomValues(new Uint8Array(32)));
		const challenge = b64(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(verifier)));
		const found = [];
		for (let i = 0; i < 8; i++) {
			const answer = await fetch(issuer + "/authorize?" + new URLSearchParams({ client_id: "playground", redirect_uri: issuer + "/playground/callback", response_type: "code",
				scope: "openid offline_access", state: "s", code_challenge: challenge, code_challenge_method: "S256" }));
			const code = new URL(answer.url).searchParams.get("code");
			const tokens = await fetch(issuer + "/token", { method: "POST", body: new URLSearchParams({ grant_type: "authorization_code", client_id: "playground", code,
				redirect_uri: issuer + "/playground/callback", code_verifier: verifier }) }).then((r) => r.json());
			found.push(tokens.refresh_token);
		}
		return found;
	}, { issuer: touchstone.issuer });
	assert.equal(grants.filter(Boolean).length, 8);
	const refresh = (issuer, token) => fetch(issuer + "/token", { method: "POST", body: new URLSearchParams({ grant_type: "refresh_token", client_id: "playground", refresh_token: token }) }).then((r) => r.json());
	let acknowledged = 0;
	const loops = grants.map(async (token) => {
		const chain = [token];
		for (let i = 0; i < 5000; i++) {
			const answer = await refresh(touchstone.issuer, chain.at(-1)).catch(() => null);
			if (!answer?.refresh_token) break;
			chain.push(answer.refresh_token);
			acknowledged++;
		}
		return chain;
	});
	while (acknowledged < 100) await new Promise((resolve) => setTimeout(resolve, 5));
	await touchstone.kill();
	const chains = await Promise.all(loops);
	touchstone = await start({ state: touchstone.state, port: touchstone.port, gatewayPort: touchstone.gatewayPort });
	t.after(async () => { await touchstone.stop(); touchstone.remove(); });
	for (const [i, chain] of chains.entries()) {
		const last = await refresh(touchstone.issuer, chain.at(-1));
		// Its successor may have been written and never heard of; then the token is spent, but never unknown.
		assert.ok(last.refresh_token || /refresh_token_replayed/.test(last.error_description), "an acknowledged token is lost: " + JSON.stringify(last));
		if (i % 2) assert.equal((await refresh(touchstone.issuer, chain[0])).error, "invalid_grant", "a spent token works after the restart");
	}
});

test("openid-client signs a person in", async (t) => {
	const touchstone = await running(t);
	const p = await person(browser);
	await enrol(p, touchstone.link());
	const port = await freePort();
	const redirect = `http://127.0.0.1:${port}/cb`;
	touchstone.command("client", "create", "rp", "--first-party", "--redirect-uri=http://127.0.0.1/cb", "--scope=openid", "--scope=profile", "--scope=offline_access");
	const arrived = new Promise((resolve) => {
		const server = createServer((request, response) => { response.end("ok"); if (request.url.startsWith("/cb")) resolve(new URL(request.url, redirect)); });
		server.listen(port, "127.0.0.1");
		t.after(() => server.close());
	});
	const config = await client.discovery(new URL(touchstone.issuer), "rp", undefined, client.None(), { execute: [client.allowInsecureRequests] });
	const verifier = client.randomPKCECodeVerifier(), state = client.randomState(), nonce = client.randomNonce();
	await new Promise((resolve) => setTimeout(resolve, 500)); // the new client reaches the server by notification
	await p.page.goto(client.buildAuthorizationUrl(config, { redirect_uri: redirect, scope: "openid profile offline_access", state, nonce,
		code_challenge: await client.calculatePKCECodeChallenge(verifier), code_challenge_method: "S256" }).href);
	await p.page.getByRole("button", { name: "Sign in with a passkey" }).click();
	const tokens = await client.authorizationCodeGrant(config, await arrived, { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce, idTokenExpected: true });
	assert.equal(tokens.claims().name, "Ada");
	const info = await client.fetchUserInfo(config, tokens.access_token, tokens.claims().sub);
	assert.equal(info.preferred_username, "Ada");
	const again = await client.refreshTokenGrant(config, tokens.refresh_token);
	assert.notEqual(again.refresh_token, tokens.refresh_token);
	await assert.rejects(client.refreshTokenGrant(config, tokens.refresh_token), /invalid_grant|server responded/);
	await assert.rejects(client.refreshTokenGrant(config, again.refresh_token), "the family of a replayed token lives on");
});

test("Ctrl-C stops everything, Postgres included", async () => {
	const touchstone = await start();
	const { code } = await touchstone.stop();
	assert.equal(code, 0, touchstone.output());
	await assert.rejects(fetch(touchstone.issuer));
	touchstone.remove();
});
