// Keeps what is on the page current: fetches the same page and swaps the parts that are marked as live. It leaves a page
// alone that nobody sees or that somebody works on. Without it, reloading does the same.
"use strict";
(() => {
  const every = 5000;
  const pulse = document.getElementById("pulse");
  const parts = () => document.querySelectorAll("[data-live]");
  if (!pulse || parts().length === 0) return;

  // A part that somebody works in would change under their hands: one that has the focus, ticks, or selected text.
  const busy = (part) =>
    part.contains(document.activeElement) ||
    part.querySelector("input:checked") !== null ||
    (!getSelection().isCollapsed && part.contains(getSelection().anchorNode));

  const say = (text) => {
    pulse.textContent = text;
    pulse.hidden = text === "";
  };

  async function look() {
    if (document.hidden) return;
    try {
      const answer = await fetch(location.href, { credentials: "same-origin", cache: "no-store" });
      if (!answer.ok) throw new Error(answer.status);
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const part of parts()) {
        const now = fresh.getElementById(part.id);
        if (!now || busy(part)) continue;
        // What somebody has opened stays open.
        for (const open of part.querySelectorAll("details[open][id]")) {
          now.querySelector(`#${open.id}`)?.setAttribute("open", "");
        }
        if (now.outerHTML !== part.outerHTML) part.replaceWith(document.adoptNode(now));
      }
      say("");
    } catch {
      say("not current");
    }
  }

  async function go() {
    await look();
    setTimeout(go, every);
  }
  setTimeout(go, every);
  document.addEventListener("visibilitychange", look);
})();
