import { post, explain, show, supported, Refusal } from "./passkey.js";

const $ = (id) => document.getElementById(id);
const link = location.hash.slice(1); // a fragment is never sent to a server by itself

function stop(title, text) {
	$("title").textContent = title;
	$("lead").textContent = text;
	$("ready").hidden = true;
}

async function open() {
	if (!supported()) return stop("This browser cannot use passkeys", "Please open the link in a current version of Chrome, Edge, Firefox or Safari.");
	try {
		const invitation = await post("/enrol/invitation", { link });
		$("lead").textContent = `Hello ${invitation.displayName}. This takes about half a minute.`;
		$("ready").hidden = false;
		$("go").focus();
	} catch (error) {
		if (error instanceof Refusal) stop(error.title, `${error.sentence} ${error.next}`);
		else stop("We could not check your link", explain(error, performance.now())[0]);
	}
}

$("go").addEventListener("click", async () => {
	$("go").disabled = true;
	show($("message"), "");
	const started = performance.now();
	try {
		const offer = await post("/enrol/options", { link });
		const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(offer.options);
		const credential = await navigator.credentials.create({ publicKey });
		const result = await post("/enrol/finish", { link, ceremony: offer.ceremony, credential: credential.toJSON() });
		history.replaceState(null, "", location.pathname);
		$("title").textContent = "Your passkey is ready";
		$("lead").textContent = result.nickname;
		$("summary").textContent = result.summary;
		if (result.warning) show($("warning"), result.warning);
		$("ready").hidden = true;
		$("done").hidden = false;
	} catch (error) {
		const [text, tone] = explain(error, started);
		show($("message"), text, tone);
		$("go").querySelector("span").textContent = "Try again";
		if (error instanceof Refusal && error.reason.startsWith("invitation_")) stop(error.title, `${error.sentence} ${error.next}`);
	} finally {
		$("go").disabled = false;
	}
});

open();
