// Starts the real commands and the real browser for the scenarios.
import { spawn, execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, chmodSync, mkdirSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

export const root = fileURLToPath(new URL("..", import.meta.url));
export const shots = join(root, "e2e", "shots");
mkdirSync(shots, { recursive: true });

export async function freePort() {
	return new Promise((resolve, reject) => {
		const server = createServer();
		server.once("error", reject);
		server.listen(0, "127.0.0.1", () => { const { port } = server.address(); server.close(() => resolve(port)); });
	});
}

export function directory() {
	const dir = mkdtempSync(join(tmpdir(), "tse"));
	chmodSync(dir, 0o755); // the database's user must pass
	return dir;
}

// start runs "touchstone dev" until stop is called.
// A path makes it an issuer with a path.
export async function start({ state = directory(), port, gatewayPort, path = "", args = [] } = {}) {
	port ??= await freePort();
	gatewayPort ??= await freePort();
	const child = spawn(join(root, "bin", "touchstone"), ["dev", `--port=${port}`, `--gateway-port=${gatewayPort}`, `--state-dir=${state}`, `--issuer-path=${path}`, ...args], { stdio: ["ignore", "pipe", "pipe"] });
	let output = "";
	child.stdout.on("data", (data) => (output += data));
	child.stderr.on("data", (data) => (output += data));
	const exited = new Promise((resolve) => child.once("exit", (code, signal) => resolve({ code, signal })));
	const issuer = `http://localhost:${port}${path}`;
	for (let i = 0; ; i++) {
		if (child.exitCode !== null || i > 600) throw new Error("touchstone dev did not start:\n" + output);
		if (await fetch(`http://localhost:${port}/healthz`).then((r) => r.ok, () => false)) break;
		await new Promise((resolve) => setTimeout(resolve, 50));
	}
	return {
		issuer, gateway: `http://localhost:${gatewayPort}`, state, port, gatewayPort, exited,
		link: () => output.match(/http:\S+\/enrol#\S+/)?.[0],
		output: () => output,
		kill: () => { child.kill("SIGKILL"); return exited; },
		stop: () => { child.kill("SIGINT"); return exited; },
		command: (...command) => execFileSync(join(root, "bin", "touchstone"), [...command, `--state-dir=${state}`], { encoding: "utf8", cwd: state }).trim(),
		remove: () => rmSync(state, { recursive: true, force: true }),
	};
}

// metadata writes a private BLOB for Chromium's virtual authenticator.
export function metadata(attestationObject, ...more) {
	const dir = directory();
	execFileSync("go", ["run", "./e2e/chromium-metadata", dir, ...more], { cwd: root, input: attestationObject });
	return [`--metadata=${join(dir, "blob.jwt")}`, `--metadata-roots=${join(dir, "roots.pem")}`];
}

export async function launch() {
	const executablePath = ["/usr/bin/chromium", "/usr/bin/google-chrome"].find((path) => existsSync(path));
	if (!executablePath) throw new Error("these scenarios need Chromium: apt-get install chromium");
	return chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"] });
}

// person opens a page with a virtual authenticator of its own.
export async function person(browser, options = {}) {
	const context = await browser.newContext({ reducedMotion: "reduce", ...options });
	const page = await context.newPage();
	const faults = [];
	page.on("pageerror", (error) => faults.push(String(error)));
	const cdp = await context.newCDPSession(page);
	await cdp.send("WebAuthn.enable");
	const { authenticatorId } = await cdp.send("WebAuthn.addVirtualAuthenticator", { options: {
		protocol: "ctap2", ctap2Version: "ctap2_1", transport: "usb", hasResidentKey: true, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true } });
	return { context, page, cdp, authenticatorId, faults };
}
