import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { enrol, running, shoot } from "./scene.js";
import { launch, person } from "./touchstone.js";

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
