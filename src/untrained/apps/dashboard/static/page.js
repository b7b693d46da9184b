"use strict";
// What changes while one looks: numbers as the server tells of them, figures fetched anew when they have changed.
(() => {
  const SELDOM = 2000; // milliseconds between two fetches of the page
  const body = document.body;
  const trouble = document.querySelector("[data-trouble]");
  const follow = document.querySelector("[data-follow]");
  let shown = body.dataset.changed, fetched = Date.now(), waiting = null, busy = false;

  const following = () => (!follow || follow.checked) && document.visibilityState === "visible";
  const tell = (text) => { trouble.textContent = text; trouble.hidden = !text; };

  const put = (news) => {
    tell(news.trouble);
    for (const place of document.querySelectorAll("[data-live]")) {
      const text = news[place.dataset.live];
      if (text !== undefined && place.textContent !== text) place.textContent = text;
    }
    for (const place of document.querySelectorAll("[data-live-width]")) {
      if (news.share !== undefined) place.style.width = `${news.share}%`;
    }
    if (news.running !== undefined) {
      document.querySelector(".now .phase")?.classList.toggle("on", news.running);
    }
  };

  // A part in which somebody types or points at something stays as it is until they have done.
  const held = (part) => part.contains(document.activeElement) || part.querySelector(".tip:not([hidden])");
  const swap = (text) => {
    const fresh = new DOMParser().parseFromString(text, "text/html");
    for (const part of document.querySelectorAll("[data-part]")) {
      const now = fresh.querySelector(`[data-part="${part.dataset.part}"]`);
      if (!now || held(part) || now.innerHTML === part.innerHTML) continue;
      const open = [...part.querySelectorAll("details")].map((one) => one.open);
      part.innerHTML = now.innerHTML;
      part.querySelectorAll("details").forEach((one, i) => { one.open = Boolean(open[i]); });
    }
    shown = fresh.body.dataset.changed;
    if (shown === "behind" && waiting === null) waiting = setTimeout(refresh, 2 * SELDOM); // it still draws
  };

  const refresh = async () => {
    waiting = null;
    if (busy || !following()) return;
    busy = true;
    fetched = Date.now();
    try {
      const answer = await fetch(location.href, { headers: { accept: "text/html" } });
      if (answer.ok) swap(await answer.text());
    } catch { /* the stream says so */ } finally { busy = false; }
  };

  const heard = (news) => {
    if (following()) put(news); else tell(news.trouble);
    if (String(news.changed) !== shown && waiting === null) {
      waiting = setTimeout(refresh, Math.max(0, SELDOM - (Date.now() - fetched)));
    }
  };

  // The list watches the whole store, a study's page its study; pages that do not change watch nothing.
  const address = body.dataset.watch || (location.pathname === "/" ? "/events" : "");
  if (!address) return;
  const stream = new EventSource(address);
  stream.addEventListener("message", (event) => heard(JSON.parse(event.data)));
  stream.addEventListener("error", () => tell("The dashboard does not answer; trying again. Was it ended?"));
  addEventListener("pagehide", () => stream.close());
  document.addEventListener("visibilitychange", () => { if (waiting === null) waiting = setTimeout(refresh, 0); });
  follow?.addEventListener("change", () => { if (waiting === null) waiting = setTimeout(refresh, 0); });
})();
