import { post, explain, show } from "./passkey.js";

const request = document.getElementById("consent").dataset.request;

for (const [id, agree] of [["yes", true], ["no", false]])
	document.getElementById(id).addEventListener("click", async () => {
		try {
			location.assign((await post("/consent", { request, agree })).location);
		} catch (error) {
			show(document.getElementById("message"), ...explain(error, performance.now()));
		}
	});
