/* What HTML and htmx cannot do alone: theme, toasts, dialogs, focus after a swap, busy buttons, menus by keyboard,
   a lost connection, a session that ended. Loaded before the page is drawn, so that a chosen theme never flashes. */
"use strict";

const find = (selector, within = document) => within.querySelector(selector);
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const on = (name, listener, options) => document.addEventListener(name, listener, options);

/* Theme: kept in this browser. */

function rememberedTheme() {
  try { return localStorage.getItem("theme") || ""; } catch { return ""; } // storage may be forbidden
}
function useTheme(theme) {
  document.documentElement.dataset.theme = theme;
  all("[data-theme-choice]").forEach((choice) => choice.setAttribute("aria-pressed", choice.dataset.themeChoice === theme));
}
useTheme(rememberedTheme());

/* Toasts: HX-Trigger brings {"toast": {sentence, kind, id, label, url, method}}, or a list of them. */

const DONE_MS = 8000, SHOWN_AT_MOST = 3;

function leaveInTime(toast) {
  const leave = () => { if (toast.matches(":hover, :focus-within")) setTimeout(leave, 1000); else toast.remove(); };
  if (toast.dataset.kind === "done") setTimeout(leave, DONE_MS);
}

function raiseToast({ sentence, kind = "done", id, label, url, method = "get", act }) {
  const toast = find(`#toast-${kind}`).content.firstElementChild.cloneNode(true);
  find(".sm-toast-sentence", toast).textContent = sentence;
  if (label) {
    const link = document.createElement(url && method === "get" ? "a" : "button");
    link.className = "sm-toast-act";
    link.textContent = label;
    if (link.tagName === "A") link.href = url;
    else if (url) { link.setAttribute("hx-post", url); link.setAttribute("hx-swap", "none"); }
    link.addEventListener(url ? "htmx:afterRequest" : "click", () => { act?.(); toast.remove(); });
    find(".sm-toast-close", toast).before(link);
  }
  if (id) { document.getElementById(id)?.remove(); toast.id = id; }
  const region = find("#toasts");
  region.append(toast);
  all(".sm-toast", region).slice(0, -SHOWN_AT_MOST).forEach((old) => old.remove());
  if (url) htmx.process(toast);
  leaveInTime(toast);
}

on("toast", ({ detail }) => (Array.isArray(detail.value) ? detail.value : [detail]).forEach(raiseToast));

/* Dialogs: what htmx puts into #dialog stands in the one native dialog; Esc, cross and backdrop close it. */

const dialog = () => find("#dialog-host");

function openDialog() {
  dialog().opener = document.activeElement;
  dialog().showModal();
  dialog().append(find("#toasts")); // what lies outside an open dialog cannot be clicked
}

on("close", ({ target }) => {
  if (target !== dialog()) return;
  document.body.append(find("#toasts"));
  find("#dialog").replaceChildren();
  if (target.opener?.isConnected) target.opener.focus();
}, true);
on("click", (event) => {
  const host = event.target.closest("[data-close]")?.closest("dialog");
  if (host) { event.preventDefault(); host.close(); }
});

on("mousedown", ({ target, clientX: x, clientY: y }) => { // a press, not a click: selecting text may end out there
  if (target !== dialog()) return;
  const box = target.getBoundingClientRect();
  if (x < box.left || x > box.right || y < box.top || y > box.bottom) target.close();
});
on("close-dialog", () => dialog().close());

/* Swaps: an error goes above what was there and leaves it alone; the focus stays, or goes to what came. */

const isFailure = (xhr) => xhr.status >= 400 && xhr.status !== 401 && xhr.responseText.includes("sm-failure");

on("htmx:beforeSwap", ({ detail }) => {
  if (isFailure(detail.xhr)) {
    detail.shouldSwap = true;
    detail.target = find(dialog().open ? "#dialog [data-error-place]" : "#problem") || detail.target;
    detail.swapOverride = "innerHTML";
  }
  detail.target.hadFocus = detail.target.contains(document.activeElement);
});

on("htmx:afterSettle", ({ detail }) => {
  const came = detail.target.isConnected ? detail.target : detail.elt;
  const opens = came.id === "dialog" && came.hasChildNodes();
  if (opens && !dialog().open) openDialog();
  const kept = document.activeElement !== document.body && document.activeElement !== dialog();
  if (detail.xhr.status !== 422 && !opens && (kept || !detail.target.hadFocus)) return;
  const place = find("[aria-invalid='true']", came) || find("[autofocus]", came);
  if (place) place.focus(); else if (opens || !kept) find("h1, h2, h3", came)?.focus();
});

/* Busy buttons: pressed once is enough. */

function setBusy(button, busy) {
  if (!button?.matches?.("button")) return;
  if (busy) button.setAttribute("aria-busy", "true"); else button.removeAttribute("aria-busy");
}

