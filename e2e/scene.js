// What many scenarios do.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { join } from "node:path";
import { freePort, person, shots, start } from "./touchstone.js";

// running starts a Touchstone that ends with the test.
export async function running(t, ...args) {
	const touchstone = await start({ args });
	t.after(async () => { await touchstone.stop(); touchstone.remove(); });
	return touchstone;
}

// shoot takes pictures in light, dark and at a phone's width, where nothing may stick out.
export async function shoot(page, name) {
	for (const colorScheme of ["light", "dark"]) {
		await page.emulateMedia({ colorScheme });
		await page.screenshot({ path: join(shots, `${name}-${colorScheme}.png`), fullPage: true });
	}
	const size = page.viewportSize();
	await page.emulateMedia({ colorScheme: "light" });
	await page.setViewportSize({ width: 375, height: 740 });
	assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= 375), name + " is wider than a phone");
	await page.screenshot({ path: join(shots, `${name}-phone.png`), fullPage: true });
	await page.setViewportSize(size);
}

// learnAttestation returns an attestation object of Chromium's virtual
// authenticator, whose key is the same in every run.
export async function learnAttestation(browser) {
	const t = await start();
	const p = await person(browser);
	await p.page.goto(t.issuer + "/enrol");
	const attestation = await p.page.evaluate(async () => {
		const random = (n) => crypto.getRandomValues(new Uint8Array(n));
		const made = await navigator.credentials.create({ publicKey: { rp: { name: "x" }, user: { id: random(16), name: "x", displayName: "x" }, challenge: random(32),
			pubKeyCredParams: [{ type: "public-key", alg: -7 }], attestation: "direct" } });
		return made.toJSON().response.attestationObject;
	});
	await p.context.close();
	await t.stop();
	t.remove();
	return attestation;
}

// enrol follows an enrolment link.
export async function enrol(p, link) {
	await p.page.goto("about:blank");
	await p.page.goto(link);
	await p.page.getByRole("button", { name: "Create a passkey" }).click();
	await p.page.getByText("Your passkey is ready").waitFor();
}

// signIn presses the button of the sign-in page.
export async function signIn(p) {
	await p.page.waitForURL(/\/signin\?request=/);
	await p.page.getByRole("button", { name: "Sign in with a passkey" }).click();
}

// catcher is a web server of a client: it serves pages, and hands on what arrives at /cb.
export async function catcher(t, pages = {}) {
	const port = await freePort(), waiting = [], arrived = [];
	const server = createServer((request, response) => {
		let body = "";
		request.on("data", (data) => (body += data));
		request.on("end", () => {
			const url = new URL(request.url, `http://127.0.0.1:${port}`);
			const page = pages[url.pathname];
			if (page) return response.writeHead(200, { "Content-Type": page.type ?? "text/html" }).end(page.body);
			response.end("ok");
			if (url.pathname !== "/cb" && url.pathname !== "/out") return;
			const got = { url, form: new URLSearchParams(body), method: request.method };
			waiting.length ? waiting.shift()(got) : arrived.push(got);
		});
	});
	await new Promise((resolve) => server.listen(port, "127.0.0.1", resolve));
	t.after(() => server.close());
	return { port, redirect: `http://127.0.0.1:${port}/cb`, origin: `http://127.0.0.1:${port}`, next: () => (arrived.length ? Promise.resolve(arrived.shift()) : new Promise((resolve) => waiting.push(resolve))) };
}

// register creates a client and waits until the server knows it; it returns the secret.
export async function register(touchstone, id, redirect, ...flags) {
	const secret = touchstone.command("client", "create", id, `--redirect-uri=${redirect}`, ...flags);
	for (let i = 0; ; i++) {
		const answer = await fetch(`${touchstone.issuer}/authorize?client_id=${id}&redirect_uri=${encodeURIComponent(redirect)}`, { redirect: "manual" });
		if (answer.status !== 400) return secret;
		assert.ok(i < 100, `the server does not learn of client ${id}`);
		await new Promise((resolve) => setTimeout(resolve, 50));
	}
}
