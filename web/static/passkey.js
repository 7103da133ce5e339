// What every ceremony needs: talking to the server, and telling a person what
// happened in words that blame nobody.

// base is the issuer's path: every path of ours begins below it.
export const base = document.documentElement.dataset.base;

export async function post(path, body, signal) {
	const response = await fetch(base + path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body), signal });
	const answer = await response.json();
	if (!response.ok) throw new Refusal(answer);
	return answer;
}

// Refusal is the server's no, with its title, sentence and next step.
export class Refusal extends Error {
	constructor(answer) {
		super(answer.sentence);
		Object.assign(this, answer);
	}
}

export const supported = () => Boolean(window.PublicKeyCredential?.parseCreationOptionsFromJSON);

export const show = (element, text, tone = "") => {
	element.textContent = text;
	element.className = "note " + tone;
	element.hidden = !text;
	if (text) element.focus();
};

// explain turns what a ceremony threw into a sentence and a tone. An empty
// sentence means that there is nothing to say (we aborted it ourselves).
export function explain(error, started) {
	if (error instanceof Refusal) return [`${error.title}. ${error.sentence} ${error.next}`, "bad"];
	switch (error.name) {
	case "AbortError":
		return ["", ""];
	case "NotAllowedError":
		return performance.now() - started > 55000
			? ["That took a little too long, so your browser stopped waiting. Nothing was changed.", ""]
			: ["The prompt was closed before it finished. Nothing was changed. If no prompt appeared, plug in or unlock your key and try again.", ""];
	case "InvalidStateError":
		return ["This key is already on your account. There is nothing left to do: sign in with it, or choose another one.", "good"];
	case "ConstraintError":
		return ["Your key could not check that it is you, or has no room left. Set a PIN on it in your system's settings, or use another key.", ""];
	case "SecurityError":
		return [`Your browser does not allow passkeys at this address (${location.origin}). Tell your administrator.`, "bad"];
	case "TypeError":
		return ["We could not reach the server. Check your connection and try again.", ""];
	}
	return ["Something unexpected happened in your browser. Nothing was changed. Please try again.", "bad"];
}
