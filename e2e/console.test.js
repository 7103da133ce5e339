// The administration console in a real browser.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { enrol, learnAttestation, running, shoot } from "./scene.js";
import { directory, launch, metadata, person, root } from "./touchstone.js";

let browser, attestation;

before(async () => {
	browser = await launch();
	attestation = await learnAttestation(browser);
});

after(async () => browser?.close());

const script = `"><script>document.title="taken"</script><img src=x onerror="document.title='taken'">`;

// trust writes a trust file with a console that asks for a hardware key.
function trust(level = "phrh") {
	const file = join(directory(), "trust.yaml");
	writeFileSync(file, `
apis: [{name: orders, audience: "http://localhost/orders", path: /orders, operations: [{name: list, method: GET, url: /}]}]
clients:
  - {id: playground, name: Playground, redirect_uris: ["http://localhost/cb"], scopes: [openid], apis: [orders]}
  - {id: legacy, name: ${JSON.stringify(script)}, kind: confidential, pkce_exempt: true, redirect_uris: ["https://legacy.example/cb"], backchannel_logout_uri: "https://legacy.example/out", scopes: [openid], apis: []}
levels: [{name: company, facts: [uv, attested], certification: [fido_l1], models: {allow: [{vendor: Chromium}], deny: [{name: "Old *"}]}}]
rules: [{name: staff-keys, groups: [staff], level: company, mode: monitor}, {name: hardware-for-everybody, level: phrh, mode: monitor, at: [sign-in]}]
console: {group: administrators, level: ${level}}
`);
	return `--trust=${file}`;
}

// signInTo opens a page of the console by way of the sign-in page.
async function signInTo(p, address) {
	await p.page.goto(address);
	await p.page.waitForURL(/\/signin\?return=/);
	await p.page.getByRole("button", { name: "Sign in with a passkey" }).click();
	await p.page.waitForURL(address);
}

const heading = (p, name) => p.page.getByRole("heading", { name, level: 1 }).waitFor();

