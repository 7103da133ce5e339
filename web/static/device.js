import { post, explain, show } from "./passkey.js";

const $ = (id) => document.getElementById(id);
const message = $("message");
// A code in the fragment is typed in; it stays with the browser over the sign-in.
const given = location.hash.slice(1) || sessionStorage.getItem("device-code") || "";
if (given) sessionStorage.setItem("device-code", given);
const form = (code) => { const letters = code.toUpperCase().replace(/[^A-Z]/g, ""); return letters.length > 4 ? `${letters.slice(0, 4)}-${letters.slice(4)}` : letters; };

function done(title, text, tone) {
	sessionStorage.removeItem("device-code");
	$("title").textContent = title;
	$("ask").hidden = $("decide").hidden = true;
	show(message, text, tone);
}

async function decide(approve) {
	try {
		await post("/device/decide", { code: $("code").value, approve });
		if (approve) done("The device is connected", "You can go back to the device and close this page.", "good");
		else done("Nothing was connected", "The device was refused. You can close this page.", "");
	} catch (error) {
		show(message, ...explain(error, performance.now()));
	}
}

if ($("ask")) {
	$("code").value = form(given);
	$("code").focus();
	$("ask").addEventListener("submit", async (event) => {
		event.preventDefault();
		show(message, "");
		try {
			const found = await post("/device/find", { code: $("code").value });
			$("client").textContent = found.client;
			$("shown").textContent = form($("code").value);
			$("from").textContent = `Asked for ${found.opened}${found.address ? `, from ${found.address}` : ""}.`;
			$("permissions").replaceChildren(...found.permissions.map((text) => Object.assign(document.createElement("li"), { textContent: text })));
			$("ask").hidden = true;
			$("decide").hidden = false;
			$("no").focus();
		} catch (error) {
			show(message, ...explain(error, performance.now()));
		}
	});
	$("yes").addEventListener("click", () => decide(true));
	$("no").addEventListener("click", () => decide(false));
}