on("submit", (event) => {
  if (event.submitter?.getAttribute("aria-busy")) { event.preventDefault(); event.stopPropagation(); return; }
  setTimeout(() => { if (!event.defaultPrevented) setBusy(event.submitter, true); }); // later: a busy button still sends its value
}, true);
const pressed = ({ elt, requestConfig }) => requestConfig?.triggeringEvent?.submitter || elt;
on("htmx:beforeSend", ({ detail }) => setBusy(pressed(detail), true));
on("htmx:afterRequest", ({ detail }) => {
  setBusy(pressed(detail), false);
  if (detail.xhr.status) find("#toast-connection")?.remove();
  if (detail.xhr.status < 400 && detail.requestConfig.triggeringEvent) find("#problem")?.replaceChildren(); // polling clears nothing
});
addEventListener("pageshow", ({ persisted }) => persisted && all("[aria-busy]").forEach((button) => setBusy(button, false)));

/* A lost connection, a session that ended, an answer nobody can read. */

function repeat({ verb, path, elt, target, triggeringEvent }) {
  const { name, value } = triggeringEvent?.submitter || {};
  htmx.ajax(verb.toUpperCase(), path, { source: elt, target, values: name ? { [name]: value } : {} });
}

on("htmx:sendError", ({ detail: { requestConfig } }) => {
  const reading = requestConfig.verb === "get"; // a write may have arrived: only a person repeats it
  const waiting = reading && setTimeout(() => repeat(requestConfig), 5000);
  const sentence = `No connection. What you typed is still here${reading ? "; we try again in 5 seconds" : ""}.`;
  const act = () => { clearTimeout(waiting); repeat(requestConfig); };
  raiseToast({ id: "toast-connection", kind: "failed", sentence, label: "Try now", act });
});

let stopped = null; // the request that found the session ended

on("htmx:responseError", ({ detail: { xhr, requestConfig } }) => {
  if (xhr.status === 401) {
    stopped = requestConfig;
    if (!find("#session-ended").open) find("#session-ended").showModal();
  } else if (!isFailure(xhr)) {
    raiseToast({ kind: "failed", sentence: `That did not work (${xhr.status}). Your last change was not saved.` });
  }
});

async function goOn() {
  const page = await fetch(location.href).catch(() => null);
  if (!page?.ok || page.redirected) { find("#session-ended-note").textContent = "Not signed in yet."; return; }
  const headers = new DOMParser().parseFromString(await page.text(), "text/html").body.getAttribute("hx-headers");
  document.body.setAttribute("hx-headers", headers); // a new session has a new token
  all("input[name=csrf_token]").forEach((input) => { input.value = JSON.parse(headers)["X-CSRFToken"]; });
  find("#session-ended").close();
  if (stopped) repeat(stopped);
  stopped = null;
}
on("visibilitychange", () => { if (!document.hidden && find("#session-ended").open) goOn(); });

/* Keys: "/" goes to the search; arrows, Home and End walk through a menu. */

on("keydown", (event) => {
  const typing = event.target.closest("input, textarea, select") || event.ctrlKey || event.metaKey || event.altKey;
  const search = find("[data-search-key]");
  if (event.key === "/" && !typing && search && !find("dialog[open]")) { event.preventDefault(); search.focus(); }
  const opener = event.target.closest("[popovertarget]");
  const menu = event.target.closest(".sm-menu") || find(`.sm-menu[id="${opener?.getAttribute("popovertarget")}"]`);
  if (!menu || !["ArrowDown", "ArrowUp", "Home", "End"].includes(event.key)) return;
  event.preventDefault();
  if (!menu.matches(":popover-open")) opener.click();
  const entries = all(".sm-menu-entry", menu);
  const to = { ArrowDown: entries.indexOf(document.activeElement) + 1, ArrowUp: entries.indexOf(document.activeElement) - 1, Home: 0, End: -1 };
  entries.at(to[event.key] % entries.length).focus();
});

/* Small buttons; those that need a script are hidden until there is one. */

on("click", ({ target }) => {
  const button = target.closest("button");
  const { themeChoice, show, back, goOn: again, closeToast } = button?.dataset || {};
  if (closeToast !== undefined) button.closest(".sm-toast").remove();
  if (back !== undefined) history.back();
  if (again !== undefined) goOn();
  if (themeChoice !== undefined) {
    try { localStorage.setItem("theme", themeChoice); } catch { /* forbidden: it holds for this page */ }
    useTheme(themeChoice);
  }
  if (show) {
    const field = document.getElementById(show);
    field.type = field.type === "password" ? "text" : "password";
    button.setAttribute("aria-pressed", field.type === "text");
  }
});

function wake(within) {
  all("[data-show], .sm-theme, [data-back]", within).forEach((part) => { part.hidden = "back" in part.dataset && history.length < 2; });
  useTheme(rememberedTheme());
}
on("DOMContentLoaded", () => { wake(document); all("#toasts .sm-toast").forEach(leaveInTime); });
on("htmx:load", ({ detail }) => wake(detail.elt));