test("an administrator with a hardware key looks at everything, and acts", async (t) => {
	const touchstone = await running(t, trust(), ...metadata(attestation));
	const ada = await person(browser, { permissions: ["clipboard-read", "clipboard-write"] }), bob = await person(browser);
	await enrol(ada, touchstone.link());
	await ada.page.goto(touchstone.issuer + "/console");
	await ada.page.getByText("to continue to the console").waitFor();
	await shoot(ada.page, "console-signin");
	await ada.page.getByRole("button", { name: "Sign in with a passkey" }).click();
	await heading(ada, "Overview");
	await shoot(ada.page, "console-overview");

	// Invite somebody, whose name is an attack.
	await ada.page.getByRole("link", { name: "People", exact: true }).click();
	await ada.page.getByRole("link", { name: "Invite somebody" }).click();
	await shoot(ada.page, "console-invite");
	await ada.page.getByRole("button", { name: "Create the account and the link" }).click();
	await ada.page.getByRole("alert").waitFor();
	await shoot(ada.page, "console-invite-problem");
	await ada.page.getByLabel("Name to sign in with").fill("bob");
	await ada.page.getByLabel("Name that people read").fill(script);
	await ada.page.getByRole("button", { name: "Create the account and the link" }).click();
	await ada.page.getByRole("button", { name: "Copy" }).click();
	await shoot(ada.page, "console-link");
	const link = await ada.page.evaluate(() => navigator.clipboard.readText());
	assert.match(link, /\/enrol#/);
	await enrol(bob, link);
	await bob.page.goto(touchstone.issuer + "/signin");
	await bob.page.getByRole("button", { name: "Sign in with a passkey" }).click();
	await bob.page.getByRole("button", { name: "Sign out everywhere" }).waitFor();

	// Somebody else finds nothing.
	assert.equal((await bob.page.goto(touchstone.issuer + "/console")).status(), 404);
	await bob.page.getByText("There is nothing here").waitFor();

	await ada.page.getByRole("link", { name: "I have put it where it belongs" }).click();
	await ada.page.getByText("Chromium Virtual Key").first().waitFor();
	const bobs = ada.page.url();
	await shoot(ada.page, "console-person");
	await ada.page.goto(touchstone.issuer + "/console/people");
	await shoot(ada.page, "console-people");
	await ada.page.getByLabel("Name, group or id").fill("zzz");
	await ada.page.keyboard.press("Enter");
	await ada.page.getByText("Nobody is like that").waitFor();
	await shoot(ada.page, "console-people-empty");

	// Suspend, by keyboard alone.
	await ada.page.goto(bobs);
	await ada.page.getByRole("link", { name: "Suspend", exact: true }).focus();
	await ada.page.keyboard.press("Enter");
	await ada.page.getByText("1 session will end").waitFor();
	await shoot(ada.page, "console-suspend");
	await ada.page.getByRole("button", { name: /^Suspend/ }).focus();
	await ada.page.keyboard.press("Enter");
	await ada.page.getByText("Every session and all access have ended").waitFor();
	await shoot(ada.page, "console-suspended");
	await bob.page.goto(touchstone.issuer + "/");
	await bob.page.getByRole("link", { name: "Sign in" }).waitFor();

	// The last administrator stays.
	await ada.page.goto(touchstone.issuer + "/console/people?show=administrators");
	await ada.page.getByRole("link", { name: "Ada", exact: true }).click();
	await ada.page.getByRole("link", { name: "Suspend", exact: true }).click();
	await ada.page.getByRole("button", { name: "Suspend Ada" }).click();
	await ada.page.getByText("There is no other administrator").waitFor();
	await shoot(ada.page, "console-refused");

	for (const [section, title] of [["Clients", "Clients"], ["Trust", "Trust file"], ["Keys", "Signing keys"], ["Metadata", "Metadata"], ["Record", "Record"]]) {
		await ada.page.goto(touchstone.issuer + "/console");
		await ada.page.getByRole("navigation").getByRole("link", { name: section, exact: true }).click();
		await heading(ada, title);
		await shoot(ada.page, "console-" + section.toLowerCase());
	}
	await ada.page.goto(touchstone.issuer + "/console/clients");
	await ada.page.getByRole("link", { name: "Register a client" }).click();
	await ada.page.getByLabel("client_id").fill("shop");
	await ada.page.getByLabel("Name that people read").fill("Shop");
	await ada.page.getByLabel("Kind", { exact: true }).selectOption("confidential");
	await ada.page.getByRole("button", { name: "Register the client" }).click();
	await ada.page.getByText("needs a redirect URI").waitFor();
	assert.equal(await ada.page.evaluate(() => document.activeElement.getAttribute("role")), "alert", "the problem has no focus");
	await shoot(ada.page, "console-register");
	await ada.page.getByLabel("Redirect URIs").fill("https://shop.example/cb");
	await ada.page.getByRole("checkbox", { name: /openid/ }).check();
	await ada.page.getByRole("button", { name: "Register the client" }).click();
	await ada.page.getByText("kept only as a hash").waitFor();
	await ada.page.getByRole("link", { name: "I have put it where it belongs" }).click();
	await ada.page.getByRole("link", { name: "Preview a token" }).click();
	await ada.page.getByText("may call no API").waitFor();
	await ada.page.goto(touchstone.issuer + "/console/clients/playground/preview");
	await ada.page.getByLabel("Person").fill("Ada");
	await ada.page.keyboard.press("Enter");
	await ada.page.getByText('"acr": "company"').waitFor();
	await shoot(ada.page, "console-preview");
	await ada.page.goto(touchstone.issuer + "/console/clients/legacy");
	await ada.page.getByText("This client is exempt from PKCE").waitFor();
	await shoot(ada.page, "console-client");
	await ada.page.getByRole("link", { name: "Make a new secret" }).click();
	await ada.page.getByRole("button", { name: "Make a new secret" }).click();
	await ada.page.getByText("kept only as a hash").waitFor();
	await ada.page.goto(touchstone.issuer + "/console/keys/RS256/emergency");
	await shoot(ada.page, "console-emergency");
	await ada.page.getByLabel("Why, for the record").fill("the scenario says so");
	await ada.page.getByLabel("Distrust the standby as well").check();
	await ada.page.getByRole("button", { name: "Withdraw the keys of RS256" }).click();
	await ada.page.getByText(/may still accept it until exactly/).waitFor();
	await shoot(ada.page, "console-withdrawn");
	assert.ok(await ada.page.locator("figure img").evaluate((img) => img.complete && img.naturalWidth > 100), "the timeline is not drawn");

	// The record names her, and the proof convinces the auditors' program.
	await ada.page.goto(touchstone.issuer + "/console/record?by=Ada&action=user.suspended");
	await ada.page.getByRole("link", { name: /was suspended, by Ada/ }).click();
	for (let i = 0; !(await ada.page.getByText("that was just verified").isVisible()); i++) {
		assert.ok(i < 100, "the entry gets no place in the log");
		await ada.page.reload();
	}
	await shoot(ada.page, "console-entry");
	const [download] = await Promise.all([ada.page.waitForEvent("download"), ada.page.getByRole("link", { name: "Download the proof" }).click()]);
	const file = join(directory(), download.suggestedFilename());
	await download.saveAs(file);
	assert.match(execFileSync(join(root, "bin", "touchstone-audit"), [file, `--key=${touchstone.command("audit", "key")}`], { encoding: "utf8", env: {} }), /user\.suspended/);
	for (const p of [ada, bob]) {
		assert.deepEqual(p.faults, []);
		assert.notEqual(await p.page.title(), "taken");
	}
});

test("the console asks for a hardware key, and for the group at every click", async (t) => {
	const touchstone = await running(t, trust(), ...metadata(attestation, "foreign"));
	const ada = await person(browser);
	await enrol(ada, touchstone.link());
	await ada.page.goto(touchstone.issuer + "/console/people");
	await ada.page.getByRole("button", { name: "Sign in with a passkey" }).click();
	await ada.page.getByText("The passkey that you used is not of the kind it asks for").waitFor();
	assert.match(ada.page.url(), /\/signin\?return=%2Fconsole%2Fpeople$/);
	await shoot(ada.page, "console-weak");
	assert.deepEqual(ada.faults, []);
});

test("another site cannot act, and who is taken out of the group is out at the next click", async (t) => {
	const touchstone = await running(t, trust("phr"));
	const ada = await person(browser);
	await enrol(ada, touchstone.link());
	await signInTo(ada, touchstone.issuer + "/console/people?show=administrators");
	await ada.page.getByRole("link", { name: "Ada", exact: true }).click();
	const target = ada.page.url() + "/signout";
	const evil = createServer((_, response) => response.writeHead(200, { "Content-Type": "text/html" }).end(`<form method="post" action="${target}"><button>Win a prize</button></form>`));
	await new Promise((resolve) => evil.listen(0, "127.0.0.1", resolve));
	t.after(() => evil.close());
	await ada.page.goto(`http://127.0.0.1:${evil.address().port}/`);
	await ada.page.getByRole("button", { name: "Win a prize" }).click();
	await ada.page.waitForURL(target);
	assert.equal(await ada.page.getByRole("heading", { name: "Overview" }).count(), 0);
	await ada.page.goto(touchstone.issuer + "/console");
	if (ada.page.url().includes("/signin")) assert.fail("the other site signed her out");
	await heading(ada, "Overview");
	touchstone.command("user", "groups", "Ada", "staff");
	assert.equal((await ada.page.goto(touchstone.issuer + "/console/people")).status(), 404);
	assert.deepEqual(ada.faults, []);
});
