"use strict";
(() => {
  // Theme: what the system says, until the reader says otherwise. A page from a file may not remember it.
  const root = document.documentElement;
  const memory = {
    get: () => { try { return localStorage.getItem("untrained-theme"); } catch { return null; } },
    set: (name) => { try { localStorage.setItem("untrained-theme", name); } catch { /* not here */ } },
  };
  const dark = () => root.dataset.theme
    ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  if (memory.get()) root.dataset.theme = memory.get();
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-theme-button]");
    if (!button) return;
    root.dataset.theme = dark() ? "light" : "dark";
    memory.set(root.dataset.theme);
    button.setAttribute("aria-pressed", String(dark()));
  });

  // Plots: the nearest dot says what it is. Pages that are changed later need nothing more.
  const NEAR = 18; // pixels
  const known = new WeakMap();
  const data = (area) => {
    const script = area.querySelector("script");
    if (!known.has(script)) known.set(script, JSON.parse(script.textContent));
    return known.get(script);
  };
  const nearest = (area, x, y) => {
    const box = area.getBoundingClientRect();
    let best = null, least = NEAR * NEAR;
    for (const point of data(area).points) {
      const across = point[0] / 100 * box.width - x, up = point[1] / 100 * box.height - y;
      if (across * across + up * up < least) { least = across * across + up * up; best = point; }
    }
    return best;
  };
  const show = (area, left, top, text) => {
    const tip = area.querySelector(".tip");
    tip.textContent = text;
    tip.hidden = false;
    const box = area.getBoundingClientRect();
    const x = Math.max(-40, Math.min(left - tip.offsetWidth / 2, box.width - tip.offsetWidth));
    tip.style.left = `${x}px`;
    tip.style.top = `${top > tip.offsetHeight + 16 ? top - tip.offsetHeight - 14 : top + 16}px`;
  };
  const hide = (area) => { area.querySelector(".tip").hidden = true; };
  const under = (event) => {
    const area = event.target.closest?.(".plot .area");
    if (!area) return [null, null, null];
    const mark = event.target.closest(".mark");
    if (mark) return [area, mark, null];
    const box = area.getBoundingClientRect();
    return [area, null, nearest(area, event.clientX - box.left, event.clientY - box.top)];
  };
  document.addEventListener("pointermove", (event) => {
    const [area, mark, point] = under(event);
    document.querySelectorAll(".plot .tip:not([hidden])").forEach((tip) => { tip.hidden = true; });
    if (!area) return;
    const box = area.getBoundingClientRect();
    if (mark) show(area, mark.offsetLeft + 12, mark.offsetTop + 12, mark.dataset.told);
    else if (point) {
      const said = data(area);
      const note = point[5] ? ` (${point[5]})` : "";
      const text = `${point[2]}: ${said.y} ${point[3]}, ${said.x} ${point[4]}${note}`;
      show(area, point[0] / 100 * box.width, point[1] / 100 * box.height, text);
    } else hide(area);
  });
  document.addEventListener("click", (event) => {
    const [area, mark, point] = under(event);
    if (area && !mark && point && point[6]) location.href = point[6];
  });
  document.addEventListener("focusin", (event) => {
    const mark = event.target.closest?.(".plot .mark");
    if (mark) show(mark.closest(".area"), mark.offsetLeft + 12, mark.offsetTop + 12, mark.dataset.told);
  });
  document.addEventListener("focusout", (event) => {
    const mark = event.target.closest?.(".plot .mark");
    if (mark) hide(mark.closest(".area"));
  });
})();
