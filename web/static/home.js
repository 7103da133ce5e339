import { post, explain, show } from "./passkey.js";

const message = document.getElementById("message");

async function act(path, body) {
	try {
		await post(path, body);
		location.reload();
	} catch (error) {
		show(message, ...explain(error, performance.now()));
	}
}

document.getElementById("add")?.addEventListener("click", async () => {
	const started = performance.now();
	show(message, "");
	try {
		const offer = await post("/account/add/options", {});
		const credential = await navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(offer.options) });
		await post("/account/add/finish", { ceremony: offer.ceremony, credential: credential.toJSON() });
		location.reload();
	} catch (error) {
		show(message, ...explain(error, started));
	}
});

document.addEventListener("click", (event) => {
	const button = event.target.closest("[data-action]");
	if (!button) return;
	const item = button.closest("[data-id]");
	const id = item.dataset.id;
	switch (button.dataset.action) {
	case "rename": {
		const nickname = prompt("A name for this passkey", item.querySelector(".nickname").textContent);
		if (nickname) act("/account/rename", { id, nickname });
		break;
	}
	case "remove":
		if (confirm(`Remove “${item.querySelector(".nickname").textContent}” from your account? Applications that you opened with it lose their access. The passkey itself stays on the device until you delete it there.`)) act("/account/remove", { id });
		break;
	case "withdraw":
		if (confirm(`Take back what “${item.querySelector(".nickname").textContent}” may do? Its access ends at once.`)) act("/account/withdraw", { id });
		break;
	case "dismiss":
		act("/account/dismiss", { id });
		break;
	case "revoke":
		act("/account/revoke", { id });
	}
});
