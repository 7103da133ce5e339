import { post, explain, show, supported, Refusal } from "./passkey.js";

const $ = (id) => document.getElementById(id);
const { request, return: back } = $("signin").dataset;
let waiting; // the conditional request, aborted before a modal one starts

async function attempt(mediation, signal) {
	const offer = await post("/signin/options", {}, signal);
	const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(offer.options);
	const credential = await navigator.credentials.get({ publicKey, mediation, signal });
	$("go").disabled = true;
	try {
		const done = await post("/signin/finish", { request, return: back, ceremony: offer.ceremony, credential: credential.toJSON() });
		location.assign(done.location);
	} catch (error) {
		if (error instanceof Refusal && error.reason === "credential_unknown")
			await PublicKeyCredential.signalUnknownCredential?.({ rpId: offer.options.rpId, credentialId: credential.id }).catch(() => {});
		throw error;
	}
}

function failed(error, started) {
	const [text, tone] = explain(error, started);
	if (!text) return;
	show($("message"), text, tone);
	$("go").querySelector("span").textContent = "Try again";
}

$("go").addEventListener("click", async () => {
	const started = performance.now();
	waiting?.abort();
	waiting = undefined;
	show($("message"), "");
	$("go").disabled = true;
	try {
		await attempt("optional");
	} catch (error) {
		failed(error, started);
		$("go").disabled = false;
		$("go").focus();
		offerAutofill();
	}
});

$("decline")?.addEventListener("click", async () => {
	waiting?.abort();
	waiting = undefined;
	try {
		location.assign((await post("/signin/decline", { request })).location);
	} catch (error) {
		failed(error, performance.now());
	}
});

// offerAutofill lists passkeys in the field where the browser can, and renews
// the challenge silently before it runs out.
async function offerAutofill() {
	if (!(await PublicKeyCredential.isConditionalMediationAvailable?.())) return;
	$("autofill").hidden = false;
	const mine = (waiting = new AbortController());
	const renew = setTimeout(() => { mine.abort(); if (waiting === mine) offerAutofill(); }, 4 * 60 * 1000);
	const started = performance.now();
	try {
		await attempt("conditional", mine.signal);
	} catch (error) {
		if (error instanceof Refusal) { failed(error, started); $("go").disabled = false; }
	} finally {
		clearTimeout(renew);
	}
}

if (supported()) offerAutofill();
else {
	$("go").disabled = true;
	show($("message"), "This browser cannot use passkeys. Please use a current version of Chrome, Edge, Firefox or Safari.", "bad");
}
