/* What HTML and htmx cannot do alone: theme, toasts, dialogs, focus after a swap, busy buttons, menus by keyboard,
   a lost connection, a session that ended. Loaded before the page is drawn, so that a chosen theme never flashes. */
"use strict";

const root = document.documentElement;
const find = (selector, within = document) => within.querySelector(selector);
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const on = (name, listener, options) => document.addEventListener(name, listener, options);

/* Theme ---------------------------------------------------------------------------------------------- */

function remembered() {
  try { return localStorage.getItem("theme") || ""; } catch { return ""; } // storage may be forbidden
}

function useTheme(theme) {
  if (theme) root.dataset.theme = theme; else delete root.dataset.theme;
  all("[data-theme-choice]").forEach((choice) => choice.setAttribute("aria-pressed", choice.dataset.themeChoice === theme));
}
useTheme(remembered());

/* Toasts --------------------------------------------------------------------------------------------- */

const DONE_MS = 8000;
const SHOWN_AT_MOST = 3;

function live(toast) {
  if (toast.dataset.kind !== "done") return;
  let timer = setTimeout(() => toast.remove(), DONE_MS);
  const stay = () => clearTimeout(timer);
  const leave = () => { stay(); timer = setTimeout(() => toast.remove(), DONE_MS); };
  toast.addEventListener("mouseenter", stay);
  toast.addEventListener("focusin", stay);
  toast.addEventListener("mouseleave", leave);
  toast.addEventListener("focusout", leave);
}

/* `news`: sentence, kind (done, failed, running), and optionally id, label with url (method: get or post) or with `act`. */
function raiseToast({ sentence, kind = "done", id, label, url, method = "get", act }) {
  const toast = find(`#toast-${kind}`).content.firstElementChild.cloneNode(true);
  find(".sm-toast-sentence", toast).textContent = sentence;
  if (label) {
    const link = document.createElement(url && method === "get" ? "a" : "button");
    link.className = "sm-toast-act";
    link.textContent = label;
    if (link.tagName === "A") link.href = url;
    else if (url) { link.setAttribute("hx-post", url); link.setAttribute("hx-swap", "none"); }
    link.addEventListener("click", () => { if (act) act(); setTimeout(() => toast.remove()); });
    find(".sm-toast-close", toast).before(link);
  }
  if (id) { document.getElementById(id)?.remove(); toast.id = id; }
  const region = find("#toasts");
  region.append(toast);
  all(".sm-toast", region).slice(0, -SHOWN_AT_MOST).forEach((old) => old.remove());
  if (url) htmx.process(toast);
  live(toast);
}

on("toast", ({ detail }) => (Array.isArray(detail.value) ? detail.value : [detail]).forEach(raiseToast));
on("click", (event) => event.target.closest("[data-close-toast]")?.closest(".sm-toast").remove());

/* Dialogs -------------------------------------------------------------------------------------------- */

const dialog = () => find("#dialog-host");

function openDialog() {
  const host = dialog();
  if (host.open) return;
  host.opener = document.activeElement;
  host.showModal();
  host.append(find("#toasts")); // what lies outside an open dialog cannot be clicked
}

on("close", ({ target }) => {
  if (target !== dialog()) return;
  document.body.append(find("#toasts"));
  find("#dialog").replaceChildren();
  target.opener?.isConnected && target.opener.focus();
}, true);

on("click", (event) => {
  const host = event.target.closest("dialog");
  if (host && event.target.closest("[data-close]")) { event.preventDefault(); host.close(); }
});
on("mousedown", (event) => {
  // The backdrop belongs to the dialog itself. A press, not a click: selecting text may end out there.
  const { target: host, clientX: x, clientY: y } = event;
  if (host.tagName !== "DIALOG" || host.id === "session-ended") return;
  const box = host.getBoundingClientRect();
  if (x < box.left || x > box.right || y < box.top || y > box.bottom) host.close();
});
on("close-dialog", () => dialog().open && dialog().close());

/* Swaps: where an error goes, and where the focus goes ------------------------------------------------- */

on("htmx:beforeSwap", ({ detail }) => {
  const { xhr, target } = detail;
  if (xhr.status >= 400 && xhr.responseText.includes("data-problem")) {
    detail.shouldSwap = true;
    detail.target = find(dialog().open ? "#dialog [data-problem-place]" : "#problem") || target;
    detail.swapOverride = "innerHTML";
  }
  detail.target.hadFocus = detail.target.contains(document.activeElement);
});

on("htmx:afterSettle", ({ detail }) => {
  const came = detail.target.id === "dialog" || detail.target.isConnected ? detail.target : detail.elt;
  const intoDialog = came.id === "dialog" && came.hasChildNodes();
  if (intoDialog) openDialog();
  const kept = document.activeElement !== document.body && document.activeElement !== dialog();
  if (detail.xhr?.status === 422 || intoDialog || (detail.target.hadFocus && !kept)) {
    const place = find("[aria-invalid='true']", came) || find("[autofocus]", came) || (kept && !intoDialog ? null : find("h1, h2, h3", came));
    place?.focus();
  }
});

/* Busy buttons ----------------------------------------------------------------------------------------- */

function setBusy(button, busy) {
  if (!button?.matches?.("button")) return;
  if (busy) button.setAttribute("aria-busy", "true"); else button.removeAttribute("aria-busy");
}

