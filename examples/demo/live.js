"use strict";
// Shows how the jobs move: fetches the middle of the page again each second.
const live = document.getElementById("live");

async function refresh() {
    try {
        const answer = await fetch("/fragment", { cache: "no-store" });
        if (!answer.ok) throw new Error(answer.statusText);
        live.innerHTML = await answer.text();
        live.classList.remove("stale");
    } catch {
        // The server is away: what is shown is old, and the next turn may find it back.
        live.classList.add("stale");
    }
    setTimeout(refresh, 1000);
}

setTimeout(refresh, 1000);
