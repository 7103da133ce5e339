// The token bench: a token is decoded here, and the development server says what
// the policies of every operation make of it. Nothing is stored.
import { show } from "./passkey.js";

const $ = (id) => document.getElementById(id);
const make = (name, text, kind = "") => Object.assign(document.createElement(name), { textContent: text, className: kind });

export function startBench({ bench, read, mine }) {
	const ask = async (path, body) => {
		const response = await fetch(bench + path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
		const answer = await response.json();
		if (!response.ok) throw new Error(answer.error || answer.sentence);
		return answer;
	};

	// bare is the token in what people paste: a header, a scheme, line breaks, quotes.
	const bare = (text) => text.replace(/^\s*authorization\s*:/i, "").replace(/^\s*bearer\s+/i, "").replace(/[\s"']+/g, "");

	// decode shows what the token says; one that cannot be decoded is judged all the same.
	function decode(token) {
		show($("unread"), "");
		$("pastedraw").hidden = true;
		try {
			const [header, payload] = read(token);
			$("pastedjson").textContent = JSON.stringify({ header, payload }, null, 2);
			$("pastedraw").hidden = false;
		} catch {
			show($("unread"), "This cannot be decoded as a JWT: it has to be three parts of base64url with dots between.", "bad");
		}
	}

	async function check(token) {
		if (!token) return complain("Paste a token first.");
		decode(token);
		try {
			present(token, await ask("/explain", { token }));
		} catch (error) {
			complain(error.message);
		}
	}

	function complain(text) {
		$("judgements").hidden = true;
		show($("unread"), text, "bad");
	}

	function present(token, judgements) {
		const refused = judgements.filter((j) => !j.passed);
		$("judged").textContent = refused.length === 0 ? "Every operation would let it pass" : `${refused.length} of ${judgements.length} operations would refuse it`;
		// The operation that a sandbox token was made for comes first.
		const wanted = $("target").selectedOptions[0]?.dataset ?? {};
		const first = (j) => (j.api === wanted.api && j.operation === wanted.operation ? 0 : 1);
		$("judgementlist").replaceChildren(...judgements.toSorted((a, b) => first(a) - first(b)).map((j) => card(token, j)));
		$("copied").textContent = "";
		$("judgements").hidden = false;
		$("judgements").focus();
	}

	function card(token, j) {
		const li = make("li", "", "decision " + (j.passed ? "passed" : "refused"));
		li.append(make("h4", `${j.passed ? "Would pass" : `Refused: ${j.status}`} · ${j.title || j.operation}`));
		const place = make("p", "", "quiet");
		place.append(make("code", `${j.method} ${new URL(j.url).pathname}`));
		li.append(place);
		const failed = j.steps.find((s) => s.result === "failed");
		if (failed) li.append(reasons(failed));
		if (j.challenge) li.append(detail("The challenge that the client reads", j.challenge));
		const copy = make("button", j.passed ? "Copy as curl" : "Copy a failing curl", "small");
		copy.type = "button";
		copy.addEventListener("click", async () => {
			await navigator.clipboard.writeText(`curl -i -X ${j.method} -H 'Authorization: Bearer ${token}' '${j.url}'`);
			$("copied").textContent = "Copied. The command holds the token; whoever reads it can use it until it ends.";
		});
		li.append(copy);
		return li;
	}

	function detail(title, text) {
		const details = document.createElement("details");
		details.append(make("summary", title), make("pre", text));
		return details;
	}

	function reasons(step) {
		const dl = make("dl", "", "reasons");
		const lines = { Check: `${step.policy}${step.id ? ` ${step.id}` : ""}${step.scope ? `, ${step.scope} scope` : ""}`, Failed: step.message, Had: step.found, Needed: step.wanted, "Usual cause": step.cause, Fix: step.hint, "In the trace": step.trace };
		for (const [label, text] of Object.entries(lines)) if (text) dl.append(make("dt", label), make("dd", text));
		return dl;
	}

	$("check").addEventListener("submit", (event) => { event.preventDefault(); check(bare($("pasted").value)); });
	$("mine").addEventListener("click", () => {
		if (!mine()) return complain("Sign in first: there is no token of yours yet.");
		$("pasted").value = mine();
		check(mine());
	});
	$("make").addEventListener("submit", async (event) => {
		event.preventDefault();
		const flaws = [...$("make").querySelectorAll("input:checked")].map((input) => input.value);
		try {
			const made = await ask("/token", { ...$("target").selectedOptions[0].dataset, flaws });
			$("pasted").value = made.token;
			await check(made.token);
		} catch (error) {
			complain(error.message);
		}
	});
}