on("submit", (event) => {
  if (event.submitter?.getAttribute("aria-busy")) { event.preventDefault(); event.stopPropagation(); }
  else if (!event.target.matches("[method=dialog], [download]")) setTimeout(() => setBusy(event.submitter, !event.defaultPrevented));
}, true);
const pressed = ({ elt, requestConfig }) => requestConfig?.triggeringEvent?.submitter || elt;
on("htmx:beforeSend", ({ detail }) => setBusy(pressed(detail), true));
on("htmx:afterRequest", ({ detail }) => setBusy(pressed(detail), false));
addEventListener("pageshow", ({ persisted }) => persisted && all("[aria-busy]").forEach((button) => setBusy(button, false)));

/* Connection lost, session ended, something broke ------------------------------------------------------- */

function repeat({ verb, path, elt, target, triggeringEvent }) {
  const { name, value } = triggeringEvent?.submitter || {};
  htmx.ajax(verb.toUpperCase(), path, { source: elt, target, values: name ? { [name]: value } : {} });
}

on("htmx:sendError", ({ detail }) => {
  const config = detail.requestConfig;
  const reading = config.verb === "get"; // a write may have arrived: only a person repeats it
  const waiting = reading && setTimeout(() => repeat(config), 5000);
  const sentence = "No connection. What you typed is still here" + (reading ? "; we try again in 5 seconds." : ".");
  raiseToast({ id: "toast-connection", kind: "failed", sentence, label: "Try now", act: () => { clearTimeout(waiting); repeat(config); } });
});
on("htmx:afterRequest", ({ detail }) => { if (detail.xhr.status) find("#toast-connection")?.remove(); });

let stopped = null; // the request that found the session ended

on("htmx:responseError", ({ detail }) => {
  if (detail.xhr.status === 401) {
    stopped = detail.requestConfig;
    if (!find("#session-ended").open) find("#session-ended").showModal();
  } else if (!detail.xhr.responseText.includes("data-problem")) {
    raiseToast({ kind: "failed", sentence: `That did not work (${detail.xhr.status}). Your last change was not saved.` });
  }
});

async function goOn() {
  const page = await fetch(location.href).catch(() => null);
  const fresh = page?.ok && new DOMParser().parseFromString(await page.text(), "text/html");
  if (!fresh || !find("#rail", fresh)) { find("#session-ended-note").textContent = "Not signed in yet."; return; }
  const headers = fresh.body.getAttribute("hx-headers"); // a new session has a new token
  document.body.setAttribute("hx-headers", headers);
  all("input[name=csrf_token]").forEach((input) => { input.value = JSON.parse(headers)["X-CSRFToken"]; });
  find("#session-ended").close();
  if (stopped) repeat(stopped);
  stopped = null;
}
on("visibilitychange", () => { if (!document.hidden && find("#session-ended").open) goOn(); });

/* Keys, menus, small buttons ---------------------------------------------------------------------------- */

on("keydown", (event) => {
  const typing = event.target.closest("input, textarea, select, [contenteditable]");
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !find("dialog[open]")) {
    const search = find("[data-search-key]");
    if (search) { event.preventDefault(); search.focus(); }
  }
  const opener = event.target.closest("[popovertarget]");
  const menu = event.target.closest(".sm-menu") || (opener && document.getElementById(opener.getAttribute("popovertarget")));
  if (!menu?.classList.contains("sm-menu") || !["ArrowDown", "ArrowUp", "Home", "End"].includes(event.key)) return;
  event.preventDefault();
  if (!menu.matches(":popover-open")) menu.showPopover({ source: opener });
  const entries = all(".sm-menu-entry", menu);
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  const next = step ? entries.indexOf(document.activeElement) + step : event.key === "Home" ? 0 : -1;
  entries.at(next >= entries.length ? 0 : Math.max(next, -1))?.focus();
});

on("toggle", ({ target, newState }) => {
  if (newState !== "open" || !target.classList.contains("sm-menu") || CSS.supports("position-area: bottom")) return;
  const box = find(`[popovertarget="${target.id}"]`).getBoundingClientRect(); // older browsers: place the menu by hand
  target.style.top = `${box.bottom}px`;
  target.style.left = `${Math.max(8, Math.min(box.left, innerWidth - target.offsetWidth - 8))}px`;
}, true);

on("click", ({ target }) => {
  const button = target.closest("button");
  if (!button) return;
  const { themeChoice, show } = button.dataset;
  if (themeChoice !== undefined) {
    try { localStorage.setItem("theme", themeChoice); } catch { /* forbidden: it holds for this page */ }
    useTheme(themeChoice);
  }
  if (show) {
    const field = document.getElementById(show);
    const shown = field.type === "password";
    field.type = shown ? "text" : "password";
    button.setAttribute("aria-pressed", shown);
    button.textContent = shown ? "Hide" : "Show";
  }
  if ("back" in button.dataset) history.back();
  if ("goOn" in button.dataset) goOn();
});

function wake(within) {
  all("[data-show][hidden], .sm-theme[hidden]", within).forEach((button) => { button.hidden = false; });
  if (history.length > 1) all("[data-back][hidden]", within).forEach((button) => { button.hidden = false; });
  useTheme(remembered());
}
on("DOMContentLoaded", () => { wake(document); all(".sm-toast").forEach(live); });
on("htmx:load", ({ detail }) => wake(detail.elt));
